package loadsim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/internal/testenv"
)

const ms = time.Millisecond

// long leaves out, with -short, what takes long: all of this has one goroutine, and so nothing to show
// to the race detector.
func long(t *testing.T) {
	if testing.Short() {
		t.Skip("simulates for seconds")
	}
}

// usual is the one configuration that all of these tests use.
func usual() []backpressure.LimiterOption {
	return []backpressure.LimiterOption{backpressure.Waiting(100_000)}
}

// seconds shortens what is simulated of large servers: they do as much in less time.
func seconds(slots, n int) time.Duration {
	return time.Duration(max(2, n*8/(10+slots))) * time.Second
}

// overload runs a scenario at 0.7 of what it can do first, and then in the phase given.
func overload(s Scenario, p Phase) Result {
	s.Limiter = usual()
	s.Phases = []Phase{{For: seconds(s.Slots, 10), Load: 0.7}, p}
	return Run(s)[1]
}

type family struct {
	name  string
	of    func(mean time.Duration) Service
	least float64 // goodput
}

var families = []family{
	{"constant", Constant, 0.95},
	{"exponential", Exponential, 0.95},
	{"lognormal", func(mean time.Duration) Service { return Lognormal(mean, 1.5) }, 0.92},
}

// TestGoodput is the table: what is left of a server's capacity when more is asked of it.
func TestGoodput(t *testing.T) {
	for _, f := range families {
		for _, slots := range []int{2, 10, 100} {
			if slots > 2 && testing.Short() {
				continue
			}
			base := Scenario{Slots: slots, Service: f.of(10 * ms), Mean: 10 * ms, Deadline: 100 * ms}
			check := func(name string, s Scenario, p Phase, least float64, seeds uint64) {
				t.Run(fmt.Sprintf("%s/%d slots/%s", f.name, slots, name), func(t *testing.T) {
					t.Parallel()
					p.For = seconds(slots, 30)
					for s.Seed = 1; s.Seed <= seeds; s.Seed++ {
						r := overload(s, p)
						t.Logf("seed %d: goodput %.3f, limit %d, median %v, p99 %v", s.Seed, r.Goodput, r.Limit, r.P50, r.P99)
						require.GreaterOrEqual(t, r.Goodput, least)
					}
				})
			}
			several := uint64(3) // seeds, where that takes no time
			if slots == 100 || testing.Short() {
				several = 1
			}
			for _, load := range []float64{1.1, 2, 5, 10} {
				if load == 5 && !testenv.Thorough() {
					continue // it is between two others
				}
				least := f.least
				if slots == 2 && load < 1.5 {
					least -= 0.08 // see TestNobodyDoesBetter
				}
				check(fmt.Sprint(load), base, Phase{Load: load}, least, 1)
			}
			brown := uint64(3)
			left := 0.95 // of what is left
			if slots == 2 {
				left = f.least // a tail of one request holds up half of them
			} else if f.name == "lognormal" {
				left = 0.94 // 3 % are late whatever the limit, see Result.Goodput
			}
			check("brown-out, slow", base, Phase{Load: 2, Slow: 2}, left, brown)
			check("brown-out, slots lost", base, Phase{Load: 2, Lost: slots / 2}, left, brown)
			costly := base
			costly.Refusing = 0.02
			if testenv.Thorough() { // or else together with what follows
				check("refusing costs", costly, Phase{Load: 10}, f.least, several)
			}
			costly.Retries = 3
			check("retries", costly, Phase{Load: 10}, f.least, several)
		}
	}
}

// TestDrawn holds the same configuration to servers that nobody had in mind.
func TestDrawn(t *testing.T) {
	long(t)
	for seed := range uint64(testenv.Checks(12)) {
		rng := rand.New(rand.NewPCG(seed, 7))
		f := families[rng.IntN(len(families))]
		slots := 3 + rng.IntN(60)
		mean := time.Duration(float64(ms) * (1 + 40*rng.Float64()*rng.Float64()))
		deadline := time.Duration((8 + 12*rng.Float64()) * float64(mean))
		load := 1.3 + 8*rng.Float64()
		t.Run(fmt.Sprintf("%d %s %d×%v within %v at %.1f", seed, f.name, slots, mean, deadline, load), func(t *testing.T) {
			t.Parallel()
			s := Scenario{Seed: seed, Slots: slots, Service: f.of(mean), Mean: mean, Deadline: deadline}
			s.Limiter = usual()
			n := mean * 5000 / time.Duration(slots) // so long that some thousands are done
			s.Phases = []Phase{{For: max(n, time.Second), Load: 0.7}, {For: max(3*n, 3*time.Second), Load: load}}
			r := Run(s)[1]
			t.Logf("goodput %.3f, limit %d", r.Goodput, r.Limit)
			require.GreaterOrEqual(t, r.Goodput, f.least)
		})
	}
}

