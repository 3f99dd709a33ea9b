package backpressure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/internal/testenv"
)

// constantly is an algorithm that always says the same.
type constantly float64

func (c constantly) Step(Window) float64 { return float64(c) }

// recorder keeps the windows it is shown.
type recorder struct {
	windows []Window
	say     func(Window) float64
}

func (r *recorder) Step(w Window) float64 {
	r.windows = append(r.windows, w)
	return r.say(w)
}

func idle(t testing.TB, l *Limiter) {
	t.Helper()
	s := l.Stats()
	require.Zero(t, s.InFlight)
	require.Zero(t, s.Waiting)
	require.Zero(t, l.word.Load()&waitingBit)
}

func TestLimiterLimits(t *testing.T) {
	l := NewLimiter(Fixed(2), Named("db"))
	a, err := l.Acquire(background)
	require.NoError(t, err)
	b, ok := l.TryAcquire()
	require.True(t, ok)
	_, ok = l.TryAcquire()
	require.False(t, ok)
	_, err = l.Acquire(background)
	var o *Overload
	require.ErrorAs(t, err, &o)
	require.ErrorIs(t, err, ErrOverload)
	require.Equal(t, Overload{Reason: Full, Scope: "db", Queued: 2, Limit: 2}, *o)
	require.Equal(t, LimiterStats{Limit: 2, InFlight: 2, Admitted: 2, Rejected: 2}, l.Stats())
	a.Release(Done)
	_, ok = l.TryAcquire()
	require.True(t, ok)
	b.Release(Done)
	require.Equal(t, LimiterStats{Limit: 2, InFlight: 1, Admitted: 3, Rejected: 2}, l.Stats())
}

func TestPermitIsReleasedOnce(t *testing.T) {
	l := NewLimiter(Fixed(3))
	var ps []Permit
	for range 3 {
		p, ok := l.TryAcquire()
		require.True(t, ok)
		ps = append(ps, p)
	}
	stale := ps[0]
	for range 3 {
		copied := ps[0]
		copied.Release(Done)
		ps[0].Release(Dropped)
	}
	require.Equal(t, 2, l.Stats().InFlight)
	p, ok := l.TryAcquire() // perhaps in the same place
	require.True(t, ok)
	stale.Release(Done)
	require.Equal(t, 3, l.Stats().InFlight)
	for _, p := range append(ps, p, Permit{}) {
		p.Release(Ignored)
	}
	idle(t, l)
}

func TestPermitIsReleasedOnceByMany(t *testing.T) {
	l := NewLimiter(Fixed(8))
	for range testenv.Checks(500) {
		p, ok := l.TryAcquire()
		require.True(t, ok)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { p.Release(Done) })
		}
		wg.Wait()
		idle(t, l)
	}
}

func TestAcquireWithADoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(background)
	cancel()
	for _, l := range []*Limiter{NewLimiter(), NewLimiter(Fixed(1), Waiting(1))} {
		_, err := l.Acquire(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, ErrOverload)
		require.ErrorIs(t, l.Do(ctx, func(context.Context) error { panic("must not be called") }), context.Canceled)
		idle(t, l)
	}
}

func TestCost(t *testing.T) {
	l := NewLimiter(Fixed(10))
	for _, n := range []int64{0, -1, math.MinInt64} {
		_, err := l.Acquire(WithCost(background, n))
		require.ErrorIs(t, err, ErrCost)
	}
	idle(t, l)
	a, err := l.Acquire(WithCost(background, 7))
	require.NoError(t, err)
	_, err = l.Acquire(WithCost(background, 4))
	require.ErrorIs(t, err, ErrOverload)
	b, err := l.Acquire(WithCost(background, 3))
	require.NoError(t, err)
	require.Equal(t, LimiterStats{Limit: 10, InFlight: 10, Admitted: 2, Rejected: 1}, l.Stats())
	b.Release(Done)
	a.Release(Done)
	idle(t, l)
	all, err := l.Acquire(WithCost(background, math.MaxInt64))
	require.NoError(t, err, "more than the limit runs alone")
	_, ok := l.TryAcquire()
	require.False(t, ok)
	all.Release(Done)
	idle(t, l)
	require.EqualValues(t, 3, l.Stats().Admitted)
}

