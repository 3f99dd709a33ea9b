package entity_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/internal/testenv"
	"github.com/go-calm/calm/shard"
	"github.com/go-calm/calm/shard/entity"
	"github.com/stretchr/testify/require"
)

var ctx = context.Background()

// numbered is a message that knows its place among those of its sender to its key.
type numbered struct{ sender, n int }

// log is a state that remembers everything.
type log struct {
	got  []numbered
	busy atomic.Int32
}

func record(t *entity.Turn[log, numbered], m numbered) error {
	if t.State.busy.Add(1) != 1 {
		panic("two turns of one key at once")
	}
	t.State.got = append(t.State.got, m)
	t.State.busy.Add(-1)
	return nil
}

// inOrder checks that a log holds n messages of each of some senders, each sender's in order.
func inOrder(t *testing.T, got []numbered, senders, n int) {
	t.Helper()
	next := make([]int, senders)
	for _, m := range got {
		require.Equal(t, next[m.sender], m.n, "of sender %d", m.sender)
		next[m.sender]++
	}
	for s := range next {
		require.Equal(t, n, next[s], "of sender %d", s)
	}
}

func TestEachKeyInOrderOneAtATime(t *testing.T) {
	for _, lanes := range []int{1, 3} {
		for _, batch := range []int{0, 1, 7} {
			t.Run(fmt.Sprint(lanes, " lanes, batch ", batch), func(t *testing.T) {
				e := entity.New(record, entity.Lanes(lanes), entity.Depth(8))
				const senders, keys, n = 4, 10, 50
				var wg sync.WaitGroup
				for s := range senders {
					wg.Go(func() {
						sender := e.Sender(batch)
						for i := range n {
							for k := range keys {
								key := fmt.Sprint("key", k)
								var err error
								if batch == 0 {
									err = e.Send(ctx, key, numbered{s, i})
								} else {
									err = sender.Send(ctx, key, numbered{s, i})
								}
								if err != nil {
									t.Error(err)
								}
							}
						}
						if err := sender.Flush(ctx); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				for k := range keys {
					got, err := entity.Ask(ctx, e, fmt.Sprint("key", k), func(l *log) []numbered { return l.got })
					require.NoError(t, err)
					inOrder(t, got, senders, n)
				}
				require.NoError(t, e.Close(ctx))
				st := e.Stats()
				require.Zero(t, st.Errors)
				keysHeld, handled := 0, uint64(0)
				for _, l := range st.Lanes {
					keysHeld, handled = keysHeld+l.Keys, handled+l.Handled
				}
				require.Equal(t, keys, keysHeld)
				require.EqualValues(t, senders*keys*n+keys, handled)
				require.NotEmpty(t, st.Slowest)
			})
		}
	}
}

// A key's state is one object: adds by messages and reads by Ask are linearizable, if an add counts
// from its Ask to its answer.
func TestStateIsLinearizable(t *testing.T) {
	type op struct{ key, add int }
	model := lincheck.Model[[2]int, op, int]{
		Step: func(s [2]int, in op, out int) ([2]int, bool) {
			s[in.key] += in.add
			return s, out == s[in.key]
		},
	}
	model.Run(t, testenv.Checks(150), func(seed uint64) lincheck.History[op, int] {
		e := entity.New(func(t *entity.Turn[int, int], m int) error { *t.State += m; return nil }, entity.Lanes(2), entity.Depth(2))
		h := lincheck.Record(4, seed, func(c *lincheck.Client[op, int]) {
			for range 12 {
				in := op{c.Rand().IntN(2), c.Rand().IntN(3)}
				c.Do(in, func() int {
					v, err := entity.Ask(ctx, e, fmt.Sprint(in.key), func(s *int) int { *s += in.add; return *s })
					if err != nil {
						t.Error(err)
					}
					return v
				})
			}
		})
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
		return h
	})
}

// Slots go back and forth between two owners under load: nothing is lost, doubled or out of order.
func TestHandoffUnderLoad(t *testing.T) {
	const slots, senders, keys, n = 8, 3, 24, 60
	m, err := shard.New([]shard.Node{{ID: "x"}}, shard.Slots(slots), shard.Seed(5))
	require.NoError(t, err)
	owners := [2]*entity.Entities[log, numbered]{
		entity.New(record, entity.Like(m), entity.Lanes(2), entity.Depth(4)),
		entity.New(record, entity.Like(m), entity.Lanes(3), entity.Depth(4), entity.Owns(func(shard.Slot) bool { return false })),
	}
	var wg sync.WaitGroup
	var sending atomic.Int32
	for s := range senders {
		sending.Add(1)
		wg.Go(func() {
			defer sending.Add(-1)
			for i := range n {
				for k := range keys {
					for try := 0; ; try++ { // at most one owner takes it
						err := owners[try%2].Send(ctx, fmt.Sprint("key", k), numbered{s, i})
						if err == nil {
							break
						}
						if !errors.Is(err, entity.ErrNotOwned) {
							t.Error(err)
							return
						}
						runtime.Gosched()
					}
				}
			}
		})
	}
	moves := 0
	for i := 0; sending.Load() > 0 || i < 2*slots; i++ {
		s := shard.Slot(i % slots)
		from, to := owners[i/slots%2], owners[1-i/slots%2]
		states, err := from.Handoff(ctx, s)
		require.NoError(t, err)
		require.NoError(t, to.Adopt(s, states))
		moves++
	}
	wg.Wait()
	for k := range keys {
		key := fmt.Sprint("key", k)
		var got []numbered
		found := 0
		for _, e := range owners {
			v, err := entity.Ask(ctx, e, key, func(l *log) []numbered { return l.got })
			if err == nil {
				got, found = v, found+1
			} else {
				require.ErrorIs(t, err, entity.ErrNotOwned)
			}
		}
		require.Equal(t, 1, found, "owners of %s", key)
		inOrder(t, got, senders, n)
	}
	for _, e := range owners {
		require.NoError(t, e.Close(ctx))
	}
	t.Log(moves, "hand-offs")
}

// Two lanes with room for one message flood each other.
func TestTurnsThatSendToEachOtherDoNotDeadlock(t *testing.T) {
	type hop struct{ left int }
	var hops atomic.Int64
	e := entity.New(func(t *entity.Turn[int, hop], m hop) error {
		hops.Add(1)
		*t.State++
		if m.left > 0 {
			for i := range 3 {
				t.Send(fmt.Sprint(t.Key[0]^1, i), hop{m.left - 1})
			}
		}
		return nil
	}, entity.Lanes(2), entity.Depth(1))
	for i := range 20 {
		require.NoError(t, e.Send(ctx, fmt.Sprint(i), hop{4}))
	}
	const all = 20 * (1 + 3 + 9 + 27 + 81)
	require.NoError(t, e.Close(ctx)) // waits for all they lead to
	require.EqualValues(t, all, hops.Load())
}

// What a turn sends to a key meets what others send to it: there is one state of each key.
func TestAKeyHasOneStateWhoeverSends(t *testing.T) {
	e := entity.New(func(t *entity.Turn[int, bool], forward bool) error {
		*t.State++
		if forward {
			for k := range 20 {
				t.Send(fmt.Sprint("key", k), false)
			}
		}
		return nil
	}, entity.Lanes(4))
	for k := range 20 {
		require.NoError(t, e.Send(ctx, fmt.Sprint("key", k), true))
	}
	synced := 0
	for _, wait := range []bool{true, false} {
		for k := range 20 {
			states, err := e.Handoff(ctx, shard.Slot(shard.Hash(fmt.Sprint("key", k), 0)>>52))
			require.NoError(t, err)
			all := maps.Collect(states)
			if !wait {
				require.Len(t, all, 1)
				synced += *all[fmt.Sprint("key", k)]
			}
			if wait {
				require.NoError(t, e.Adopt(shard.Slot(shard.Hash(fmt.Sprint("key", k), 0)>>52), maps.All(all)))
			}
		}
	}
	require.EqualValues(t, 20+20*20, synced+int(e.Stats().Strays))
	require.NoError(t, e.Close(ctx))
}

// A panic costs one message, not those behind it, and a batch that went in half goes on in order.
// A handler that ends its goroutine, as a failed assertion of a test does, ends its message alone.
func TestHandlersThatEndTheirGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		var failed []error
		e := entity.New(func(turn *entity.Turn[int, int], m int) error {
			if m == 1 {
				turn.Send("other", 9)
			}
			if m%2 == 1 && turn.Key != "other" {
				runtime.Goexit()
			}
			if m == 4 && turn.Key == "k" {
				turn.Send("other", m)
			}
			got = append(got, fmt.Sprint(turn.Key, m))
			return nil
		}, entity.Lanes(1), entity.OnError(func(_ string, err error) { failed = append(failed, err) }))
		s := e.Sender(100)
		for m := range 6 {
			require.NoError(t, s.Send(ctx, "k", m))
		}
		require.NoError(t, s.Flush(ctx))
		_, err := entity.Ask(ctx, e, "k", func(*int) int { runtime.Goexit(); return 1 })
		require.ErrorIs(t, err, entity.ErrPanic)
		n, err := entity.Ask(ctx, e, "k", func(*int) int { return 7 })
		require.NoError(t, err)
		require.Equal(t, 7, n)
		require.NoError(t, e.Close(ctx))
		require.Equal(t, []string{"k0", "k2", "k4", "other4"}, got)
		require.Len(t, failed, 3)
		for _, err := range failed {
			require.ErrorIs(t, err, entity.ErrPanic)
		}
		require.EqualValues(t, 4, e.Stats().Panics)
	})
}

func TestPanicsAndPartialBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var got []int
		e := entity.New(func(_ *entity.Turn[int, int], m int) error {
			<-gate
			if m == 1 {
				panic(m)
			}
			got = append(got, m)
			return nil
		}, entity.Lanes(1), entity.Depth(4))
		require.NoError(t, e.Send(ctx, "k", 0))
		synctest.Wait() // the lane took it and waits
		s := e.Sender(6)
		for i := range 5 {
			require.NoError(t, s.Send(ctx, "k", i+1))
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, s.Flush(over), context.Canceled) // four went in
		close(gate)
		require.NoError(t, s.Flush(ctx))
		require.NoError(t, e.Close(ctx))
		require.Equal(t, []int{0, 2, 3, 4, 5}, got)
	})
}

func TestOutboxGoesOutOnlyIfTheTurnSucceeds(t *testing.T) {
	boom := errors.New("boom")
	var mu sync.Mutex
	reported := map[string]error{}
	e := entity.New(func(t *entity.Turn[int, string], m string) error {
		*t.State++
		switch m {
		case "fail":
			t.Send("other", "count")
			t.After(0, "count")
			t.Forget()
			return boom
		case "panic":
			t.Send("other", "count")
			panic("ouch")
		case "succeed":
			t.Send("other", "count")
		}
		return nil
	}, entity.OnError(func(key string, err error) {
		mu.Lock()
		defer mu.Unlock()
		reported[key] = err
		panic("even the error handler panics")
	}))
	for _, m := range []string{"fail", "panic", "succeed"} {
		require.NoError(t, e.Send(ctx, m, m))
		require.NoError(t, e.Send(ctx, m, "count"))
	}
	for _, key := range []string{"fail", "panic", "succeed"} {
		v, err := entity.Ask(ctx, e, key, func(s *int) int { return *s })
		require.NoError(t, err)
		require.Equal(t, 2, v, key)
	}
	_, err := entity.Ask(ctx, e, "fail", func(s *int) int { panic(boom) })
	require.ErrorIs(t, err, entity.ErrPanic)
	require.ErrorContains(t, err, "boom")
	var p *entity.PanicError
	require.ErrorAs(t, err, &p)
	require.Contains(t, string(p.Stack), "entities_test.go")
	v, err := entity.Ask(ctx, e, "other", func(s *int) int { return *s })
	require.NoError(t, err)
	require.LessOrEqual(t, v, 1)
	require.NoError(t, e.Close(ctx))
	require.Equal(t, boom, reported["fail"])
	require.ErrorIs(t, reported["panic"], entity.ErrPanic)
	require.EqualValues(t, 2, e.Stats().Errors)
	require.EqualValues(t, 4, e.Stats().Panics) // the handler, the function, and the error handler twice
}

func TestTimersAndForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		e := entity.New(func(t *entity.Turn[int, string], m string) error {
			switch *t.State++; m {
			case "start":
				t.After(time.Second, "tick")
				t.After(time.Hour, "never")
			case "tick":
				at = append(at, time.Since(start))
				if len(at) < 3 {
					t.After(time.Second, "tick")
				} else {
					t.Forget()
				}
			case "never":
				at = append(at, 0)
			}
			return nil
		}, entity.Lanes(2))
		require.NoError(t, e.Send(ctx, "k", "start"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, at)
		keys := 0
		for _, l := range e.Stats().Lanes {
			keys += l.Keys
		}
		require.Zero(t, keys)
		v, err := entity.Ask(ctx, e, "k", func(s *int) int { return *s })
		require.NoError(t, err)
		require.Zero(t, v)
		require.NoError(t, e.Close(ctx))
		time.Sleep(2 * time.Hour)
		require.Len(t, at, 3)
	})
}

// A lane finds the states of several messages before it handles the first of them; a turn may forget
// one of them.
func TestAForgottenStateIsGoneForTheNextMessage(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	e := entity.New(func(t *entity.Turn[int, string], m string) error {
		*t.State++
		switch m {
		case "wait":
			close(begun)
			<-release
		case "forget":
			t.Forget()
		}
		return nil
	}, entity.Lanes(1))
	require.NoError(t, e.Send(ctx, "other", "wait"))
	<-begun
	for _, m := range []string{"", "forget", "", ""} {
		require.NoError(t, e.Send(ctx, "key", m))
	}
	close(release)
	n, err := entity.Ask(ctx, e, "key", func(s *int) int { return *s })
	require.NoError(t, err)
	require.Equal(t, 2, n, "the messages after the one that forgot")
	require.NoError(t, e.Close(ctx))
}

