package backpressure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/internal/testenv"
)

// What a client does to a queue, and what it was told.
type (
	action struct {
		Do     string `json:"do"` // put, drop (a put that may drop), get, batch, close
		V      uint8  `json:"v,omitempty"`
		After  uint8  `json:"after,omitempty"` // of a batch: the item before it
		Client int    `json:"client"`
		N      int    `json:"n,omitempty"` // of a batch: room for so many
	}
	answer struct {
		Err string  `json:"err,omitempty"` // "", full, empty, closed, cancelled
		Got []uint8 `json:"got,omitempty"` // taken, or evicted
	}
)

// contents is the sequential queue.
type contents struct {
	items  string // a byte an item
	closed bool
	last   [4]uint8 // of each client's batch: the last item put
}

// kind is what a queue under test does differently.
type kind struct {
	full   policy
	weigh  bool // 1, 2 or 3, by weightOf
	levels bool // by levelOf
}

func weightOf(v uint8) int64 { return int64(1 + v%3) }
func levelOf(v uint8) int    { return int(v / 2 % 2) }

func (k kind) weight(items string) (w int) {
	if !k.weigh {
		return len(items)
	}
	for i := range len(items) {
		w += int(weightOf(items[i]))
	}
	return w
}

// next is the place of the item whose turn it is.
func (k kind) next(items string) int {
	for i := range len(items) {
		if k.levels && levelOf(items[i]) == 1 {
			return i
		}
	}
	return 0
}

// displaced is the place of the item that has to go for v, or negative if none has.
func (k kind) displaced(items string, v uint8) int {
	if k.full != block && k.levels && levelOf(v) == 1 {
		for i := len(items) - 1; i >= 0; i-- {
			if levelOf(items[i]) == 0 {
				return i
			}
		}
	}
	if k.full == dropOldest {
		return 0
	}
	return -1
}

// queueModel is the specification of a queue of the given capacity.
func queueModel(capacity int, k kind) lincheck.Model[contents, action, answer] {
	return lincheck.Model[contents, action, answer]{
		Step: func(s contents, in action, out answer) (contents, bool) {
			if out.Err == "cancelled" {
				return s, true // without effect, at any time
			}
			switch in.Do {
			case "put":
				var gone []uint8
				if in.After != 0 && s.last[in.Client] != in.After {
					return s, false
				}
				switch out.Err {
				case "closed":
					return s, s.closed
				case "full":
					need := k.weight(string([]byte{in.V}))
					if k.weigh && k.full == block {
						need = 3 // a heavier one may be waiting
					}
					return s, !s.closed && k.weight(s.items)+need > capacity && k.displaced(s.items, in.V) < 0
				}
				if s.closed {
					return s, false
				}
				v := string([]byte{in.V})
				for k.weight(s.items)+k.weight(v) > capacity {
					out := k.displaced(s.items, in.V)
					if out < 0 {
						break
					}
					gone = append(gone, s.items[out])
					s.items = s.items[:out] + s.items[out+1:]
				}
				switch {
				case k.weight(s.items)+k.weight(v) <= capacity:
					s.items += v
				case k.full == dropNewest:
					gone = append(gone, in.V)
				default:
					return s, false
				}
				if !slices.Equal(gone, out.Got) {
					return s, false
				}
				s.last[in.Client] = in.V
				return s, true
			case "get":
				switch out.Err {
				case "closed":
					return s, s.closed && s.items == ""
				case "empty":
					return s, s.items == ""
				}
				if len(out.Got) == 0 || len(out.Got) > min(len(s.items), in.N) {
					return s, false
				}
				for _, v := range out.Got {
					i := k.next(s.items)
					if s.items[i] != v {
						return s, false
					}
					s.items = s.items[:i] + s.items[i+1:]
				}
				return s, true
			}
			s.closed = true
			return s, true
		},
		Equal: func(a, b contents) bool { return a == b },
		Hash: func(s contents) uint64 {
			h := uint64(14695981039346656037)
			for i := range len(s.items) {
				h = (h ^ uint64(s.items[i])) * 1099511628211
			}
			for _, v := range s.last {
				h = (h ^ uint64(v)) * 1099511628211
			}
			if s.closed {
				h = ^h
			}
			return h
		},
	}
}

func verdict(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrClosed):
		return "closed"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, ErrOverload):
		return "full"
	}
	return err.Error()
}

