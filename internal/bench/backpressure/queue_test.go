// Package backpressure_test measures calm's queue beside what else a Go program can use.
package backpressure_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Workiva/go-datastructures/queue"
	"github.com/puzpuzpuz/xsync/v4"

	"github.com/go-calm/calm/backpressure"
)

// pipe moves items from producers to consumers. send and receive are loops around put and get
// as a program writes them, so that what a wrapper costs is not measured for what a queue
// costs: a struct is copied at each call.
type pipe[T any] interface {
	put(v T)
	get() (T, bool)
	send(n int, v T) // n times
	receive()        // until closed and empty
	close()
}

type bare[T any] struct{ ch chan T }

func (c bare[T]) put(v T)        { c.ch <- v }
func (c bare[T]) get() (T, bool) { v, ok := <-c.ch; return v, ok }
func (c bare[T]) close()         { close(c.ch) }

func (c bare[T]) send(n int, v T) {
	for range n {
		c.ch <- v
	}
}

func (c bare[T]) receive() {
	for {
		if _, ok := <-c.ch; !ok {
			return
		}
	}
}

type selected[T any] struct {
	ch  chan T
	ctx context.Context
}

func (c selected[T]) put(v T) {
	select {
	case c.ch <- v:
	case <-c.ctx.Done():
	}
}

func (c selected[T]) get() (v T, ok bool) {
	select {
	case v, ok = <-c.ch:
	case <-c.ctx.Done():
	}
	return v, ok
}
func (c selected[T]) close() { close(c.ch) }

func (c selected[T]) send(n int, v T) {
	for range n {
		select {
		case c.ch <- v:
		case <-c.ctx.Done():
			return
		}
	}
}

func (c selected[T]) receive() {
	for {
		select {
		case _, ok := <-c.ch:
			if !ok {
				return
			}
		case <-c.ctx.Done():
			return
		}
	}
}

type calm[T any] struct {
	q   *backpressure.Queue[T]
	ctx context.Context
}

func (c calm[T]) put(v T) {
	if err := c.q.Put(c.ctx, v); err != nil {
		panic(err)
	}
}

func (c calm[T]) get() (T, bool) {
	v, err := c.q.Get(c.ctx)
	return v, err == nil
}
func (c calm[T]) close() { c.q.Close() }

func (c calm[T]) send(n int, v T) {
	for range n {
		if err := c.q.Put(c.ctx, v); err != nil {
			panic(err)
		}
	}
}

func (c calm[T]) receive() {
	for {
		if _, err := c.q.Get(c.ctx); err != nil {
			return
		}
	}
}

// spun waits by trying again, which is all that xsync's queue offers.
type spun[T any] struct {
	q    *xsync.MPMCQueue[T]
	done *atomic.Bool
}

func (s spun[T]) put(v T) {
	for !s.q.TryEnqueue(v) {
		runtime.Gosched()
	}
}

func (s spun[T]) get() (T, bool) {
	for {
		over := s.done.Load()
		if v, ok := s.q.TryDequeue(); ok || over {
			return v, ok
		}
		runtime.Gosched()
	}
}
func (s spun[T]) close() { s.done.Store(true) }

func (s spun[T]) send(n int, v T) {
	for range n {
		for !s.q.TryEnqueue(v) {
			runtime.Gosched()
		}
	}
}

func (s spun[T]) receive() {
	for {
		over := s.done.Load()
		if _, ok := s.q.TryDequeue(); !ok {
			if over {
				return
			}
			runtime.Gosched()
		}
	}
}

// boxed is Workiva's ring, which waits by trying again and takes any value, so that what is
// larger than a pointer is allocated. Once disposed of it gives out nothing more.
type boxed[T any] struct{ q *queue.RingBuffer }

func (x boxed[T]) put(v T) {
	if err := x.q.Put(v); err != nil {
		panic(err)
	}
}

func (x boxed[T]) get() (v T, ok bool) {
	item, err := x.q.Get()
	if err != nil {
		return v, false
	}
	return item.(T), true
}

func (x boxed[T]) close() {
	for x.q.Len() > 0 {
		runtime.Gosched()
	}
	x.q.Dispose()
}

func (x boxed[T]) send(n int, v T) {
	for range n {
		x.put(v)
	}
}

func (x boxed[T]) receive() {
	for {
		if _, ok := x.get(); !ok {
			return
		}
	}
}