func TestContextsAddUp(t *testing.T) {
	ctx := WithCost(WithPriority(WithTenant(background, "a"), 3), 5)
	require.Equal(t, request{"a", 3, 5}, requestOf(ctx))
	require.Equal(t, request{"b", 3, 5}, requestOf(WithTenant(ctx, "b")))
	require.Equal(t, request{"a", 3, 5}, requestOf(ctx))
	require.Equal(t, request{"", 0, 1}, requestOf(background))
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	for _, opts := range [][]LimiterOption{
		{Fixed(0)},
		{Fixed(-1)},
		{Fixed(1 << 20)},
		{Between(0, 5)},
		{Between(6, 5)},
		{Between(1, 1<<20)},
		{Waiting(-1)},
		{Starting(0)},
		{Using(nil)},
		{nil},
		{Fixed(3), Using(&Vegas{})},
		{Fixed(3), Between(1, 4)},
	} {
		require.Panics(t, func() { NewLimiter(opts...) })
	}
	require.Equal(t, 7, NewLimiter(Between(7, 9)).Stats().Limit)
	require.Equal(t, 2, NewLimiter(Between(1, 2)).Stats().Limit)
}

// TestDoReleases runs what a handler may do, and looks for the permit afterwards.
func TestDoReleases(t *testing.T) {
	rec := &recorder{say: func(w Window) float64 { return w.Limit }}
	l := NewLimiter(Using(rec), Starting(2))
	boom := errors.New("boom")
	require.NoError(t, l.Do(background, func(context.Context) error { return nil }))
	require.ErrorIs(t, l.Do(background, func(context.Context) error { return boom }), boom)
	require.PanicsWithValue(t, "oh", func() { _ = l.Do(background, func(context.Context) error { panic("oh") }) })
	idle(t, l)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = l.Do(background, func(context.Context) error { runtime.Goexit(); return nil })
	}()
	<-gone
	idle(t, l)
	require.EqualValues(t, 2, l.drops.Load(), "the panic and the exit")
	require.Equal(t, []Outcome{Done, Ignored, Dropped, Dropped}, []Outcome{
		outcomeOf(nil), outcomeOf(boom), outcomeOf(fmt.Errorf("x: %w", &Overload{Reason: Full})), outcomeOf(context.DeadlineExceeded),
	})
}

func TestWaitersAreServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Fixed(3), Waiting(1000))
		var running, most, served atomic.Int64
		for range 300 {
			go func() {
				require.NoError(t, l.Do(background, func(context.Context) error {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(time.Millisecond)
					running.Add(-1)
					served.Add(1)
					return nil
				}))
			}()
		}
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 297, served.Load())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 300, served.Load(), "no slot is ever left empty")
		require.EqualValues(t, 3, most.Load())
		idle(t, l)
	})
}

// TestServedAtTheLastMoment gives up and serves in one breath: whoever comes first, the permit is
// where it belongs.
func TestServedAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Fixed(1), Waiting(1))
		for range 100 {
			held, ok := l.TryAcquire()
			require.True(t, ok)
			ctx, giveUp := context.WithCancel(background)
			got := make(chan error, 1)
			go func() {
				p, err := l.Acquire(ctx)
				p.Release(Done)
				got <- err
			}()
			synctest.Wait()
			giveUp()
			held.Release(Done)
			if err := <-got; err != nil {
				require.ErrorIs(t, err, context.Canceled)
			}
			idle(t, l)
		}
	})
}