// TestNobodyDoesBetter compares with a limiter that is told the number of slots, which is the most
// that a limit can do, where two slots leave a tenth of the time with nothing to do.
func TestNobodyDoesBetter(t *testing.T) {
	long(t)
	for _, f := range families {
		s := Scenario{Seed: 3, Slots: 2, Service: f.of(10 * ms), Mean: 10 * ms, Deadline: 100 * ms}
		s.Phases = []Phase{{For: 10 * time.Second, Load: 0.7}, {For: 60 * time.Second, Load: 1.1}}
		s.Limiter = append(usual(), backpressure.Fixed(2))
		told := Run(s)[1].Goodput
		s.Limiter = usual()
		found := Run(s)[1].Goodput
		t.Logf("%-12s told %.3f, found %.3f", f.name, told, found)
		require.Greater(t, found, told-0.03)
	}
}

// TestNoLimiter is what all of this is for.
func TestNoLimiter(t *testing.T) {
	s := Scenario{Slots: 10, Service: Exponential(10 * ms), Mean: 10 * ms, Deadline: 100 * ms}
	s.Phases = []Phase{{For: 10 * time.Second, Load: 0.7}, {For: 10 * time.Second, Load: 1.5}, {For: 10 * time.Second, Load: 0.7}}
	r := Run(s)
	require.Greater(t, r[0].Goodput, 0.65)
	require.Less(t, r[1].Goodput, 0.1)
	require.Less(t, r[2].Goodput, 0.1, "and it stays so long after")
}

func TestFindsTheCapacity(t *testing.T) {
	long(t)
	for _, f := range families {
		for _, start := range []int{1, 1000} {
			s := Scenario{Seed: 5, Slots: 100, Service: f.of(10 * ms), Mean: 10 * ms, Deadline: 100 * ms}
			s.Limiter = append(usual(), backpressure.Starting(start))
			s.Phases = []Phase{{For: 2 * time.Second, Load: 1.5}, {For: time.Second, Load: 1.5}}
			r := Run(s)
			t.Logf("%-12s from %4d: limit %d after two seconds, goodput %.3f in the next", f.name, start, r[0].Limit, r[1].Goodput)
			require.GreaterOrEqual(t, r[0].Limit, 90)
			require.GreaterOrEqual(t, r[1].Goodput, f.least-0.05)
		}
	}
}

// TestFindsTheCapacityFromTwenty has several seeds, and looks at the limit ten times a second: it swings.
func TestFindsTheCapacityFromTwenty(t *testing.T) {
	long(t)
	for _, f := range families {
		for seed := range uint64(3) {
			s := Scenario{Seed: seed, Slots: 100, Service: f.of(10 * ms), Mean: 10 * ms, Deadline: 100 * ms}
			s.Limiter = append(usual(), backpressure.Starting(20))
			s.Phases = slices.Repeat([]Phase{{For: 100 * ms, Load: 1.5}}, 20)
			s.Phases = append(s.Phases, Phase{For: time.Second, Load: 1.5})
			r := Run(s)
			first := slices.IndexFunc(r, func(r Result) bool { return r.Limit >= 90 })
			t.Logf("%-12s at 90 after %v, goodput %.3f in the third second", f.name, time.Duration(first+1)*100*ms, r[20].Goodput)
			require.GreaterOrEqual(t, first, 0)
			require.Less(t, first, 20)
			require.GreaterOrEqual(t, r[20].Goodput, 0.9)
		}
	}
}

func TestRecovers(t *testing.T) {
	long(t)
	for _, f := range families {
		for _, slots := range []int{10, 100} {
			s := Scenario{Slots: slots, Service: f.of(10 * ms), Mean: 10 * ms, Deadline: 100 * ms, Limiter: usual()}
			s.Phases = []Phase{{For: 5 * time.Second, Load: 0.7}, {For: seconds(slots, 12), Load: 10}, {For: time.Second, Load: 0.7}, {For: 5 * time.Second, Load: 0.7}}
			for s.Seed = 6; s.Seed < 9; s.Seed++ {
				r := Run(s)
				after := float64(r[3].Good) / float64(r[3].Requests)
				t.Logf("%-12s %d slots: %.4f served from the second second on", f.name, slots, after)
				if f.name == "lognormal" {
					before := float64(r[0].Good) / float64(r[0].Requests)
					require.Greater(t, after, before-0.03, "long work makes some late, before and after")
				} else {
					require.Greater(t, after, 0.99)
				}
				if slots == 100 {
					break // takes long
				}
			}
		}
	}
}

