package backpressure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/testenv"
)

// order takes everything out and returns it.
func order[T any](q *Queue[T]) (all []T) {
	for {
		v, ok := q.TryGet()
		if !ok {
			return all
		}
		all = append(all, v)
	}
}

type dropped[T any] struct {
	v   T
	why Reason
}

func noting[T any](to *[]dropped[T]) func(T, Reason) {
	return func(v T, why Reason) { *to = append(*to, dropped[T]{v, why}) }
}

func TestWeighCountsWeight(t *testing.T) {
	weight := func(n int) int64 { return int64(n) }
	q := NewQueue(10, Weigh(weight))
	require.NoError(t, q.TryPut(4))
	require.NoError(t, q.TryPut(6))
	require.ErrorIs(t, q.TryPut(1), ErrOverload)
	require.ErrorIs(t, q.TryPut(0), ErrOverload, "what weighs nothing counts as 1")
	require.Equal(t, QueueStats{Len: 2, Cap: 10, Cost: 10, Put: 2, Rejected: 2}, q.Stats())
	synctest.Test(t, func(t *testing.T) {
		for _, bad := range []int{-1, 11} {
			err := q.Put(background, bad) // an error at once: it would wait for ever
			require.ErrorIs(t, err, ErrWeight)
			require.EqualError(t, err, fmt.Sprintf("backpressure: bad weight: an item weighs %d, the queue holds 10", bad))
			n, err := q.PutAll(background, []int{bad})
			require.Zero(t, n)
			require.ErrorIs(t, err, ErrWeight)
		}
	})
	require.Equal(t, []int{4, 6}, order(q))
	n, err := q.PutAll(background, []int{1, 2, 11, 3})
	require.Equal(t, 2, n)
	require.ErrorIs(t, err, ErrWeight)
	require.Equal(t, []int{1, 2}, order(q))

	var lost []dropped[int]
	q = NewQueue(10, Weigh(weight), DropOldest(noting(&lost)))
	n, err = q.PutAll(background, []int{3, 3, 4, 5})
	require.Equal(t, 4, n)
	require.NoError(t, err)
	require.Equal(t, []dropped[int]{{3, Full}, {3, Full}}, lost)
	require.NoError(t, q.TryPut(10))
	require.Len(t, lost, 4)
	require.Equal(t, []int{10}, order(q))
}

// A heavy item waits for its room and is not overtaken.
func TestHeavyItemsAreNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(4, Weigh(func(n int) int64 { return int64(n) }))
		require.NoError(t, q.Put(background, 2))
		require.NoError(t, q.Put(background, 1))
		go func() { require.NoError(t, q.Put(background, 3)) }()
		synctest.Wait()
		require.ErrorIs(t, q.TryPut(1), ErrOverload, "one waits")
		ctx, cancel := context.WithCancel(background)
		go func() { require.ErrorIs(t, q.Put(ctx, 4), context.Canceled) }()
		synctest.Wait()
		go func() { require.NoError(t, q.Put(background, 1)) }()
		synctest.Wait()

		v, _ := q.TryGet()
		require.Equal(t, 2, v)
		synctest.Wait()
		require.Equal(t, QueueStats{Len: 2, Cap: 4, Cost: 4, Put: 3, Got: 1, Rejected: 1}, q.Stats())
		v, _ = q.TryGet()
		require.Equal(t, 1, v)
		require.Equal(t, 1, q.Stats().Len, "there is room for the last, but one of weight 4 came before it")
		cancel()
		synctest.Wait()
		require.Equal(t, 2, q.Stats().Len, "the one of weight 4 has gone")
		require.Equal(t, []int{3, 1}, order(q))
	})
}