// TestWaitingEndsInEveryWay lets some thousand callers come, wait, give up, panic and exit, and looks
// whether anything is left. Who would wait for ever fails the bubble.
func TestWaitingEndsInEveryWay(t *testing.T) {
	for seed := range uint64(testenv.Checks(20)) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			limits := rand.New(rand.NewPCG(seed, 4)) // of its own, for windows end in other goroutines
			say := &recorder{say: func(Window) float64 { return 1 + 10*limits.Float64() }}
			l := NewLimiter(Using(say), Waiting(1+rng.IntN(50)))
			var answered atomic.Int64
			for range 2000 {
				time.Sleep(time.Duration(rng.Int64N(int64(time.Millisecond))))
				ctx, stop := context.WithTimeout(background, time.Duration(rng.Int64N(int64(100*time.Millisecond))))
				if rng.IntN(4) == 0 {
					ctx = WithPriority(WithTenant(ctx, fmt.Sprint(rng.IntN(5))), rng.IntN(3))
				}
				if rng.IntN(8) == 0 {
					ctx = WithCost(ctx, rng.Int64N(20))
				}
				if rng.IntN(10) == 0 {
					stop()
				}
				took, end := time.Duration(rng.ExpFloat64()*float64(5*time.Millisecond)), rng.IntN(10)
				go func() {
					defer answered.Add(1)
					defer stop()
					defer func() { _ = recover() }()
					err := l.Do(ctx, func(context.Context) error {
						time.Sleep(took)
						switch end {
						case 0:
							panic("no")
						case 1:
							runtime.Goexit()
						case 2:
							return context.DeadlineExceeded
						}
						return nil
					})
					if err != nil && !errors.Is(err, ErrOverload) && !errors.Is(err, ErrCost) {
						require.True(t, errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled), err)
					}
				}()
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			require.EqualValues(t, 2000, answered.Load())
			require.NotEmpty(t, say.windows)
			idle(t, l)
		})
	}
}

// TestWhoIsServedNext holds one permit, lets callers queue up, and looks at the order.
func TestWhoIsServedNext(t *testing.T) {
	order := func(most int, gap, deadline time.Duration, ctxs ...context.Context) (served []int, refused map[int]error) {
		synctest.Test(t, func(t *testing.T) {
			l := NewLimiter(Fixed(1), Waiting(most))
			hold, ok := l.TryAcquire()
			require.True(t, ok)
			refused = map[int]error{}
			var mu sync.Mutex
			for i, ctx := range ctxs {
				go func() {
					mine, stop := context.WithCancel(ctx)
					if deadline > 0 {
						mine, stop = context.WithTimeout(ctx, deadline)
					}
					defer stop()
					p, err := l.Acquire(mine)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						refused[i] = err
						return
					}
					served = append(served, i)
					p.Release(Done)
				}()
				synctest.Wait()
				time.Sleep(gap)
			}
			hold.Release(Done)
			synctest.Wait()
			idle(t, l)
		})
		return served, refused
	}
	of := func(tenant string) context.Context { return WithTenant(background, tenant) }
	at := func(p int) context.Context { return WithPriority(background, p) }

	served, _ := order(10, time.Millisecond, 0, background, background, background)
	require.Equal(t, []int{0, 1, 2}, served, "a short line is served in order")
	served, _ = order(10, 60*time.Millisecond, 0, background, background, background)
	require.Equal(t, []int{2, 1, 0}, served, "one that has stood for long is not")
	served, _ = order(10, time.Millisecond, 0, at(-1), at(5), at(0), at(5))
	require.Equal(t, []int{1, 3, 2, 0}, served, "by priority")
	served, _ = order(10, time.Millisecond, 0, of("a"), of("a"), of("a"), of("b"), of("c"), of("b"))
	require.Equal(t, []int{0, 3, 4, 1, 5, 2}, served, "tenants in turns")

	served, refused := order(3, time.Millisecond, 0, of("a"), of("b"), of("b"), of("c"))
	require.Equal(t, []int{0, 2, 3}, served)
	var o *Overload
	require.ErrorAs(t, refused[1], &o)
	require.Equal(t, Shed, o.Reason, "the oldest of who holds most makes room")
	served, refused = order(2, time.Millisecond, 0, at(1), at(0), at(2))
	require.Equal(t, []int{2, 0}, served)
	require.ErrorIs(t, refused[1], ErrOverload, "the least important makes room")
	served, refused = order(2, time.Millisecond, 0, at(1), at(1), at(0))
	require.Equal(t, []int{0, 1}, served)
	require.ErrorAs(t, refused[2], &o)
	require.Equal(t, Full, o.Reason, "or does not get in")

	served, refused = order(10, 30*time.Millisecond, 80*time.Millisecond, background, background, background, background)
	require.Len(t, served, 2)
	require.ErrorIs(t, refused[0], context.DeadlineExceeded)
}

func TestCostlyWaiterIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(Fixed(4), Waiting(10))
		var held []Permit
		for range 4 {
			p, _ := l.TryAcquire()
			held = append(held, p)
		}
		var got []string
		ask := func(ctx context.Context, name string) {
			go func() {
				p, err := l.Acquire(ctx)
				if err == nil {
					got = append(got, name)
					p.Release(Done)
				}
			}()
			synctest.Wait()
		}
		ctx, giveUp := context.WithCancel(WithCost(background, 3))
		ask(ctx, "big")
		ask(background, "small")
		held[0].Release(Done)
		synctest.Wait()
		require.Empty(t, got, "room for the small one is kept for the big one")
		_, ok := l.TryAcquire()
		require.False(t, ok)
		giveUp()
		synctest.Wait()
		require.Equal(t, []string{"small"}, got, "who gives up lets the others pass")
		for _, p := range held {
			p.Release(Done)
		}
		idle(t, l)
	})
}

func TestWhatAnAlgorithmMaySay(t *testing.T) {
	for _, c := range []struct {
		say  float64
		want int
	}{
		{math.NaN(), 10},
		{math.Inf(1), 50},
		{math.Inf(-1), 2},
		{-7, 2},
		{0, 2},
		{1e300, 50},
		{7.4, 7},
		{7.6, 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			var told [][2]int
			l := NewLimiter(Using(constantly(c.say)), Between(2, 50), Starting(10),
				Observe(Hooks{Limit: func(from, to int) { told = append(told, [2]int{from, to}) }}))
			for range 100 {
				require.NoError(t, l.Do(background, func(context.Context) error { time.Sleep(time.Millisecond); return nil }))
			}
			require.Equal(t, c.want, l.Stats().Limit)
			if c.want != 10 {
				require.Equal(t, [][2]int{{10, c.want}}, told)
			}
		})
	}
}

// TestOvertaking has a server that begins work as it comes and does k things at once.
func TestOvertaking(t *testing.T) {
	for _, c := range []struct {
		k, limit  int
		cost      int64
		constant  bool
		low, high float64
	}{
		{k: 1, limit: 1, low: 1, high: 1},
		{k: 1, limit: 5, low: 1, high: 1},
		{k: 4, limit: 3, low: 2, high: 3},
		{k: 4, limit: 10, low: 4, high: 4},
		{k: 30, limit: 60, low: 25, high: 30},
		{k: 4, limit: 10, constant: true, low: 1, high: 3},
		{k: 4, limit: 10, cost: 2, low: 0, high: 0}, // not known
	} {
		rec := &recorder{say: func(w Window) float64 { return w.Limit }}
		a := NewAdmission(1, Using(rec), Starting(c.limit), Waiting(1000))
		rng := rand.New(rand.NewPCG(7, 7))
		now, slots, line := time.Duration(0), make([]time.Duration, c.k), []Permit(nil)
		type answer struct {
			at time.Duration
			p  Permit
		}
		var answers []answer
		for step := range 3000 {
			a.Ask(now, Request{Cost: c.cost}, func(p Permit, err error) {
				require.NoError(t, err)
				line = append(line, p)
			})
			for len(line) > 0 && slices.Min(slots) <= now {
				work := 10 * time.Millisecond
				if !c.constant {
					work = time.Duration(rng.ExpFloat64() * float64(work))
				}
				slots[slices.Index(slots, slices.Min(slots))] = now + work
				answers = append(answers, answer{now + work, line[0]})
				line = line[1:]
			}
			if step > 2*c.limit {
				slices.SortFunc(answers, func(a, b answer) int { return cmp.Compare(a.at, b.at) })
				now = answers[0].at
				a.Release(now, answers[0].p, Done)
				answers = answers[1:]
			}
		}
		require.NotEmpty(t, rec.windows)
		for _, w := range rec.windows {
			require.GreaterOrEqual(t, w.Overtaking, c.low, "%+v", c)
			require.LessOrEqual(t, w.Overtaking, c.high, "%+v", c)
			if c.constant {
				require.Less(t, w.Spread, 0.6, "%+v", c)
			} else if c.limit <= c.k {
				require.InDelta(t, 1.2, w.Spread, 0.7, "the logarithm of exponential times")
			}
		}
	}
}

