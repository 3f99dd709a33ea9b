package backpressure_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// BenchmarkBlockedProducers lets 64 producers press against one consumer that works about
// 1 µs on each item, and reports how long a Put takes and how evenly they are served.
func BenchmarkBlockedProducers(b *testing.B) {
	b.Run("calm", func(b *testing.B) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		blocked(b, calm[int]{backpressure.NewQueue[int](128), ctx})
	})
	b.Run("chan", func(b *testing.B) { blocked(b, bare[int]{make(chan int, 128)}) })
}

func blocked(b *testing.B, p pipe[int]) {
	const producers = 64
	var (
		mu    sync.Mutex
		waits []time.Duration
		least = 1 << 62
		most  int
		wg    sync.WaitGroup
		stop  = make(chan struct{})
	)
	for range producers {
		wg.Go(func() {
			var mine []time.Duration
			for {
				select {
				case <-stop:
					mu.Lock()
					waits = append(waits, mine...)
					least, most = min(least, len(mine)), max(most, len(mine))
					mu.Unlock()
					return
				default:
				}
				from := time.Now()
				p.put(1)
				mine = append(mine, time.Since(from))
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		p.get()
		for from := time.Now(); time.Since(from) < time.Microsecond; {
		}
	}
	b.StopTimer()
	close(stop)
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-ended:
				return
			default:
				p.get()
			}
		}
	}()
	wg.Wait()
	close(ended)
	p.put(0)
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(waits[len(waits)*99/100])/1e3, "p99-µs")
	b.ReportMetric(float64(waits[len(waits)-1])/1e3, "max-µs")
	b.ReportMetric(float64(least)/float64(most), "least/most")
}