func TestPriorityServesTheHighestFirst(t *testing.T) {
	level := func(n int) int { return n / 10 }
	q := NewQueue(9, Priority(level))
	n, err := q.PutAll(background, []int{11, -9, 1, 31, 12, 2, 13})
	require.NoError(t, err)
	require.Equal(t, 7, n)
	require.Equal(t, []int{31, 11, 12, 13, -9, 1, 2}, order(q))

	var lost []dropped[int]
	for name, c := range map[string]struct {
		opt  []Option[int]
		err  []bool // of each Put
		lost []dropped[int]
		left []int
	}{
		"RejectWhenFull": {
			[]Option[int]{RejectWhenFull[int](), OnDrop(noting(&lost))},
			[]bool{false, false, false, true, false, false, true},
			[]dropped[int]{{2, Shed}, {11, Shed}},
			[]int{31, 32, 12},
		},
		"DropNewest": {
			[]Option[int]{DropNewest(noting(&lost))},
			make([]bool, 7),
			[]dropped[int]{{3, Full}, {2, Shed}, {11, Shed}, {1, Full}},
			[]int{31, 32, 12},
		},
		"DropOldest": {
			[]Option[int]{DropOldest(noting(&lost))},
			make([]bool, 7),
			[]dropped[int]{{2, Full}, {3, Shed}, {12, Shed}, {1, Full}},
			[]int{31, 32, 11},
		},
	} {
		lost = nil
		q := NewQueue(3, append(c.opt, Priority(level))...)
		for i, v := range []int{12, 2, 11, 3, 31, 32, 1} {
			require.Equal(t, c.err[i], q.Put(background, v) != nil, "%s: %d", name, v)
		}
		require.Equal(t, c.left, order(q), name)
		require.Equal(t, c.lost, lost, name)
	}
}

func TestFairTakesTurns(t *testing.T) {
	tenant := func(s string) string { return s[:1] }
	q := NewQueue(20, Fair(tenant, nil))
	_, err := q.PutAll(background, []string{"a1", "a2", "a3", "a4", "b1", "b2", "c1"})
	require.NoError(t, err)
	require.Equal(t, []string{"a1", "b1", "c1", "a2", "b2", "a3", "a4"}, order(q))

	q = NewQueue(20, Fair(tenant, func(k string) int { return map[string]int{"a": 1, "b": 3}[k] }))
	_, err = q.PutAll(background, []string{"a1", "a2", "b1", "b2", "b3", "b4", "b5"})
	require.NoError(t, err)
	require.Equal(t, []string{"a1", "b1", "b2", "b3", "a2", "b4", "b5"}, order(q))
	require.ErrorIs(t, q.Put(background, "c1"), ErrWeight, "a share of 0")

	// A tenant within its share pushes out what others have beyond theirs, and no more.
	for name, c := range map[string]struct {
		policy func(func(string, Reason)) Option[string]
		lost   []dropped[string]
		left   []string
	}{
		"RejectWhenFull": {
			nil,
			[]dropped[string]{{"a4", Shed}, {"a3", Shed}},
			[]string{"a1", "b1", "a2", "b2"},
		},
		"DropNewest": {
			DropNewest[string],
			[]dropped[string]{{"a5", Full}, {"a4", Shed}, {"a3", Shed}, {"b3", Full}, {"a6", Full}},
			[]string{"a1", "b1", "a2", "b2"},
		},
		"DropOldest": {
			DropOldest[string],
			[]dropped[string]{{"a1", Full}, {"a2", Shed}, {"a3", Shed}, {"b1", Full}, {"a4", Full}},
			[]string{"a5", "b2", "a6", "b3"},
		},
	} {
		var lost []dropped[string]
		opts := []Option[string]{Fair(tenant, nil)}
		if c.policy == nil {
			opts = append(opts, RejectWhenFull[string](), OnDrop(noting(&lost)))
		} else {
			opts = append(opts, c.policy(noting(&lost)))
		}
		q := NewQueue(4, opts...)
		for _, v := range []string{"a1", "a2", "a3", "a4", "a5", "b1", "b2", "b3", "a6"} {
			_ = q.Put(background, v)
		}
		require.Equal(t, c.left, order(q), name)
		require.Equal(t, c.lost, lost, name)
	}
}

