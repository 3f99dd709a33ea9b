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

// BenchmarkPaced sends a few items at a time, at an even pace, and reports how long each is
// under way.
func BenchmarkPaced(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, c := range []struct {
		consumers, burst int
		every            time.Duration
	}{{1, 1, 100 * time.Microsecond}, {8, 1, 100 * time.Microsecond}, {8, 32, time.Millisecond}} {
		at := fmt.Sprintf("%dconsumers/%dper%v", c.consumers, c.burst, c.every)
		b.Run("calm/"+at, func(b *testing.B) {
			paced(b, c.consumers, c.burst, c.every, calm[time.Time]{backpressure.NewQueue[time.Time](1024), ctx})
		})
		b.Run("chan/"+at, func(b *testing.B) {
			paced(b, c.consumers, c.burst, c.every, bare[time.Time]{make(chan time.Time, 1024)})
		})
		b.Run("select/"+at, func(b *testing.B) {
			paced(b, c.consumers, c.burst, c.every, selected[time.Time]{make(chan time.Time, 1024), ctx})
		})
	}
}

func paced(b *testing.B, consumers, burst int, every time.Duration, p pipe[time.Time]) {
	var (
		mu   sync.Mutex
		took []time.Duration
		wg   sync.WaitGroup
	)
	for range consumers {
		wg.Go(func() {
			var mine []time.Duration
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
	for range b.N {
		next = next.Add(every)
		time.Sleep(time.Until(next))
		for range burst {
			p.put(time.Now())
		}
	}
	b.StopTimer()
	p.close()
	wg.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
}