// big has 56 bytes and no pointer.
type big struct{ A, B, C, D, E, F, G int64 }

func run[T any, P pipe[T]](b *testing.B, pairs int, p P, v T) {
	b.ReportAllocs()
	var puts, gets sync.WaitGroup
	b.ResetTimer()
	for range pairs {
		gets.Go(p.receive)
	}
	for i := range pairs {
		n := b.N / pairs
		if i < b.N%pairs {
			n++
		}
		puts.Go(func() { p.send(n, v) })
	}
	puts.Wait()
	p.close()
	gets.Wait()
}

func each[T any](b *testing.B, v T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, pairs := range []int{1, 2, 8, 64} {
		for _, capacity := range []int{128, 1024, 65536} {
			at := fmt.Sprintf("%dx%d/%d", pairs, pairs, capacity)
			b.Run("calm/"+at, func(b *testing.B) {
				run(b, pairs, calm[T]{backpressure.NewQueue[T](capacity), ctx}, v)
			})
			b.Run("chan/"+at, func(b *testing.B) { run(b, pairs, bare[T]{make(chan T, capacity)}, v) })
			b.Run("xsync/"+at, func(b *testing.B) {
				run(b, pairs, spun[T]{xsync.NewMPMCQueue[T](capacity), new(atomic.Bool)}, v)
			})
			b.Run("workiva/"+at, func(b *testing.B) {
				run(b, pairs, boxed[T]{queue.NewRingBuffer(uint64(capacity))}, v)
			})
			b.Run("select/"+at, func(b *testing.B) { run(b, pairs, selected[T]{make(chan T, capacity), ctx}, v) })
		}
	}
}

// BenchmarkBatch moves batches of 64; the time is that of one item.
func BenchmarkBatch(b *testing.B) {
	const size = 64
	ctx := context.Background()
	for _, pairs := range []int{1, 2, 8, 64} {
		b.Run(fmt.Sprintf("calm/%dx%d/1024", pairs, pairs), func(b *testing.B) {
			b.ReportAllocs()
			q := backpressure.NewQueue[int](1024)
			var puts, gets sync.WaitGroup
			for range pairs {
				gets.Go(func() {
					dst := make([]int, size)
					for {
						if _, err := q.GetBatch(ctx, dst); err != nil {
							return
						}
					}
				})
			}
			for range pairs {
				puts.Go(func() {
					vs := make([]int, size)
					for range max(1, b.N/pairs/size) {
						if _, err := q.PutAll(ctx, vs); err != nil {
							panic(err)
						}
					}
				})
			}
			puts.Wait()
			q.Close()
			gets.Wait()
		})
		b.Run(fmt.Sprintf("chan/%dx%d/1024", pairs, pairs), func(b *testing.B) {
			run(b, pairs, bare[int]{make(chan int, 1024)}, 1)
		})
	}
}

// BenchmarkOptions shows what the options cost: all but the first need the engine with a lock.
func BenchmarkOptions(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const capacity = 1024
	for _, pairs := range []int{1, 8} {
		for _, c := range []struct {
			name string
			opts []backpressure.Option[int]
		}{
			{"none", nil},
			{"Weigh", []backpressure.Option[int]{backpressure.Weigh(func(int) int64 { return 1 })}},
			{"DropOldest", []backpressure.Option[int]{backpressure.DropOldest[int](nil)}},
			{"Priority", []backpressure.Option[int]{backpressure.Priority(func(v int) int { return v & 3 })}},
			{"Fair", []backpressure.Option[int]{backpressure.Fair(func(v int) int { return v & 15 }, nil)}},
			{"CoDel+AdaptiveLIFO", []backpressure.Option[int]{
				backpressure.CoDel[int](time.Second, time.Minute), backpressure.AdaptiveLIFO[int](time.Second),
			}},
		} {
			b.Run(fmt.Sprintf("%s/%dx%d", c.name, pairs, pairs), func(b *testing.B) {
				run(b, pairs, calm[int]{backpressure.NewQueue(capacity, c.opts...), ctx}, 1)
			})
		}
		b.Run(fmt.Sprintf("chan/%dx%d", pairs, pairs), func(b *testing.B) {
			run(b, pairs, bare[int]{make(chan int, capacity)}, 1)
		})
	}
}

func BenchmarkInt(b *testing.B)    { each(b, 1) }
func BenchmarkStruct(b *testing.B) { each(b, big{}) }
