//go:build unix

package backpressure_test

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// BenchmarkIdle leaves eight consumers at an empty queue and reports what share of one core
// the process uses meanwhile.
func BenchmarkIdle(b *testing.B) {
	b.Run("calm", func(b *testing.B) {
		idle(b, calm[int]{backpressure.NewQueue[int](128), context.Background()})
	})
	b.Run("calm-fair", func(b *testing.B) {
		q := backpressure.NewQueue(128, backpressure.Fair(func(v int) int { return v }, nil))
		idle(b, calm[int]{q, context.Background()})
	})
	b.Run("chan", func(b *testing.B) { idle(b, bare[int]{make(chan int, 128)}) })
}

func idle(b *testing.B, p pipe[int]) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				if _, ok := p.get(); !ok {
					return
				}
			}
		})
	}
	for range 100 {
		p.put(1)
	}
	time.Sleep(time.Millisecond)
	used, begin := processTime(), time.Now()
	b.ResetTimer()
	time.Sleep(time.Duration(b.N) * 250 * time.Millisecond) // not in pieces: each would cost more than the queue
	b.StopTimer()
	b.ReportMetric(100*(processTime()-used).Seconds()/time.Since(begin).Seconds(), "%core")
	p.close()
	wg.Wait()
}

func processTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