func TestDeadlineKeepsWhatIsLate(t *testing.T) {
	type job struct {
		name string
		by   time.Time
	}
	synctest.Test(t, func(t *testing.T) {
		var lost []dropped[job]
		in := func(name string, d time.Duration) job { return job{name, time.Now().Add(d)} }
		q := NewQueue(2, Deadline(func(j job) time.Time { return j.by }), OnDrop(noting(&lost)))
		require.NoError(t, q.Put(background, in("a", time.Second)))
		require.NoError(t, q.Put(background, job{name: "no deadline"}))
		var o *Overload
		require.ErrorAs(t, q.TryPut(in("late", 0)), &o)
		require.Equal(t, Overload{Reason: Late}, *o)
		require.ErrorAs(t, q.TryPut(in("full", time.Hour)), &o)
		require.Equal(t, Full, o.Reason)
		for _, d := range []time.Duration{2, 4} {
			go func() {
				err := q.Put(background, in("waits", d*time.Second))
				if d == 4 {
					require.NoError(t, err)
				} else {
					require.ErrorAs(t, err, &o)
					require.Equal(t, Late, o.Reason)
				}
			}()
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		v, err := q.Get(background)
		require.NoError(t, err)
		require.Equal(t, "no deadline", v.name)
		require.Len(t, lost, 1)
		require.Equal(t, "a", lost[0].v.name)
		require.Equal(t, Late, lost[0].why)
		synctest.Wait()
		require.Equal(t, QueueStats{Len: 1, Cap: 2, Cost: 1, Put: 3, Got: 1, Rejected: 3, Late: 1}, q.Stats())

		// What is late makes room.
		require.NoError(t, q.Put(background, in("b", 500*time.Millisecond)))
		time.Sleep(time.Second)
		require.NoError(t, q.TryPut(in("c", time.Second)))
		require.Len(t, lost, 3)
		time.Sleep(time.Second)
		q.Close()
		_, err = q.Get(background)
		require.ErrorIs(t, err, ErrClosed)
		require.Len(t, lost, 4)
		require.NoError(t, q.Drain(background))

		lost = nil
		q = NewQueue(2, Deadline(func(j job) time.Time { return j.by }), DropNewest(noting(&lost)))
		require.NoError(t, q.Put(background, in("late", 0)))
		require.Equal(t, Late, lost[0].why)
		require.Equal(t, QueueStats{Cap: 2, Put: 1, Late: 1}, q.Stats())
	})
}

func TestCoDelShedsFromAStandingQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost []dropped[int]
		q := NewQueue(1000, CoDel[int](5*time.Millisecond, 100*time.Millisecond), OnDrop(noting(&lost)))
		// A burst is served whatever its delay.
		for i := range 20 {
			require.NoError(t, q.Put(background, i))
		}
		for range 20 {
			time.Sleep(2 * time.Millisecond)
			_, err := q.Get(background)
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		require.NoError(t, q.Put(background, -1))
		_, err := q.Get(background)
		require.NoError(t, err)
		require.Empty(t, lost)
		// A queue that stands is cut down to what has waited for 10 ms.
		n := 0
		for i := range 400 {
			require.NoError(t, q.Put(background, i))
			time.Sleep(time.Millisecond)
			if i > 50 && i%2 == 0 {
				v, err := q.Get(background)
				require.NoError(t, err)
				if i > 300 {
					require.GreaterOrEqual(t, v, i-10)
				}
				n++
			}
		}
		s := q.Stats()
		require.EqualValues(t, len(lost), s.Shed)
		require.EqualValues(t, 421-21-n-len(lost), s.Len)
		require.Greater(t, len(lost), 150)
		for _, d := range lost {
			require.Equal(t, Shed, d.why)
		}
	})
}

func TestAdaptiveLIFOTurnsRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(10, AdaptiveLIFO[int](100*time.Millisecond))
		put := func(vs ...int) {
			_, err := q.PutAll(background, vs)
			require.NoError(t, err)
		}
		get := func(want int) {
			v, ok := q.TryGet()
			require.True(t, ok)
			require.Equal(t, want, v)
		}
		put(1, 2, 3, 4)
		time.Sleep(100 * time.Millisecond)
		get(1)
		time.Sleep(time.Nanosecond)
		get(4)
		put(5)
		get(5)
		get(3)
		get(2)
		put(6, 7)
		get(6)
		get(7)

		q = NewQueue(3, AdaptiveLIFO[int](0), RejectWhenFull[int]())
		put(1, 2, 3)
		time.Sleep(time.Nanosecond)
		require.Equal(t, []int{3, 2, 1}, order(q))
	})
}

