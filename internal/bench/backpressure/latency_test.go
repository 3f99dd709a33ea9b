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

// paceItems are so many that one in a hundred says something. One operation of BenchmarkPaced is
// as many as that, the time is that of one item.
const paceItems = 4096

// BenchmarkPaced sends items at an even pace and reports how long each is under way. Between
// them the producer sleeps (many machines do so for a millisecond at least, and then some items
// go at once), or it works.
func BenchmarkPaced(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, c := range []struct {
		consumers, burst int
		every            time.Duration
		works            bool
	}{
		{1, 1, 100 * time.Microsecond, false},
		{8, 1, 100 * time.Microsecond, false},
		{8, 32, time.Millisecond, false},
		{1, 1, 100 * time.Microsecond, true},
		{8, 1, 100 * time.Microsecond, true},
	} {
		at := fmt.Sprintf("%dconsumers/%dper%v", c.consumers, c.burst, c.every)
		if c.works {
			at += "/working"
		} else {
			at += "/sleeping"
		}
		b.Run("calm/"+at, func(b *testing.B) {
			paced(b, c.consumers, c.burst, c.every, c.works, calm[time.Time]{backpressure.NewQueue[time.Time](1024), ctx})
		})
		b.Run("chan/"+at, func(b *testing.B) {
			paced(b, c.consumers, c.burst, c.every, c.works, bare[time.Time]{make(chan time.Time, 1024)})
		})
		b.Run("select/"+at, func(b *testing.B) {
			paced(b, c.consumers, c.burst, c.every, c.works, selected[time.Time]{make(chan time.Time, 1024), ctx})
		})
	}
}

// work keeps a processor busy for d.
func work(d time.Duration) {
	for from := time.Now(); time.Since(from) < d; {
	}
}

func paced(b *testing.B, consumers, burst int, every time.Duration, works bool, p pipe[time.Time]) {
	var (
		mu    sync.Mutex
		total = paceItems * b.N
		took  = make([]time.Duration, 0, total)
		wg    sync.WaitGroup
	)
	for range consumers {
		mine := make([]time.Duration, 0, total)
		wg.Go(func() {
			for {
				from, ok := p.get()
				if !ok {
					break
				}
				mine = append(mine, time.Since(from))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	b.ResetTimer()
	next := time.Now()
	for range total / burst {
		next = next.Add(every)
		if works {
			work(time.Until(next))
		} else {
			time.Sleep(time.Until(next))
		}
		for range burst {
			p.put(time.Now())
		}
	}
	b.StopTimer()
	p.close()
	wg.Wait()
	b.ReportMetric(float64(b.Elapsed())/float64(total), "ns/op")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
}
