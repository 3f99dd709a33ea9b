package shard_test

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-calm/calm/shard"
	"github.com/go-calm/calm/shard/entity"
)

// actors is an actor of protoactor-go for each key. Its mailboxes have no bound: those that have one
// hold up the sender for good when two full actors send to each other.
type actors struct {
	system *actor.ActorSystem
	pids   []*actor.PID
	done   [64]struct { // messages handled; a line for each, so that the count costs little
		n atomic.Int64
		_ [56]byte
	}
}

type get struct{}

func newActors(b *testing.B) *actors {
	a := &actors{system: actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))}
	for i := range entityKeys {
		state, done := int64(0), &a.done[i%len(a.done)].n
		a.pids = append(a.pids, a.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case int64:
				state += m
				done.Add(1)
			case get:
				c.Respond(state)
			}
		})))
	}
	b.Cleanup(a.system.Shutdown)
	return a
}

// await waits until n messages are handled.
func (a *actors) await(n int) {
	for {
		sum := int64(0)
		for i := range a.done {
			sum += a.done[i].n.Load()
		}
		if sum == int64(n) {
			return
		}
		runtime.Gosched()
	}
}

func benchmarkActors(b *testing.B, n int) {
	a := newActors(b)
	var one any = int64(1) // small integers take no memory in an interface
	b.ReportAllocs()
	b.ResetTimer()
	producers(b, n, func(_, from, to int) {
		for i := from; i < to; i++ {
			a.system.Root.Send(a.pids[i*7919%entityKeys], one)
		}
	})
	a.await(b.N)
}

// BenchmarkAsk reads the states of keys, one after the other, and waits for each.
func BenchmarkAsk(b *testing.B) {
	keys := entityNames()
	b.Run("calm.Ask", func(b *testing.B) {
		ctx := context.Background()
		e := entity.New(func(*entity.Turn[int64, int64], int64) error { return nil })
		b.ReportAllocs()
		for i := range b.N {
			_, _ = entity.Ask(ctx, e, keys[i*7919%entityKeys], func(s *int64) int64 { return *s })
		}
		_ = e.Close(ctx)
	})
	b.Run("protoactor.RequestFuture", func(b *testing.B) {
		a := newActors(b)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if _, err := a.system.Root.RequestFuture(a.pids[i*7919%entityKeys], get{}, time.Minute).Result(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("channel-per-lane", func(b *testing.B) {
		type question struct {
			key    string
			answer chan int64
		}
		chans := make([]chan question, 2)
		for i := range chans {
			chans[i] = make(chan question, 1024)
			go func() {
				states := map[string]*int64{}
				for q := range chans[i] {
					s := states[q.key]
					if s == nil {
						s = new(int64)
						states[q.key] = s
					}
					q.answer <- *s
				}
			}()
			defer close(chans[i])
		}
		b.ReportAllocs()
		for i := range b.N {
			q := question{keys[i*7919%entityKeys], make(chan int64, 1)}
			chans[shard.Hash(q.key, 0)%2] <- q
			<-q.answer
		}
	})
}
