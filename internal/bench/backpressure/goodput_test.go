package backpressure_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"golang.org/x/sync/semaphore"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/backpressure/loadsim"
)

var rewrite = flag.Bool("rewrite", false, "write results/goodput.md anew")

// backend does so many things at once. What is let in beyond that stands in line, first come, first
// served, and is done even if it is too late.
type backend struct {
	mu   sync.Mutex
	free []time.Time // when each slot will be free
	mean time.Duration
	draw func() time.Duration
	work []time.Duration // how long the next pieces take
}

// do does the next piece of work, and returns when it is done.
func (b *backend) do() {
	now := time.Now()
	b.mu.Lock()
	first := 0
	for i, t := range b.free {
		if t.Before(b.free[first]) {
			first = i
		}
	}
	start := b.free[first]
	if start.Before(now) {
		start = now
	}
	end := start.Add(b.next())
	b.free[first] = end
	b.mu.Unlock()
	time.Sleep(end.Sub(now))
}

// next draws by the thousand, and scales those to have the mean exactly: or else chance in what was
// drawn would blur how much can be done by some hundredths.
func (b *backend) next() time.Duration {
	if len(b.work) == 0 {
		var sum time.Duration
		for range 1000 {
			d := b.draw()
			b.work = append(b.work, d)
			sum += d
		}
		scale := float64(1000*b.mean) / float64(sum)
		for i, d := range b.work {
			b.work[i] = time.Duration(float64(d) * scale)
		}
	}
	d := b.work[0]
	b.work = b.work[1:]
	return d
}

// admit asks to be let in. It returns nil if that is refused, and otherwise what must be called once
// the work is over, with whether that was too late.
type admit func(context.Context) func(late bool)

// guard is one way to decide what a server works on.
type guard struct {
	name  string
	is    string
	waits bool // admit may block
	make  func(slots int) admit
}

// failsafe tells its limiter of what came too late as failsafe's own executor does: not at all.
func failsafe(p adaptivelimiter.Permit, ok bool) func(late bool) {
	if !ok {
		return nil
	}
	return func(late bool) {
		if late {
			p.Drop()
		} else {
			p.Record()
		}
	}
}

// guards are the server's guards, and what each is told of the server. Calm's is told nothing.
var guards = []guard{
	{"calm", "`backpressure.NewLimiter(backpressure.Waiting(100_000))`, told nothing of the server", true, func(int) admit {
		l := backpressure.NewLimiter(backpressure.Waiting(100_000))
		return func(ctx context.Context) func(bool) {
			p, err := l.Acquire(ctx)
			if err != nil {
				return nil
			}
			return func(late bool) {
				if late {
					p.Release(backpressure.Dropped)
				} else {
					p.Release(backpressure.Done)
				}
			}
		}
	}},
	{"failsafe-go", "its `adaptivelimiter.NewWithDefaults[any]()`, told nothing, which moves its limit once a second; nobody waits", false, func(int) admit {
		l := adaptivelimiter.NewWithDefaults[any]()
		return func(context.Context) func(bool) { return failsafe(l.TryAcquirePermit()) }
	}},
	{"… told", "the same with `WithLimits(1, 1000, slots)`: the right limit is what it begins with", false, func(slots int) admit {
		l := adaptivelimiter.NewBuilder[any]().WithLimits(1, 1000, uint(slots)).Build()
		return func(context.Context) func(bool) { return failsafe(l.TryAcquirePermit()) }
	}},
	{"semaphore", "golang.org/x/sync's, of as many as there are slots; clients wait in `Acquire` until they give up", true, func(slots int) admit {
		s := semaphore.NewWeighted(int64(slots))
		return func(ctx context.Context) func(bool) {
			if s.Acquire(ctx, 1) != nil {
				return nil
			}
			return func(bool) { s.Release(1) }
		}
	}},
	{"… TryAcquire", "the same; nobody waits", false, func(slots int) admit {
		s := semaphore.NewWeighted(int64(slots))
		return func(context.Context) func(bool) {
			if !s.TryAcquire(1) {
				return nil
			}
			return func(bool) { s.Release(1) }
		}
	}},
}

// served is a server, and what its clients want of it.
type served struct {
	family       string
	slots        int
	load         float64
	warm, during time.Duration
}

// mean is how long a piece of work takes, so that a server of any size does as much in a second.
// Clients give up after ten times that.
func (s served) mean() time.Duration { return time.Duration(s.slots) * time.Millisecond }

func (s served) service() loadsim.Service {
	if s.family == "lognormal" {
		return loadsim.Lognormal(s.mean(), 1.5)
	}
	return loadsim.Exponential(s.mean())
}

