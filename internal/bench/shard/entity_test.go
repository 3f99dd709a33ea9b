package shard_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/go-calm/calm/shard"
	"github.com/go-calm/calm/shard/entity"
)

const entityKeys = 10_000

func entityNames() []string {
	s := make([]string, entityKeys)
	for i := range s {
		s[i] = fmt.Sprintf("user:%08d", i)
	}
	return s
}

// producers splits b.N messages over some goroutines.
func producers(b *testing.B, n int, send func(p, from, to int)) {
	var wg sync.WaitGroup
	for p := range n {
		wg.Go(func() { send(p, b.N*p/n, b.N*(p+1)/n) })
	}
	wg.Wait()
}

// warm sends a message to each key and waits until they are handled: states are made but once.
func warm(b *testing.B, e *entity.Entities[int64, int64], keys []string) {
	for _, k := range keys {
		_ = e.Send(context.Background(), k, 1)
	}
	for handled := uint64(0); handled < uint64(len(keys)); {
		runtime.Gosched()
		handled = 0
		for _, l := range e.Stats().Lanes {
			handled += l.Handled
		}
	}
	b.ResetTimer()
}

// BenchmarkEntities adds 1 to the states of 10 000 keys, until all messages are handled.
//
// With one producer, three goroutines share two cores: for each message the producer hashes the key,
// reads its bytes, looks which mailbox the lane has and whether it owns the slot, takes the mailbox's
// index and gives it back (two locked instructions), and writes 40 bytes that travel to the other core;
// the lane reads them, a line of its index, one of its entries and the state, and calls the handler.
// States and mailboxes together are as large as both second-level caches, so what the neighbors of this
// machine do is seen.
//
// With sixteen cores and more the lanes share nothing but what nobody writes: the mailbox's address,
// the set of owned slots (64 lines for 32 768 slots) and whether all is closed are in every core's
// cache until a slot moves. What producers share is the lane's mailbox: the line of its tail passes from
// one to the next, some 100 ns each time where caches are far apart, and so a lane takes about ten
// million messages a second however many send to it; with 64 in a batch the line passes once for 64.
// A lane a core, the default, is then what scales: producers meet less the more lanes there are.
func BenchmarkEntities(b *testing.B) {
	ctx := context.Background()
	keys := entityNames()
	add := func(t *entity.Turn[int64, int64], m int64) error { *t.State += m; return nil }
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("calm.Send/producers=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			e := entity.New(add)
			warm(b, e, keys)
			producers(b, n, func(_, from, to int) {
				for i := from; i < to; i++ {
					_ = e.Send(ctx, keys[i*7919%entityKeys], 1)
				}
			})
			_ = e.Close(ctx)
		})
		b.Run(fmt.Sprintf("calm.Sender/producers=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			e := entity.New(add)
			warm(b, e, keys)
			producers(b, n, func(_, from, to int) {
				s := e.Sender(64)
				for i := from; i < to; i++ {
					_ = s.Send(ctx, keys[i*7919%entityKeys], 1)
				}
				_ = s.Flush(ctx)
			})
			_ = e.Close(ctx)
		})
		b.Run(fmt.Sprintf("protoactor/producers=%d", n), func(b *testing.B) { benchmarkActors(b, n) })
		for _, lanes := range []int{2, 16} {
			b.Run(fmt.Sprintf("channel-per-lane=%d/producers=%d", lanes, n), func(b *testing.B) {
				b.ReportAllocs()
				type message struct {
					key string
					n   int64
				}
				chans := make([]chan message, lanes)
				var done sync.WaitGroup
				for i := range chans {
					chans[i] = make(chan message, 1024)
					done.Go(func() {
						states := map[string]*int64{}
						for m := range chans[i] {
							s := states[m.key]
							if s == nil {
								s = new(int64)
								states[m.key] = s
							}
							*s += m.n
						}
					})
				}
				send := func(key string) { chans[shard.Hash(key, 0)%uint64(lanes)] <- message{key, 1} }
				for _, k := range keys {
					send(k)
				}
				for _, c := range chans {
					for len(c) > 0 {
						runtime.Gosched()
					}
				}
				b.ResetTimer()
				producers(b, n, func(_, from, to int) {
					for i := from; i < to; i++ {
						send(keys[i*7919%entityKeys])
					}
				})
				for _, c := range chans {
					close(c)
				}
				done.Wait()
			})
		}
	}
}