// putTelling is TryPut of an engine that drops, and tells what it dropped.
func putTelling[T any](q *Queue[T], v T) (dropped []T, err error) {
	s := q.sched
	var m terms
	if err := s.describe(v, &m); err != nil {
		return nil, err
	}
	s.mu.Lock()
	now := s.now()
	_, err = s.admit(v, m, now)
	for e := s.gone; e != nil; e = e.next {
		dropped = append(dropped, e.value)
	}
	s.settle(now)
	s.unlock()
	return dropped, err
}

// recordQueue lets four clients do at random whatever a queue can do, while a fifth cancels
// what waits.
func recordQueue(seed uint64, capacity, steps int, k kind, opts ...Option[uint8]) lincheck.History[action, answer] {
	const clients = 4
	var (
		dropped sync.Map
		q       = NewQueue(capacity, opts...)
		cancels [clients]atomic.Pointer[context.CancelFunc]
		left    atomic.Int32
		value   atomic.Uint32
	)
	if k.full == dropNewest {
		q.onDrop = func(v uint8, _ Reason) { dropped.Store(v, true) }
	}
	left.Store(clients)
	var canceller sync.WaitGroup
	canceller.Go(func() {
		for i := 0; left.Load() > 0; i++ {
			runtime.Gosched()
			if c := cancels[i/8%clients].Load(); i%8 == 0 && c != nil {
				(*c)()
			}
		}
	})
	put := func(v uint8, err error) (a answer) {
		a.Err = verdict(err)
		if _, ok := dropped.LoadAndDelete(v); ok {
			a.Got = []uint8{v}
		}
		return a
	}
	h := lincheck.Record(clients, seed, func(c *lincheck.Client[action, answer]) {
		defer left.Add(-1)
		rng := c.Rand()
		producer := c.ID()%2 == 0
		for range steps {
			ctx, cancel := context.WithCancel(context.Background())
			cancels[c.ID()].Store(&cancel)
			if rng.IntN(4) == 0 {
				producer = !producer
			}
			switch what := rng.IntN(16); {
			case what == 0 && rng.IntN(6) == 0:
				c.Do(action{Do: "close"}, func() (a answer) { q.Close(); return a })
			case producer && q.sched != nil && k.full != block: // the engine says what it evicted
				v := uint8(value.Add(1))
				c.Do(action{Do: "put", V: v, Client: c.ID()}, func() (a answer) {
					var err error
					a.Got, err = putTelling(q, v)
					a.Err = verdict(err)
					return a
				})
			case producer && what < 3:
				vs := make([]uint8, 1+rng.IntN(3))
				for i := range vs {
					vs[i] = uint8(value.Add(1))
				}
				var n int
				var err error
				c.DoAll(func() { n, err = q.PutAll(ctx, vs) }, func(part func(action, answer)) {
					prev := uint8(0)
					for i, v := range vs {
						in := action{Do: "put", V: v, After: prev, Client: c.ID()}
						if i >= n {
							part(in, put(v, err))
							return
						}
						part(in, put(v, nil))
						prev = v
					}
				})
			case producer && what < 9:
				v := uint8(value.Add(1))
				c.Do(action{Do: "put", V: v, Client: c.ID()}, func() answer { return put(v, q.TryPut(v)) })
			case producer:
				v := uint8(value.Add(1))
				c.Do(action{Do: "put", V: v, Client: c.ID()}, func() answer { return put(v, q.Put(ctx, v)) })
			case what < 3:
				dst := make([]uint8, 1+rng.IntN(3))
				c.Do(action{Do: "get", N: len(dst)}, func() (a answer) {
					n, err := q.GetBatch(ctx, dst)
					a.Err = verdict(err)
					a.Got = dst[:n]
					return a
				})
			case what < 9:
				c.Do(action{Do: "get", N: 1}, func() (a answer) {
					v, ok := q.TryGet()
					if !ok {
						a.Err = "empty"
						return a
					}
					a.Got = []uint8{v}
					return a
				})
			default:
				c.Do(action{Do: "get", N: 1}, func() (a answer) {
					v, err := q.Get(ctx)
					a.Err = verdict(err)
					if err == nil {
						a.Got = []uint8{v}
					}
					return a
				})
			}
			cancel()
		}
	})
	canceller.Wait()
	return h
}