// thing is an item with everything an option may ask for.
type thing struct {
	n      int
	weight int64
	level  int
	tenant string
	by     time.Time
}

// drawOptions draws options that make sense together.
func drawOptions(intN func(int) int, onDrop func(thing, Reason)) (names []string, opts []Option[thing]) {
	var drops, pushes bool
	add := func(name string, o Option[thing]) { names, opts = append(names, name), append(opts, o) }
	policy := intN(4)
	switch policy {
	case 1:
		add("RejectWhenFull", RejectWhenFull[thing]())
	case 2:
		add("DropOldest", DropOldest[thing](nil))
		drops = true
	case 3:
		add("DropNewest", DropNewest[thing](nil))
		drops = true
	}
	if intN(2) == 0 {
		add("Weigh", Weigh(func(v thing) int64 { return v.weight }))
	}
	if intN(3) == 0 {
		add("Priority", Priority(func(v thing) int { return v.level }))
		pushes = true
	}
	if intN(2) == 0 {
		add("Fair", Fair(func(v thing) string { return v.tenant }, func(k string) int { return len(k) }))
		pushes = true
	}
	if policy != 3 && intN(3) == 0 {
		add("AdaptiveLIFO", AdaptiveLIFO[thing](2*time.Millisecond))
	}
	if intN(3) == 0 {
		add("CoDel", CoDel[thing](time.Millisecond, 5*time.Millisecond))
		drops = true
	}
	if intN(3) == 0 {
		add("Deadline", Deadline(func(v thing) time.Time { return v.by }))
		drops = true
	}
	if drops || pushes && policy == 1 {
		add("OnDrop", OnDrop(onDrop))
	}
	return names, opts
}

func drawThing(intN func(int) int, n int, now time.Time) thing {
	v := thing{n: n, weight: int64(intN(4)), level: intN(3), tenant: "abcc"[intN(4):]}
	if intN(2) == 0 {
		v.by = now.Add(time.Duration(intN(5)) * time.Millisecond)
	}
	return v
}

