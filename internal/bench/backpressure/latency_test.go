package backpressure_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// paceTurns is how often each contender has its turn in BenchmarkPaced.
const paceTurns = 16

// BenchmarkPaced sends items at an even pace and reports how long each is under way. Between
// them the producer sleeps (many machines do so for a millisecond at least, and then some items
// go at once), or it works. One operation is 0.4 s of that, with thousands of items, so that one in
// a hundred says something. The contenders take turns: what takes longest is to wake a processor,
// and how long that takes changes with what else the machine and its host do.
func BenchmarkPaced(b *testing.B) {
	for _, c := range []pace{
		{1, 1, 100 * time.Microsecond, false, 4096},
		{8, 1, 100 * time.Microsecond, false, 4096},
		{8, 32, time.Millisecond, false, 3 * 4096},
		{1, 1, 100 * time.Microsecond, true, 4096},
		{8, 1, 100 * time.Microsecond, true, 4096},
	} {
		b.Run(c.String(), func(b *testing.B) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			all := []*trip{
				{name: "calm", pipe: calm[time.Time]{backpressure.NewQueue[time.Time](1024), ctx}},
				{name: "chan", pipe: bare[time.Time]{make(chan time.Time, 1024)}},
				{name: "select", pipe: selected[time.Time]{make(chan time.Time, 1024), ctx}},
			}
			for _, t := range all {
				t.receive(c)
			}
			for turn := range paceTurns {
				for i := range all {
					all[(turn+i)%len(all)].send(c, c.items/paceTurns)
				}
			}
			for _, t := range all {
				t.pipe.close()
				t.wg.Wait()
				slices.Sort(t.took)
				b.Run(t.name, t.report)
			}
		})
	}
}

// pace is how items are sent.
type pace struct {
	consumers, burst int
	every            time.Duration
	works            bool
	items            int
}

func (c pace) String() string {
	between := "sleeping"
	if c.works {
		between = "working"
	}
	return fmt.Sprintf("%dconsumers/%dper%v/%s", c.consumers, c.burst, c.every, between)
}

// trip is how long items are under way through one of the contenders.
type trip struct {
	name    string
	pipe    pipe[time.Time]
	elapsed time.Duration // while items were sent

	wg   sync.WaitGroup
	mu   sync.Mutex
	took []time.Duration
}

func (t *trip) receive(c pace) {
	for range c.consumers {
		took := make([]time.Duration, 0, c.items)
		t.wg.Go(func() {
			for {
				from, ok := t.pipe.get()
				if !ok {
					break
				}
				took = append(took, time.Since(from))
			}
			t.mu.Lock()
			t.took = append(t.took, took...)
			t.mu.Unlock()
		})
	}
}

func (t *trip) send(c pace, n int) {
	begin := time.Now()
	next := begin
	for range n / c.burst {
		next = next.Add(c.every)
		if c.works {
			work(time.Until(next))
		} else {
			time.Sleep(time.Until(next))
		}
		for range c.burst {
			t.pipe.put(time.Now())
		}
	}
	t.elapsed += time.Since(begin)
}

// report says what was measured before, whatever b.N.
func (t *trip) report(b *testing.B) {
	b.ReportMetric(float64(t.elapsed), "ns/op")
	b.ReportMetric(float64(t.took[len(t.took)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(t.took[len(t.took)*99/100])/1e3, "p99-µs")
}

// work keeps a processor busy for d.
func work(d time.Duration) {
	for from := time.Now(); time.Since(from) < d; {
	}
}