func TestFullMailboxes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		handled := 0
		e := entity.New(func(*entity.Turn[int, int], int) error { <-gate; handled++; return nil }, entity.Lanes(1), entity.Depth(1))
		require.NoError(t, e.Send(ctx, "k", 0))
		synctest.Wait() // the lane took it
		accepted := 1
		for e.TrySend("k", 0) == nil {
			accepted++
		}
		err := e.TrySend("k", 0)
		require.ErrorIs(t, err, backpressure.ErrOverload)

		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.ErrorIs(t, e.Send(short, "k", 0), context.DeadlineExceeded)
		s := e.Sender(1)
		require.ErrorIs(t, s.Send(short, "k", 0), context.DeadlineExceeded)
		_, err = entity.Ask(short, e, "k", func(*int) int { return 0 })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		slot := shard.Slot(shard.Hash("k", 0) >> 52)
		_, err = e.Handoff(short, slot)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		short, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = e.Handoff(short, slot+1) // an empty slot of a lane that does not move on
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, e.TrySend("k", 0), "the slot is owned again, and the lane has one more mailbox")
		accepted++
		require.ErrorIs(t, e.TrySend("k", 0), backpressure.ErrOverload)
		for range 3 {
			_, err = e.Handoff(short, slot)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, e.TrySend("k", 0), backpressure.ErrOverload, "but not more than one")
		}
		require.Equal(t, 2, e.Stats().Lanes[0].Depth)
		go func() {
			for range 100 {
				gate <- struct{}{}
			}
		}()
		require.NoError(t, s.Flush(ctx))
		require.NoError(t, e.Close(ctx))
		require.Equal(t, accepted+1, handled)
		for range 100 - handled {
			<-gate
		}
	})
}

