package backpressure_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// BenchmarkBlockedProducers lets 64 producers press against one consumer that works for 1 µs on
// each item, and reports how long a Put takes and how evenly they are served: what the one who
// got least put of what the one who got most did. One operation is 4000 items for each producer,
// and the time is that of one item. It begins when all have been at it for a while.
func BenchmarkBlockedProducers(b *testing.B) {
	b.Run("calm", func(b *testing.B) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		blocked(b, calm[int]{backpressure.NewQueue[int](128), ctx})
	})
	b.Run("chan", func(b *testing.B) { blocked(b, bare[int]{make(chan int, 128)}) })
	b.Run("select", func(b *testing.B) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		blocked(b, selected[int]{make(chan int, 128), ctx})
	})
}

const (
	producers = 64
	warmUp    = 100 // items for each producer
	lasting   = 4000
)

// presser is a producer that puts whenever it can.
type presser struct {
	waits []time.Duration
	put   atomic.Int64
	_     [64]byte
}

func blocked(b *testing.B, p pipe[int]) {
	var (
		all      [producers]presser
		measured atomic.Bool
		stop     atomic.Bool
		wg       sync.WaitGroup
	)
	for i := range all {
		me := &all[i]
		me.waits = make([]time.Duration, 0, 2*lasting*b.N)
		wg.Go(func() {
			for !stop.Load() {
				from := time.Now()
				p.put(1)
				if measured.Load() {
					me.waits = append(me.waits, time.Since(from))
					me.put.Add(1)
				}
			}
		})
	}
	get := func() {
		p.get()
		for from := time.Now(); time.Since(from) < time.Microsecond; {
		}
	}
	for range producers * warmUp {
		get()
	}
	measured.Store(true)
	total := producers * lasting * b.N
	b.ResetTimer()
	for range total {
		get()
	}
	b.StopTimer()
	measured.Store(false)
	least, most := all[0].put.Load(), all[0].put.Load()
	for i := range all {
		least, most = min(least, all[i].put.Load()), max(most, all[i].put.Load())
	}
	stop.Store(true)
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
	waits := make([]time.Duration, 0, total)
	for i := range all {
		waits = append(waits, all[i].waits...)
	}
	slices.Sort(waits)
	b.ReportMetric(float64(b.Elapsed())/float64(total), "ns/op")
	b.ReportMetric(float64(waits[len(waits)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(waits[len(waits)*99/100])/1e3, "p99-µs")
	b.ReportMetric(float64(waits[len(waits)-1])/1e3, "max-µs")
	b.ReportMetric(float64(least)/float64(most), "least/most")
}