// TestSchedNoWakeUpIsLost: whatever the options, a queue that is used and drained leaves
// nobody asleep, and every item has one fate.
func TestSchedNoWakeUpIsLost(t *testing.T) {
	for seed := range uint64(testenv.Checks(300)) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			var mu sync.Mutex
			fate := map[int]string{}
			end := func(n int, how string) {
				mu.Lock()
				defer mu.Unlock()
				if before := fate[n]; before != "" {
					t.Errorf("item %d: %s and %s", n, before, how)
				}
				fate[n] = how
			}
			names, opts := drawOptions(rng.IntN, func(v thing, why Reason) { end(v.n, why.String()) })
			capacity := 3 + rng.IntN(4)
			q := NewQueue(capacity, append(opts, func(c *config[thing]) { // always the scheduler
				if !c.scheduled() {
					c.level = func(thing) int { return 0 }
				}
			})...)
			var in atomic.Int64
			var ps, cs sync.WaitGroup
			for p := range 1 + rng.IntN(4) {
				rng := rand.New(rand.NewPCG(seed, uint64(1+p)))
				ps.Go(func() {
					for i := range 1 + rng.IntN(30) {
						ctx, cancel := background, context.CancelFunc(func() {})
						if rng.IntN(3) == 0 {
							ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(3))*time.Millisecond)
						}
						vs := make([]thing, 1+rng.IntN(4))
						for j := range vs {
							vs[j] = drawThing(rng.IntN, p*10000+i*10+j, time.Now())
						}
						n, err := 0, error(nil)
						switch rng.IntN(3) {
						case 0:
							n, err = q.PutAll(ctx, vs)
						case 1:
							err = q.TryPut(vs[0])
							vs = vs[:1]
						default:
							err = q.Put(ctx, vs[0])
							vs = vs[:1]
						}
						if err == nil {
							n = len(vs)
						}
						in.Add(int64(n))
						for _, v := range vs[n:] {
							end(v.n, "refused")
						}
						if s := q.Stats(); s.Cost > int64(capacity) {
							t.Errorf("%d of %d", s.Cost, capacity)
						}
						if rng.IntN(4) == 0 {
							time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
						}
						cancel()
					}
				})
			}
			for c := range 1 + rng.IntN(4) {
				rng := rand.New(rand.NewPCG(seed, uint64(100+c)))
				cs.Go(func() {
					for {
						ctx, cancel := background, context.CancelFunc(func() {})
						if rng.IntN(3) == 0 {
							ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(3))*time.Millisecond)
						}
						dst := make([]thing, 1+rng.IntN(3))
						n, err := 1, error(nil)
						if rng.IntN(3) == 0 {
							n, err = q.GetBatch(ctx, dst)
						} else {
							dst[0], err = q.Get(ctx)
						}
						cancel()
						if errors.Is(err, ErrClosed) {
							return
						}
						if err == nil {
							for _, v := range dst[:n] {
								end(v.n, "got")
							}
						}
						if rng.IntN(2) == 0 {
							time.Sleep(time.Duration(rng.IntN(4)) * time.Millisecond)
						}
					}
				})
			}
			ps.Wait()
			require.NoError(t, q.Drain(background))
			cs.Wait()
			s := q.Stats()
			count := map[string]uint64{}
			for _, how := range fate {
				count[how]++
			}
			require.Equal(t, s.Got, count["got"], "%v", names)
			require.Zero(t, s.Len)
			require.Zero(t, s.Cost)
			if slices.Contains(names, "OnDrop") {
				require.Equal(t, []uint64{s.Dropped, s.Shed, s.Late}, []uint64{count["full"], count["shed"], count["late"]}, "%v", names)
			}
			came := s.Got + s.Shed + s.Late
			if slices.Contains(names, "DropNewest") {
				require.EqualValues(t, in.Load(), s.Put+s.Dropped, "%v", names)
			} else {
				came += s.Dropped
				require.EqualValues(t, in.Load(), s.Put, "%v", names)
			}
			require.Equal(t, came, s.Put, "%v", names)
			require.Zero(t, q.sched.door.size)
			require.Zero(t, q.sched.gets.size)
			require.Nil(t, q.sched.gone)
		})
	}
}

// A batch that is let in bit by bit serves who waits for it, even if it must not wait itself.
func TestPutAllServesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(2, Priority(func(int) int { return 0 }))
		got := 0
		go func() {
			for got < 3 {
				n, err := q.GetBatch(background, make([]int, 4))
				require.NoError(t, err)
				got += n
			}
		}()
		synctest.Wait()
		over, cancel := context.WithCancel(background)
		cancel()
		n, err := q.PutAll(over, []int{1, 2, 3})
		require.Equal(t, 3, n)
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, 3, got)
	})
}

// Who waits for room is let in in the order of the queue, not of arrival.
func TestThoseWhoWaitAreLetInFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			opt  Option[string]
			want []string
		}{
			"Fair":     {Fair(func(s string) string { return s[:1] }, nil), []string{"a1", "a2", "b1", "a3", "a4"}},
			"Priority": {Priority(func(s string) int { return int(s[0]) }), []string{"a1", "b1", "a2", "a3", "a4"}},
		} {
			q := NewQueue(1, c.opt)
			require.NoError(t, q.Put(background, "a1"))
			for _, v := range []string{"a2", "a3", "a4", "b1"} {
				go func() { require.NoError(t, q.Put(background, v)) }()
				synctest.Wait()
			}
			var got []string
			for range 5 {
				v, err := q.Get(background)
				require.NoError(t, err)
				got = append(got, v)
				synctest.Wait()
			}
			require.Equal(t, c.want, got, name)
		}
	})
}