// TestComesBack takes nine tenths of the slots away and gives them back: the limit has to come down and
// to grow again.
func TestComesBack(t *testing.T) {
	long(t)
	for _, f := range families {
		for seed := range uint64(2) {
			s := Scenario{Seed: seed, Slots: 60, Service: f.of(10 * ms), Mean: 10 * ms, Deadline: 100 * ms, Limiter: usual()}
			s.Phases = []Phase{{For: time.Second, Load: 2}, {For: 3 * time.Second, Load: 2, Lost: 54}, {For: time.Second, Load: 2}, {For: time.Second, Load: 2}}
			r := Run(s)
			t.Logf("%-12s goodput %.3f, %.3f, %.3f, %.3f, limit %d of what works, %d, then %d of 60",
				f.name, r[0].Goodput, r[1].Goodput, r[2].Goodput, r[3].Goodput, r[1].Limit, 6, r[3].Limit)
			require.Less(t, r[1].Limit, 60)
			require.GreaterOrEqual(t, r[3].Goodput, f.least-0.03)
		}
	}
}

// TestShortDeadlines has clients who wait for two or three times what the work takes, so that a queue in
// the server makes them late. It compares with a limiter that is told the number of slots.
func TestShortDeadlines(t *testing.T) {
	long(t)
	for _, f := range families {
		for _, slots := range []int{1, 7} {
			for _, times := range []time.Duration{2, 3} {
				s := Scenario{Seed: 10, Slots: slots, Service: f.of(10 * ms), Mean: 10 * ms, Deadline: 10 * ms * times}
				s.Phases = []Phase{{For: 5 * time.Second, Load: 3}, {For: 10 * time.Second, Load: 3}}
				s.Limiter = append(usual(), backpressure.Fixed(slots))
				told := Run(s)[1].Goodput
				s.Limiter = usual()
				found := Run(s)[1].Goodput
				t.Logf("%-12s %d slots, %d times: told %.3f, found %.3f, %.3f of it", f.name, slots, times, told, found, found/told)
				require.Greater(t, found, 0.8*told)
			}
		}
	}
}

// TestElephant lets one tenant ask for fifty times what there is, beside nine that ask for little.
func TestElephant(t *testing.T) {
	long(t)
	run := func(seed uint64, elephant float64, phases ...Phase) {
		s := Scenario{Seed: seed, Slots: 10, Service: Exponential(10 * ms), Mean: 10 * ms, Deadline: 100 * ms, Limiter: usual(), Phases: phases}
		s.Tenants = []Tenant{{ID: "elephant", Load: elephant}}
		for i := range 9 {
			s.Tenants = append(s.Tenants, Tenant{ID: fmt.Sprint("mouse ", i), Load: 0.05})
		}
		r := Run(s)[1]
		good, all := 0, 0
		for _, m := range r.Tenants[1:] {
			good += m.Good
			all += m.Requests
		}
		served := float64(good) / float64(all)
		t.Logf("elephant at %v: mice served %.4f, total %.3f", elephant, served, r.Goodput)
		require.GreaterOrEqual(t, served, 0.99)
		require.GreaterOrEqual(t, r.Goodput, 0.98)
	}
	for _, elephant := range []float64{1, 5} {
		run(7, elephant, Phase{For: 5 * time.Second, Load: 1}, Phase{For: 20 * time.Second, Load: 1})
	}
	for seed := range uint64(3) {
		run(seed, 50, Phase{For: 2 * time.Second, Load: 1}, Phase{For: 6 * time.Second, Load: 1})
	}
}

// TestPoliteClients asks of ten times the clients that can be served that they come back when they
// are told to: what arrives then is hardly more than what can be done.
func TestPoliteClients(t *testing.T) {
	long(t)
	for _, waiting := range []int{0, 10} {
		s := Scenario{Seed: 8, Slots: 10, Service: Exponential(10 * ms), Mean: 10 * ms, Deadline: 500 * ms, Polite: true, Clients: 10_000}
		s.Limiter = []backpressure.LimiterOption{backpressure.Waiting(waiting)}
		s.Phases = []Phase{{For: 300 * time.Second, Load: 10}, {For: 60 * time.Second, Load: 10}}
		r := Run(s)[1]
		offered := float64(r.Offered) / (r.End - r.Start).Seconds() / 1000
		t.Logf("waiting %d: offered %.3f of what can be done, goodput %.3f, limit %d", waiting, offered, r.Goodput, r.Limit)
		require.LessOrEqual(t, offered, 1.1)
		require.GreaterOrEqual(t, r.Goodput, 0.8)
	}
}

func TestSameSeedSameResult(t *testing.T) {
	s := Scenario{Seed: 9, Slots: 5, Service: Lognormal(10*ms, 1.5), Mean: 10 * ms, Deadline: 100 * ms, Retries: 2, Refusing: 0.02}
	s.Phases = []Phase{{For: 2 * time.Second, Load: 0.5, To: 5}, {For: 2 * time.Second, Load: 3, Lost: 2}}
	s.Limiter = []backpressure.LimiterOption{backpressure.Waiting(20)}
	first := Run(s)
	require.Equal(t, first, Run(s))
	require.NotZero(t, first[1].Refused)
	s.Seed++
	require.NotEqual(t, first, Run(s))
}