// Who gives up an Ask leaves it to the lane: its answer is nobody's, least of all the next one's.
func TestLateAnswersAreSeenByNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, ran := make(chan struct{}), 0
		e := entity.New(func(*entity.Turn[int, int], int) error { <-gate; return nil }, entity.Lanes(1))
		give := func(f func(*int) int) {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := entity.Ask(short, e, "k", f)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		give(func(*int) int { <-gate; ran++; return -1 }) // is under way when its asker leaves
		gate <- struct{}{}
		synctest.Wait()
		require.NoError(t, e.Send(ctx, "k", 0))
		synctest.Wait() // the lane is stuck once more
		for range 3 {
			give(func(*int) int { ran++; return -1 })
		}
		answers := make(chan int, 20)
		for i := range 20 {
			go func() {
				n, err := entity.Ask(ctx, e, "k", func(*int) int { return i })
				if err != nil || n != i {
					t.Errorf("%d, %v instead of %d", n, err, i)
				}
				answers <- n
			}()
		}
		synctest.Wait()
		require.Empty(t, answers)
		gate <- struct{}{}
		for range 20 {
			<-answers
		}
		require.Equal(t, 1, ran, "nobody waits for the others any more, so they do not run")
		require.NoError(t, e.Close(ctx))
	})
}

func TestClosed(t *testing.T) {
	e := entity.New(record)
	s := e.Sender(4)
	require.NoError(t, s.Send(ctx, "k", numbered{}))
	require.NoError(t, e.Close(ctx), "what is in a batch is not accepted, and not waited for")
	var unsent *entity.Unsent[numbered]
	require.ErrorAs(t, s.Flush(ctx), &unsent)
	require.ErrorIs(t, unsent, entity.ErrClosed)
	require.Equal(t, []entity.Message[numbered]{{Key: "k"}}, unsent.Messages)
	require.NoError(t, s.Flush(ctx), "they have left the batch")
	require.NoError(t, e.Close(ctx))
	require.ErrorIs(t, e.Send(ctx, "k", numbered{}), entity.ErrClosed)
	require.ErrorIs(t, e.TrySend("k", numbered{}), entity.ErrClosed)
	require.ErrorIs(t, s.Send(ctx, "k", numbered{}), entity.ErrClosed)
	_, err := entity.Ask(ctx, e, "k", func(*log) int { return 0 })
	require.ErrorIs(t, err, entity.ErrClosed)
	_, err = e.Handoff(ctx, 1)
	require.ErrorIs(t, err, entity.ErrClosed)
	require.ErrorIs(t, e.Adopt(1, maps.All(map[string]*log{})), entity.ErrClosed)
}

func TestSlotsNotOwned(t *testing.T) {
	var strays []string
	e := entity.New(func(t *entity.Turn[int, string], m string) error {
		*t.State++
		t.Send(m, "")
		return nil
	}, entity.Lanes(1), entity.Owns(func(s shard.Slot) bool { return s < 2048 }), entity.OnStray(func(key string, _ any) { strays = append(strays, key) }))
	here, there := "", ""
	slotOf := func(key string) shard.Slot { return shard.Slot(shard.Hash(key, 0) >> 52) }
	for i := 0; here == "" || there == ""; i++ {
		if key := fmt.Sprint(i); slotOf(key) < 2048 {
			here = key
		} else {
			there = key
		}
	}
	require.ErrorIs(t, e.Send(ctx, there, ""), entity.ErrNotOwned)
	require.ErrorIs(t, e.TrySend(there, ""), entity.ErrNotOwned)
	require.NoError(t, e.Send(ctx, here, there))
	_, err := e.Handoff(ctx, 4096)
	require.ErrorIs(t, err, entity.ErrSlot)
	require.ErrorIs(t, e.Adopt(4096, maps.All(map[string]*int{})), entity.ErrSlot)
	_, err = e.Handoff(ctx, slotOf(there))
	require.ErrorIs(t, err, entity.ErrNotOwned)
	require.ErrorIs(t, e.Adopt(slotOf(here), maps.All(map[string]*int{})), entity.ErrOwned)
	n := 40
	require.ErrorIs(t, e.Adopt(slotOf(there), maps.All(map[string]*int{here: &n})), entity.ErrNotOwned)
	require.NoError(t, e.Adopt(slotOf(there), maps.All(map[string]*int{there: &n})))
	v, err := entity.Ask(ctx, e, there, func(s *int) int { return *s })
	require.NoError(t, err)
	require.Equal(t, 40, v)
	states, err := e.Handoff(ctx, slotOf(there))
	require.NoError(t, err)
	require.Equal(t, map[string]*int{there: &n}, maps.Collect(states))
	require.NoError(t, e.Adopt(slotOf(there), nil))
	v, err = entity.Ask(ctx, e, there, func(s *int) int { return *s })
	require.NoError(t, err)
	require.Zero(t, v, "the state left with the slot")
	_, err = e.Handoff(ctx, slotOf(there))
	require.NoError(t, err)
	require.NoError(t, e.Close(ctx))
	require.Equal(t, []string{there}, strays)
	require.EqualValues(t, 1, e.Stats().Strays)
}