func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{say: func(w Window) float64 { return w.Limit }}
		l := NewLimiter(Using(rec), Starting(2))
		for i := range 100 {
			p, err := l.Acquire(background)
			require.NoError(t, err)
			time.Sleep(10 * time.Millisecond)
			switch i % 4 {
			case 0:
				time.Sleep(10 * time.Millisecond)
				p.Release(Done)
			case 1:
				p.Release(Dropped)
			case 2:
				p.Release(Ignored)
			default:
				p.Release(Done)
			}
		}
		require.NotEmpty(t, rec.windows)
		w := rec.windows[0]
		require.Equal(t, 400*time.Millisecond, w.Elapsed.Round(time.Microsecond))
		require.Equal(t, Window{
			Now: w.Now, Elapsed: w.Elapsed, Samples: 16, Mean: 15 * time.Millisecond, Min: 10 * time.Millisecond, P90: 20 * time.Millisecond,
			MaxInFlight: 1, Dropped: true, Limit: 2, InFlight: 1, Median: 20 * time.Millisecond, Completed: 32, Drops: 8,
			Overtaking: 1, Spread: math.Log(2) / 2.563,
		}, w)
		require.False(t, w.Limited)
		a, _ := l.TryAcquire()
		b, _ := l.TryAcquire()
		_, ok := l.TryAcquire()
		require.False(t, ok)
		a.Release(Ignored)
		b.Release(Ignored)
		n := len(rec.windows)
		for range 50 {
			require.NoError(t, l.Do(background, func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil }))
		}
		require.True(t, rec.windows[n].Limited)
		require.False(t, rec.windows[n+1].Limited)
		require.Equal(t, 10*time.Millisecond, l.Stats().RTT)
	})
}

// TestRetryAfter fills a limiter that does a thousand a second and looks at what those are told who
// are sent away.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []*Overload
		l := NewLimiter(Fixed(10), Observe(Hooks{Refused: func(o *Overload) { told = append(told, o) }}))
		work := func() {
			_ = l.Do(background, func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil })
		}
		stop := time.Now().Add(time.Second)
		for range 10 {
			go func() {
				for time.Now().Before(stop) {
					work()
				}
			}()
		}
		time.Sleep(500*time.Millisecond + time.Microsecond)
		require.ErrorIs(t, l.Do(background, nil), ErrOverload)
		require.Len(t, told, 1)
		require.GreaterOrEqual(t, told[0].RetryAfter, 900*time.Microsecond, "the next is free in a millisecond")
		require.Less(t, told[0].RetryAfter, 10*time.Millisecond)
		for range 1000 {
			_, _ = l.Acquire(background)
		}
		time.Sleep(20 * time.Millisecond) // the answers are a while old
		_, _ = l.Acquire(background)
		last := told[len(told)-1]
		require.Greater(t, last.RetryAfter, 900*time.Millisecond, "behind those who were sent away before")
		require.Less(t, last.RetryAfter, 2500*time.Millisecond)
		distinct := map[time.Duration]bool{}
		for _, o := range told {
			distinct[o.RetryAfter] = true
		}
		require.Greater(t, len(distinct), 32, "not all at once")
		time.Sleep(time.Second)
	})
}