// What a batch leaves behind is counted, and why it stopped is said.
func TestSchedCountsWhatABatchLeaves(t *testing.T) {
	weight := Weigh(func(n int) int64 { return int64(n) })
	ones := func(n int) []int { return slices.Repeat([]int{1}, n) }
	for _, c := range []struct{ capacity, items int }{{3, 7}, {20, 50}, {16, 17}, {17, 17}} {
		q := NewQueue(c.capacity, weight, RejectWhenFull[int]())
		n, err := q.PutAll(background, ones(c.items))
		require.Equal(t, c.capacity, n)
		require.Equal(t, c.items > c.capacity, errors.Is(err, ErrOverload))
		want := QueueStats{
			Len: c.capacity, Cap: c.capacity, Cost: int64(c.capacity),
			Put: uint64(c.capacity), Rejected: uint64(c.items - c.capacity),
		}
		require.Equal(t, want, q.Stats())
		q.Close()
		n, err = q.PutAll(background, ones(5))
		require.Zero(t, n)
		require.Equal(t, ErrClosed, err)
		require.Equal(t, want, q.Stats(), "the closed is not full")
	}
	q := NewQueue(4, weight)
	n, err := q.PutAll(background, []int{1, 2, -1, 1})
	require.Equal(t, 2, n)
	require.ErrorIs(t, err, ErrWeight)
	var o *Overload
	require.ErrorAs(t, q.TryPut(2), &o)
	require.Equal(t, Full, o.Reason)
	n, err = q.PutAll(past(), []int{1, 1})
	require.Equal(t, 1, n)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, QueueStats{Len: 3, Cap: 4, Cost: 4, Put: 3, Rejected: 1}, q.Stats())
}

func TestSchedDoesNotAllocate(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	opts := []Option[thing]{
		Weigh(func(v thing) int64 { return v.weight }),
		Priority(func(v thing) int { return v.level }),
		Fair(func(v thing) string { return v.tenant }, nil),
		AdaptiveLIFO[thing](time.Millisecond),
		CoDel[thing](time.Millisecond, time.Second),
		Deadline(func(v thing) time.Time { return v.by }),
	}
	vs := []thing{{weight: 1, tenant: "a"}, {weight: 1, tenant: "b", level: 1}}
	dst := make([]thing, 2)
	q := NewQueue(10, opts...)
	use := func() {
		_ = q.Put(ctx, vs[0])
		_ = q.TryPut(vs[1])
		_, _ = q.Get(ctx)
		_, _ = q.TryGet()
		_, _ = q.PutAll(ctx, vs)
		_, _ = q.GetBatch(ctx, dst)
	}
	use()
	require.Zero(t, testing.AllocsPerRun(100, use))

	q = NewQueue(1, append(opts, RejectWhenFull[thing](), OnDrop(func(thing, Reason) {}))...)
	require.NoError(t, q.Put(ctx, vs[1]))
	require.Zero(t, testing.AllocsPerRun(100, func() { require.Error(t, q.Put(ctx, vs[0])) }), "a refusal")

	// Parking uses its callers again.
	there, back := NewQueue(1, opts[:5]...), NewQueue(1, opts[:5]...)
	go func() {
		for v := range there.All(ctx) {
			_ = back.Put(ctx, v)
		}
	}()
	require.Zero(t, testing.AllocsPerRun(200, func() {
		_ = there.Put(ctx, vs[0])
		_, _ = back.Get(ctx)
	}))
	there.Close()
}

func TestSchedKeepsNothingAlive(t *testing.T) {
	q := NewQueue(4, Fair(func(*[64]int) int { return 0 }, nil))
	var freed atomic.Int32
	for range 3 {
		v := new([64]int)
		runtime.AddCleanup(v, func(int) { freed.Add(1) }, 0)
		require.NoError(t, q.Put(background, v))
	}
	require.Len(t, order(q), 3)
	for i := 0; i < 100 && freed.Load() < 3; i++ {
		runtime.GC()
		runtime.Gosched()
	}
	require.EqualValues(t, 3, freed.Load())
	runtime.KeepAlive(q)
}