func TestOptionsOutOfRange(t *testing.T) {
	require.PanicsWithValue(t, "entity: nil option", func() { entity.New(record, nil) })
	require.PanicsWithValue(t, "entity: Like: nil map", func() { entity.Like(nil) })
	require.Panics(t, func() { entity.New(record, entity.Lanes(0)) })
	require.Panics(t, func() { entity.New(record, entity.Depth(0)) })
	require.Panics(t, func() { entity.New[[]int, int](nil) })
}

// A batch that meets a slot that has gone gives its messages back, and sends the others, in order.
func TestBatchMeetsASlotThatHasGone(t *testing.T) {
	m, err := shard.New([]shard.Node{{ID: "x"}}, shard.Slots(2))
	require.NoError(t, err)
	e := entity.New(record, entity.Like(m), entity.Lanes(1))
	s := e.Sender(8)
	keys, gone := [2][]string{}, m.Slot("a")
	for i := range 6 {
		k := string(rune('a' + i))
		slot := m.Slot(k)
		keys[slot] = append(keys[slot], k)
		require.NoError(t, s.Send(ctx, k, numbered{n: i}))
	}
	require.NotEmpty(t, keys[0])
	require.NotEmpty(t, keys[1])
	_, err = e.Handoff(ctx, gone)
	require.NoError(t, err, "it does not wait for what is in batches")
	require.ErrorIs(t, s.Send(ctx, "a", numbered{}), entity.ErrNotOwned)
	var unsent *entity.Unsent[numbered]
	require.ErrorAs(t, s.Flush(ctx), &unsent)
	require.ErrorIs(t, unsent, entity.ErrNotOwned)
	require.Contains(t, unsent.Error(), "not sent")
	var back []string
	for _, m := range unsent.Messages {
		back = append(back, m.Key)
	}
	require.Equal(t, keys[gone], back)
	require.NoError(t, e.Close(ctx))
	require.EqualValues(t, len(keys[1-gone]), e.Stats().Lanes[0].Handled)
}

// Neither Send nor a batch allocates, nor does a turn that sends.
func TestSendDoesNotAllocate(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	e := entity.New(func(t *entity.Turn[int, int], m int) error {
		if *t.State += m; m > 0 {
			t.Send("other", 0)
		}
		return nil
	}, entity.Lanes(1), entity.Depth(16))
	s := e.Sender(4)
	keys := []string{"a", "b", "c", "d", "e"}
	for range 1000 { // so that everything has grown
		for _, k := range keys {
			require.NoError(t, e.Send(ctx, k, 1))
		}
	}
	i := 0
	require.Zero(t, testing.AllocsPerRun(2000, func() {
		i++
		_ = e.Send(ctx, keys[i%5], 1)
		_ = s.Send(ctx, keys[i%5], 1)
	}))
	require.NoError(t, s.Flush(ctx))
	get := func(s *int) int { return *s }
	require.LessOrEqual(t, testing.AllocsPerRun(2000, func() { // room for the answer
		i++
		_, _ = entity.Ask(ctx, e, keys[i%5], get)
	}), 1.0)
	require.NoError(t, e.Close(ctx))
}