func TestQueueIsLinearizable(t *testing.T) {
	drop := func(uint8, Reason) {}
	for _, c := range []struct {
		name      string
		kind      kind
		histories int
		opts      []Option[uint8]
	}{
		{"Block", kind{}, 800, nil},
		{"RejectWhenFull", kind{full: reject}, 800, []Option[uint8]{RejectWhenFull[uint8]()}},
		{"DropNewest", kind{full: dropNewest}, 800, []Option[uint8]{DropNewest[uint8](nil)}},
		{"DropOldest", kind{full: dropOldest}, 400, []Option[uint8]{DropOldest(drop)}},
		{"Weigh", kind{weigh: true}, 400, []Option[uint8]{Weigh(weightOf)}},
		{"Weigh,RejectWhenFull", kind{weigh: true, full: reject}, 200, []Option[uint8]{Weigh(weightOf), RejectWhenFull[uint8]()}},
		{"Weigh,DropOldest", kind{weigh: true, full: dropOldest}, 200, []Option[uint8]{Weigh(weightOf), DropOldest(drop)}},
		{"Priority", kind{levels: true}, 400, []Option[uint8]{Priority(levelOf)}},
		{"Priority,RejectWhenFull", kind{levels: true, full: reject}, 200, []Option[uint8]{
			Priority(levelOf), RejectWhenFull[uint8](), OnDrop(drop),
		}},
		{"Priority,Weigh", kind{levels: true, weigh: true}, 400, []Option[uint8]{Priority(levelOf), Weigh(weightOf)}},
	} {
		for capacity := 1; capacity <= 4; capacity++ {
			if c.kind.weigh && capacity < 3 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", c.name, capacity), func(t *testing.T) {
				queueModel(capacity, c.kind).Run(t, c.histories, func(seed uint64) lincheck.History[action, answer] {
					return recordQueue(seed, capacity, 10, c.kind, c.opts...)
				})
			})
		}
	}
}

// TestQueueUnderStress looks at long runs, where the pattern checker decides.
func TestQueueUnderStress(t *testing.T) {
	type did struct {
		put bool
		v   int
	}
	for _, procs := range []int{1, 2, 8} {
		for _, capacity := range []int{1, 3, 64} {
			t.Run(fmt.Sprintf("%dprocs/%d", procs, capacity), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				const clients = 8
				each := testenv.Checks(3000)
				ctx := context.Background()
				q := NewQueue[int](capacity)
				var producers atomic.Int32
				producers.Store(clients / 2)
				h := lincheck.Record(clients, 1, func(c *lincheck.Client[did, int]) {
					if c.ID() >= clients/2 {
						for v := 0; v >= 0; {
							v = c.Do(did{}, func() int {
								v, err := q.Get(ctx)
								if err != nil {
									return -1
								}
								return v
							})
						}
						return
					}
					for i := range each {
						v := i*clients + c.ID()
						c.Do(did{true, v}, func() int { _ = q.Put(ctx, v); return 0 })
					}
					if producers.Add(-1) == 0 {
						q.Close()
					}
				})
				got := 0
				require.NoError(t, lincheck.FIFO(h, func(in did, out int) (lincheck.Role, int) {
					switch {
					case in.put:
						return lincheck.Put, in.v
					case out < 0:
						return lincheck.None, 0
					}
					got++
					return lincheck.Got, out
				}))
				require.Equal(t, each*clients/2, got)
				require.Zero(t, q.Stats().Len)
			})
		}
	}
}

func TestBatchesKeepTheirOrder(t *testing.T) {
	ctx := context.Background()
	for _, capacity := range []int{1, 5, 16} {
		q := NewQueue[int](capacity)
		var wg sync.WaitGroup
		const total = 5000
		for p := range 2 {
			wg.Go(func() {
				for i := 0; i < total; {
					n := min(1+i%7, total-i)
					vs := make([]int, n)
					for j := range vs {
						vs[j] = (i+j)*2 + p
					}
					k, err := q.PutAll(ctx, vs)
					if k != n || err != nil {
						panic(fmt.Sprint(k, err))
					}
					i += n
				}
			})
		}
		go func() { wg.Wait(); q.Close() }()
		next := [2]int{}
		dst := make([]int, 4)
		for {
			n, err := q.GetBatch(ctx, dst)
			if err != nil {
				require.ErrorIs(t, err, ErrClosed)
				break
			}
			for _, v := range dst[:n] {
				require.Equal(t, next[v%2], v/2, "producer %d", v%2)
				next[v%2]++
			}
		}
		require.Equal(t, [2]int{total, total}, next)
		require.False(t, slices.Contains(next[:], 0))
	}
}