func TestLimiterAllocations(t *testing.T) {
	if testenv.Race {
		t.Skip("sync.Pool drops at random")
	}
	allocs := func(what string, f func()) {
		t.Helper()
		require.Zero(t, testing.AllocsPerRun(1000, f), what)
	}
	for _, l := range []*Limiter{NewLimiter(), NewLimiter(Fixed(5)), NewLimiter(Waiting(10))} {
		allocs("acquire and release", func() {
			p, err := l.Acquire(background)
			if err != nil {
				t.Fatal(err)
			}
			p.Release(Done)
		})
		allocs("try", func() {
			p, _ := l.TryAcquire()
			p.Release(Done)
		})
	}
	full := NewLimiter(Fixed(1))
	_, _ = full.Acquire(background)
	allocs("refuse", func() {
		if _, err := full.Acquire(background); err == nil {
			t.Fatal("admitted")
		}
	})
	allocs("refuse to try", func() { full.TryAcquire() })
	work := func(context.Context) error { return nil }
	l := NewLimiter()
	allocs("do", func() { _ = l.Do(background, work) })
}

// TestLimiterIsLinearizable checks the gate under limits that change.
func TestLimiterIsLinearizable(t *testing.T) {
	type state struct{ limit, out int }
	type input struct {
		Do string
		N  int
	}
	model := lincheck.Model[state, input, bool]{
		Init: func() state { return state{limit: 2} },
		Step: func(s state, in input, ok bool) (state, bool) {
			switch in.Do {
			case "limit":
				s.limit = in.N
				return s, true
			case "release":
				s.out -= in.N
				return s, s.out >= 0
			}
			n := min(in.N, s.limit)
			if !ok {
				return s, s.out+n > s.limit
			}
			s.out += n
			return s, s.out <= s.limit && n == in.N
		},
		Hash: func(s state) uint64 { return uint64(s.limit)<<32 | uint64(s.out) },
	}
	model.Run(t, 4000, func(seed uint64) lincheck.History[input, bool] {
		l := NewLimiter(Between(2, 4), Starting(2))
		return lincheck.Record(4, seed, func(c *lincheck.Client[input, bool]) {
			var held []Permit
			var costs []int
			for range 12 {
				switch k := c.Rand().IntN(8); {
				case k == 0:
					n := 2 + c.Rand().IntN(3)
					c.Do(input{"limit", n}, func() bool { l.set(float64(n)); return true })
				case k < 4 && len(held) > 0:
					p, n := held[0], costs[0]
					held, costs = held[1:], costs[1:]
					c.Do(input{"release", n}, func() bool { p.Release(Done); return true })
				default:
					n := 1 + c.Rand().IntN(2)
					c.Do(input{"acquire", n}, func() bool {
						p, ok := l.take(int64(n), waitingBit)
						if ok {
							held, costs = append(held, p), append(costs, n)
						}
						return ok
					})
				}
			}
		})
	})
}