// A key costs 33 to 49 bytes beside its state, by how full the table is.
func TestMemoryPerKey(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector takes memory")
	}
	const full = 1 << 16 * 7 / 8 // of the table: one more and it grows
	names := make([]string, full+1)
	for i := range names {
		names[i] = fmt.Sprint("user:", i)
	}
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	for _, keys := range []int{full * 3 / 4, full, full + 1} {
		before := heap()
		e := entity.New(func(t *entity.Turn[[4]int64, int], m int) error { return nil }, entity.Lanes(1), entity.Depth(16))
		for _, k := range names[:keys] {
			require.NoError(t, e.Send(ctx, k, 1))
		}
		_, err := entity.Ask(ctx, e, names[keys-1], func(*[4]int64) int { return 0 })
		require.NoError(t, err)
		per := float64(heap()-before)/float64(keys) - 32
		t.Logf("%.1f bytes a key beside its state", per)
		require.LessOrEqual(t, per, 64.0)
		require.NoError(t, e.Close(ctx))
	}
	runtime.KeepAlive(names)
}

// What was accepted comes with the state, and what waits for room is refused. The state goes with its
// slot, and does not stay behind.
func TestHandoffWaitsForAllThatWasAccepted(t *testing.T) {
	for _, depth := range []int{2, 16} {
		synctest.Test(t, func(t *testing.T) {
			gate := make(chan struct{})
			e := entity.New(func(t *entity.Turn[int, bool], _ bool) error {
				<-gate
				*t.State++
				return nil
			}, entity.Lanes(1), entity.Depth(depth))
			slot := shard.Slot(shard.Hash("k", 0) >> 52)
			handed := make(chan map[string]*int, 1)
			require.NoError(t, e.Send(ctx, "k", true))
			synctest.Wait() // it is being handled, and nothing else is in its batch
			done := make(chan error, 12)
			for range 12 {
				go func() { done <- e.Send(ctx, "k", true) }()
			}
			synctest.Wait() // they are in the mailbox, or wait for room there
			go func() {
				states, err := e.Handoff(ctx, slot)
				if err != nil {
					t.Error(err)
				}
				handed <- maps.Collect(states)
			}()
			synctest.Wait()
			require.ErrorIs(t, e.TrySend("k", true), entity.ErrNotOwned)
			accepted := 1
			for range 12 {
				if err := <-done; err == nil {
					accepted++
				} else {
					require.ErrorIs(t, err, entity.ErrNotOwned)
				}
			}
			require.Equal(t, 1+min(depth, 12), accepted)
			for range accepted { // one after the other, so that the lane never gets ahead of the hand-off
				require.Empty(t, handed)
				gate <- struct{}{}
				synctest.Wait()
			}
			close(gate)
			states := <-handed
			require.Len(t, states, 1)
			require.Equal(t, accepted, *states["k"])
			require.NoError(t, e.Adopt(slot, maps.All(map[string]*int{})))
			left, err := entity.Ask(ctx, e, "k", func(n *int) int { return *n })
			require.NoError(t, err)
			require.Zero(t, left, "the state went with the slot")
			require.NoError(t, e.Close(ctx))
		})
	}
}

// A lane gets a new mailbox with each hand-off. One that is stuck meanwhile finds what came between two
// that gave up.
func TestHandoffsThatGiveUpLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		e := entity.New(func(t *entity.Turn[[]int, int], m int) error {
			<-gate
			*t.State = append(*t.State, m)
			return nil
		}, entity.Lanes(1), entity.Depth(3))
		slot := shard.Slot(shard.Hash("k", 0) >> 52)
		sent := 0
		for round := range 6 {
			// Some find it empty, as the lane has taken the one message that it is stuck with.
			for most := []int{1, 1, 1, 3, 100, 100}[round]; sent < most && e.TrySend("k", sent) == nil; sent++ {
				synctest.Wait()
			}
			short, cancel := context.WithTimeout(ctx, time.Second)
			_, err := e.Handoff(short, slot)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.Equal(t, 1+2+3, sent, "one in hand, a mailbox that is left at two, and one more")
		close(gate)
		states, err := e.Handoff(ctx, slot)
		require.NoError(t, err)
		got := *maps.Collect(states)["k"]
		require.Len(t, got, sent)
		for i, m := range got {
			require.Equal(t, i, m)
		}
		require.NoError(t, e.Close(ctx))
	})
}