// goodput returns how much is answered in time, as a part of what the server can do, after the
// warm-up. Clients come at the same times for all guards, and what is let in takes the same times in
// the order in which it is.
func (s served) goodput(t *testing.T, g guard) (part float64) {
	synctest.Test(t, func(t *testing.T) {
		var (
			rng     = rand.New(rand.NewPCG(1, uint64(s.slots)))
			service = s.service()
			every   = float64(s.mean()) / float64(s.slots) / s.load
			drawn   = rand.New(rand.NewPCG(2, uint64(s.slots)))
			server  = backend{free: make([]time.Time, s.slots), mean: s.mean(), draw: func() time.Duration { return service(drawn) }}
			admit   = g.make(s.slots)
			mu      sync.Mutex
			good    int

			background = context.Background() // nobody waits for a child of it
		)
		from := time.Now().Add(s.warm)
		until := from.Add(s.during)
		handle := func(done func(bool), deadline time.Time) {
			server.do()
			now := time.Now()
			late := now.After(deadline)
			done(late)
			if !late && now.After(from) && !now.After(until) {
				mu.Lock()
				good++
				mu.Unlock()
			}
		}
		for next := time.Now(); next.Before(until); next = next.Add(time.Duration(every * rng.ExpFloat64())) {
			time.Sleep(time.Until(next))
			deadline := next.Add(10 * s.mean())
			if !g.waits {
				if done := admit(background); done != nil {
					go handle(done, deadline)
				}
				continue
			}
			go func() {
				ctx, cancel := context.WithDeadline(background, deadline)
				defer cancel()
				if done := admit(ctx); done != nil {
					handle(done, deadline)
				}
			}()
		}
		time.Sleep(time.Hour) // all is over
		synctest.Wait()
		part = float64(good) / (s.during.Seconds() * 1000)
	})
	return part
}

// overloaded are small and large servers with work of both kinds.
func overloaded(warm, during time.Duration, loads ...float64) (servers []served) {
	for _, slots := range []int{10, 100} {
		for _, family := range []string{"exponential", "lognormal"} {
			for _, load := range loads {
				servers = append(servers, served{family, slots, load, warm, during})
			}
		}
	}
	return servers
}

// TestGoodputBesidePeers puts calm's limiter, and the code of others, before servers that are asked
// for more than they can do. Whatever others make of it, calm's serves what they can do.
//
//	go -C internal/bench test ./backpressure -run TestGoodputBesidePeers -rewrite
//
// runs for longer, and writes the table. The times are virtual: what else the machine does changes
// nothing, but goroutines that run at the same instant do so in any order, which may change a
// hundredth. Without the flag only calm's runs, and for less than a second.
func TestGoodputBesidePeers(t *testing.T) {
	servers, compared := overloaded(2*time.Second, 3*time.Second, 3), guards[:1]
	if *rewrite {
		compared = guards
		servers = append(overloaded(10*time.Second, 20*time.Second, 1.1, 3, 10),
			served{"exponential", 100, 1.1, 3 * time.Minute, 20 * time.Second}, // what is slow to learn had its time
			served{"lognormal", 100, 1.1, 3 * time.Minute, 20 * time.Second})
	}
	var rows []string
	for _, s := range servers {
		row := fmt.Sprintf("| %d | %s | %v × | %v s |", s.slots, s.family, s.load, s.warm.Seconds())
		for _, g := range compared {
			part := s.goodput(t, g)
			row += fmt.Sprintf(" %.2f |", part)
			if g.name == "calm" && part < 0.8 {
				t.Errorf("%+v: calm's goodput is %.2f", s, part)
			}
		}
		t.Log(row)
		rows = append(rows, row)
	}
	if *rewrite && !t.Failed() {
		writeGoodput(t, rows)
	}
}

func writeGoodput(t *testing.T, rows []string) {
	t.Helper()
	tell := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).Output()
		if err != nil {
			t.Fatalf("%s %s: %v", name, args[0], err)
		}
		return strings.ReplaceAll(strings.TrimSpace(string(out)), "\n", ", ")
	}
	commit := tell("git", "rev-parse", "--short", "HEAD")
	if tell("git", "status", "--porcelain", "--untracked-files=no") != "" {
		commit += " with changes"
	}
	var out strings.Builder
	fmt.Fprintf(&out, "# goodput, %s\n\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(&out, "%s/%s, %s, commit %s, %s.\n", runtime.GOOS, runtime.GOARCH, runtime.Version(), commit,
		tell("go", "list", "-m", "github.com/failsafe-go/failsafe-go", "golang.org/x/sync"))
	fmt.Fprint(&out, goodputHead)
	fmt.Fprint(&out, "| slots | service times | offered | warm-up |")
	for _, g := range guards {
		fmt.Fprintf(&out, " %s |", g.name)
	}
	fmt.Fprintf(&out, "\n|---:|---|---:|---:|%s\n%s\n\n", strings.Repeat("---:|", len(guards)), strings.Join(rows, "\n"))
	for _, g := range guards {
		fmt.Fprintf(&out, "- **%s**: %s.\n", g.name, g.is)
	}
	if err := os.WriteFile(filepath.Join("..", "results", "goodput.md"), []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

const goodputHead = `How much a server answers in time while more is asked of it than it can do, as a part of what all its
slots can do, over 20 s after a warm-up of the same load. The guards before it are everybody's own
code; the server, its clients and the time are virtual (testing/synctest).

Work takes 1 ms for each slot on average, so that every server can do a thousand pieces a second;
lognormal means a sigma of 1.5. Clients come at random (a Poisson process), and give up after ten
times the mean. What is let in beyond the slots stands in line at the server, and is done even if it
is too late. For all guards the clients come at the same times, and what is let in takes the same
times, in the order in which it is.

` + "```sh\ngo -C internal/bench test ./backpressure -run TestGoodputBesidePeers -rewrite\n```\n\n"