// TestAdmissionAgreesWithItsSpecification asks, releases and gives up at random, with limits that
// change, and counts along.
func TestAdmissionAgreesWithItsSpecification(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := 5.0
		a := NewAdmission(1, Using(&recorder{say: func(Window) float64 { return limit }}), Between(2, 9), Waiting(rapid.IntRange(0, 6).Draw(t, "waiting")))
		type asked struct {
			answers, cost int
			permit        Permit
			err           error
			giveUp        func(time.Duration)
			left          bool
		}
		var all []*asked
		var now time.Duration
		next := func() time.Duration {
			now += time.Duration(rapid.Int64Range(0, int64(30*time.Millisecond)).Draw(t, "later"))
			return now
		}
		some := func(t *rapid.T, f func(*asked) bool) *asked {
			fit := slices.DeleteFunc(slices.Clone(all), func(q *asked) bool { return !f(q) })
			if len(fit) == 0 {
				t.Skip("nobody")
			}
			return rapid.SampledFrom(fit).Draw(t, "who")
		}
		out := func(q *asked) bool { return q.answers == 1 && q.err == nil && q.permit != Permit{} }
		in := func(q *asked) bool { return q.answers == 0 && !q.left }
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				q := &asked{}
				r := Request{
					Tenant:   rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "tenant"),
					Priority: rapid.IntRange(-1, 1).Draw(t, "priority"),
					Cost:     rapid.Int64Range(0, 3).Draw(t, "cost"),
				}
				at := next()
				if rapid.Bool().Draw(t, "hurried") {
					r.Deadline = at + time.Duration(rapid.Int64Range(1, int64(100*time.Millisecond)).Draw(t, "deadline"))
				}
				q.cost = min(max(1, int(r.Cost)), a.Stats().Limit)
				all = append(all, q)
				q.giveUp = a.Ask(at, r, func(p Permit, err error) { q.answers, q.permit, q.err = q.answers+1, p, err })
			},
			"release": func(t *rapid.T) {
				q := some(t, out)
				p := q.permit
				q.permit = Permit{}
				a.Release(next(), p, rapid.SampledFrom([]Outcome{Done, Ignored, Dropped}).Draw(t, "outcome"))
				a.Release(now, p, Done)
			},
			"give up": func(t *rapid.T) {
				q := some(t, in)
				q.giveUp(next())
				q.left = true
				q.giveUp(now)
			},
			"limit": func(t *rapid.T) { limit = rapid.Float64Range(0, 12).Draw(t, "limit") },
			"": func(t *rapid.T) {
				s, held, waiting := a.Stats(), 0, 0
				for _, q := range all {
					require.LessOrEqual(t, q.answers, 1)
					require.False(t, q.left && q.answers > 0)
					if q.err != nil {
						require.ErrorIs(t, q.err, ErrOverload)
						require.Equal(t, Permit{}, q.permit)
					}
					if out(q) {
						held++
					}
					if in(q) {
						waiting++
					}
				}
				require.Equal(t, waiting, s.Waiting)
				require.LessOrEqual(t, held, max(9, s.InFlight))
				require.GreaterOrEqual(t, s.InFlight, held)
				require.GreaterOrEqual(t, s.Limit, 2)
				require.LessOrEqual(t, s.Limit, 9)
				if waiting > 0 {
					require.Greater(t, s.InFlight+3, s.Limit, "nobody waits while there is room for the dearest")
				}
				require.Equal(t, waiting > 0, a.l.word.Load()&waitingBit != 0)
			},
		})
		for _, q := range all {
			q.giveUp(now)
			q.permit.Release(Done)
		}
		for _, q := range all { // who was let in meanwhile
			q.permit.Release(Done)
		}
		s := a.Stats()
		require.Zero(t, s.InFlight+s.Waiting)
	})
}

// TestWindowSaysWhatIsLeft has two callers wait who have deadlines, and one who has none.
func TestWindowSaysWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{say: func(w Window) float64 { return w.Limit }}
		l := NewLimiter(Using(rec), Starting(1), Waiting(10))
		first, err := l.Acquire(background)
		require.NoError(t, err)
		for _, left := range []time.Duration{time.Second, 3 * time.Second, 0} {
			go func() {
				ctx, cancel := context.WithCancel(background)
				if left > 0 {
					ctx, cancel = context.WithTimeout(background, left)
				}
				defer cancel()
				_ = l.Do(ctx, func(context.Context) error { return nil })
			}()
		}
		synctest.Wait()
		time.Sleep(500 * time.Millisecond)
		first.Release(Done)
		synctest.Wait()
		for range 60 {
			require.NoError(t, l.Do(background, func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil }))
		}
		require.Equal(t, 1500*time.Millisecond, rec.windows[0].Left.Round(time.Microsecond))
		require.Zero(t, rec.windows[1].Left)
	})
}