// Who waits for room in a mailbox that is replaced goes on waiting for the next, if its slot is still
// owned, as a message or in a batch.
func TestSendersOfOtherSlotsAreNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		e := entity.New(func(t *entity.Turn[[]int, int], m int) error {
			<-gate
			*t.State = append(*t.State, m)
			return nil
		}, entity.Lanes(1), entity.Depth(2))
		require.NoError(t, e.Send(ctx, "k", 0))
		synctest.Wait()
		done := make(chan error, 2)
		go func() {
			for i := range 9 {
				if err := e.Send(ctx, "k", i+1); err != nil {
					done <- err
				}
			}
			done <- nil
		}()
		go func() {
			s := e.Sender(9)
			for i := range 9 {
				if err := s.Send(ctx, "b", i); err != nil {
					done <- err
				}
			}
			done <- nil
		}()
		go func() {
			synctest.Wait()
			for range 19 {
				gate <- struct{}{}
			}
			close(gate)
		}()
		slot := shard.Slot(shard.Hash("k", 0)>>52) + 1
		for range 5 {
			_, err := e.Handoff(ctx, slot)
			require.NoError(t, err)
			require.NoError(t, e.Adopt(slot, maps.All(map[string]*[]int{})))
		}
		for range 2 {
			require.NoError(t, <-done)
		}
		for key, n := range map[string]int{"k": 10, "b": 9} {
			got, err := entity.Ask(ctx, e, key, func(s *[]int) []int { return *s })
			require.NoError(t, err)
			require.Len(t, got, n)
			for i, m := range got {
				require.Equal(t, i, m)
			}
		}
		require.NoError(t, e.Close(ctx))
	})
}

// Nothing is accepted for a slot before the states that come with it are in place.
func TestAdoptedSlotsOpenWithTheirStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		slot := shard.Slot(shard.Hash("k", 0) >> 52)
		e := entity.New(func(t *entity.Turn[int, bool], _ bool) error {
			<-gate
			*t.State++
			return nil
		}, entity.Lanes(1), entity.Owns(func(s shard.Slot) bool { return s != slot }))
		require.NoError(t, e.Send(ctx, "another", true)) // keeps the lane busy
		synctest.Wait()
		adopted, n := make(chan error), 41
		go func() { adopted <- e.Adopt(slot, maps.All(map[string]*int{"k": &n})) }()
		synctest.Wait()
		require.ErrorIs(t, e.TrySend("k", true), entity.ErrNotOwned)
		close(gate)
		require.NoError(t, <-adopted)
		require.NoError(t, e.Send(ctx, "k", true))
		got, err := entity.Ask(ctx, e, "k", func(n *int) int { return *n })
		require.NoError(t, err)
		require.Equal(t, 42, got)
		require.NoError(t, e.Close(ctx))
	})
}

// What turns send waits apart from what is being served, however much it is.
func TestTurnsMaySendMoreThanTheyGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := 0
		e := entity.New(func(t *entity.Turn[int, int], left int) error {
			handled++
			for i := range min(left, 2) {
				t.Send(fmt.Sprint(i), left-1)
			}
			return nil
		}, entity.Lanes(1))
		require.NoError(t, e.Send(ctx, "k", 5))
		synctest.Wait()
		// Two of each, but one of those that may send no more than one.
		require.Equal(t, 1+2+4+8+16+16, handled)
		require.NoError(t, e.Close(ctx))
	})
}

// Of the turns that are timed, one in 64, the longest are kept, a key once.
func TestSlowestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := entity.New(func(_ *entity.Turn[int, int], m int) error {
			time.Sleep(time.Duration(m) * time.Second)
			return nil
		}, entity.Lanes(1))
		send := func(key string, m int) {
			require.NoError(t, e.Send(ctx, key, m))
			for range 63 {
				require.NoError(t, e.Send(ctx, "quick", 0))
			}
		}
		for i := range 12 {
			send(fmt.Sprint("key", i), 10+i*7%12)
		}
		send("key0", 100)
		send("key0", 1)
		require.NoError(t, e.Close(ctx))
		slowest := e.Stats().Slowest
		require.Len(t, slowest, 8)
		require.Equal(t, entity.Slow{Key: "key0", Took: 100 * time.Second}, slowest[0])
		for i, s := range slowest[1:] {
			require.Equal(t, time.Duration(21-i)*time.Second, s.Took)
		}
	})
}
