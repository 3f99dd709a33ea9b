package clock

import (
	"cmp"
	"context"
	"io/fs"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/internal/testenv"
)

// stamper is what is checked: a Clock, or one of the broken ones below.
type stamper interface {
	Now() Timestamp
	Reserve(n int) Timestamp
	Observe(Timestamp) (Timestamp, error)
	Witness(Timestamp) error
	Last() Timestamp
}

type (
	request struct {
		Op     string
		Remote Timestamp
		N      int
	}
	reply struct {
		T       Timestamp
		Refused bool
	}
)

// register is the specification: one number that only grows.
var register = lincheck.Model[Timestamp, request, reply]{
	Step: func(s Timestamp, in request, out reply) (Timestamp, bool) {
		if out.Refused {
			return s, in.Op == "observe" || in.Op == "witness"
		}
		switch in.Op {
		case "now":
			return out.T, out.T > s
		case "reserve":
			return out.T + Timestamp(in.N) - 1, out.T > s
		case "observe":
			return out.T, out.T > s && out.T > in.Remote
		case "witness":
			return max(s, in.Remote), true
		default:
			return s, out.T == s
		}
	},
	Equal: func(a, b Timestamp) bool { return a == b },
	Hash:  func(s Timestamp) uint64 { return uint64(s) * 0x9e3779b97f4a7c15 },
}

// exercise lets a few clients do a little of everything. A remote timestamp is near what
// the client saw last, or too far ahead.
func exercise(s stamper, src *Fake, clients int) func(seed uint64) lincheck.History[request, reply] {
	return func(seed uint64) lincheck.History[request, reply] {
		return lincheck.Record(clients, seed, func(c *lincheck.Client[request, reply]) {
			last, rng := Timestamp(0), c.Rand()
			for range 16 {
				var in request
				switch k := rng.IntN(12); {
				case k < 4:
					in.Op = "now"
				case k < 6:
					in.Op, in.N = "reserve", 1+rng.IntN(4)
				case k < 8:
					in.Op, in.Remote = "observe", last+Timestamp(rng.IntN(5)-2)
				case k < 9:
					in.Op, in.Remote = "witness", last+Timestamp(rng.IntN(9)-4)
				case k < 10:
					in.Op, in.Remote = "witness", src.nowSafe().Add(time.Hour)
				default:
					in.Op = "last"
				}
				out := c.Do(in, func() reply {
					switch in.Op {
					case "now":
						return reply{T: s.Now()}
					case "reserve":
						return reply{T: s.Reserve(in.N)}
					case "observe":
						t, err := s.Observe(in.Remote)
						return reply{t, err != nil}
					case "witness":
						return reply{Refused: s.Witness(in.Remote) != nil}
					}
					return reply{T: s.Last()}
				})
				last = max(last, out.T)
				if rng.IntN(3) == 0 {
					src.Advance(time.Duration(rng.IntN(3)-1) << tickBits)
				}
			}
		})
	}
}

func (f *Fake) nowSafe() Timestamp { return Timestamp(f.Now()) }

func TestClockIsARegister(t *testing.T) {
	src := NewFake(noon)
	fresh := func(opts ...Option) func(uint64) lincheck.History[request, reply] {
		return func(seed uint64) lincheck.History[request, reply] {
			return exercise(New(append(opts, WithSource(src))...), src, 4)(seed)
		}
	}
	register.Run(t, 600, fresh())
	t.Run("coarse", func(t *testing.T) {
		register.Run(t, 200, func(seed uint64) lincheck.History[request, reply] {
			c := New(WithSource(src), WithCoarse())
			h := exercise(c, src, 4)(seed)
			require.NoError(t, c.Close())
			// The goroutine takes part: what it raises the state to shows in Last alone.
			return slices.DeleteFunc(h, func(op lincheck.Op[request, reply]) bool { return op.Input.Op == "last" })
		})
	})
	t.Run("with a store", func(t *testing.T) {
		register.Run(t, 200, func(seed uint64) lincheck.History[request, reply] {
			m := &memory{}
			c, err := Open(t.Context(), m, WithSource(src), WithWindow(time.Millisecond))
			require.NoError(t, err)
			h := exercise(c, src, 4)(seed)
			require.NoError(t, c.Close())
			return h
		})
	})
}

// TestTwoMillionTimestampsGrowAlongRealTime checks many calls of Now, on the system's clock.
func TestTwoMillionTimestampsGrowAlongRealTime(t *testing.T) {
	n := 500_000
	if testing.Short() || testenv.Race {
		n = 20_000
	}
	c := New()
	h := lincheck.Record(4, 1, func(cl *lincheck.Client[struct{}, Timestamp]) {
		for range n {
			cl.Do(struct{}{}, c.Now)
		}
	})
	require.Len(t, h, 4*n)
	require.NoError(t, lincheck.Increasing(h, cmp.Compare[Timestamp]))
}

// TestLastNeverGoesBack reads while others write.
func TestLastNeverGoesBack(t *testing.T) {
	c := New()
	h := lincheck.Record(4, 1, func(cl *lincheck.Client[bool, Timestamp]) {
		for range 5000 {
			write := cl.ID() < 2
			cl.Do(write, func() Timestamp {
				if write {
					return c.Now()
				}
				return c.Last()
			})
		}
	})
	require.NoError(t, lincheck.NonDecreasing(h, cmp.Compare[Timestamp]))
}

// The broken clocks: each makes one mistake that was made in public. yield stands in the
// window that the mistake opens.

// base is a correct clock with one lock, for the broken ones to differ from.
type base struct {
	mu    sync.Mutex
	src   *Fake
	last  Timestamp
	drift time.Duration
}

func (b *base) Now() Timestamp { return b.Reserve(1) }

func (b *base) Reserve(n int) Timestamp {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := max(b.last+1, b.src.nowSafe().Physical())
	b.last = first + Timestamp(n) - 1
	return first
}

// Observe takes one step: who reads Last meanwhile must not see half of it.
func (b *base) Observe(r Timestamp) (Timestamp, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, err := b.judge(r)
	if err != nil {
		return 0, err
	}
	b.last = max(b.last+1, r+1, now.Physical())
	return b.last, nil
}

func (b *base) Witness(r Timestamp) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.judge(r)
	if err == nil {
		b.last = max(b.last, r)
	}
	return err
}

func (b *base) judge(r Timestamp) (now Timestamp, err error) {
	if now = b.src.nowSafe(); r > b.last && r.Sub(now) > b.drift {
		return now, &DriftError{r, now, b.drift}
	}
	return now, nil
}

func (b *base) Last() Timestamp {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// tornRead reads, computes and writes without holding on to what it read.
type tornRead struct{ *base }

func (b tornRead) Now() Timestamp {
	next := max(b.Last()+1, b.src.nowSafe().Physical())
	runtime.Gosched()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = next
	return next
}

// batched hands each caller timestamps from a batch that one of a few stripes holds.
type batched struct {
	*base
	turn  atomic.Int64
	batch *[2]struct {
		sync.Mutex
		next, end Timestamp
	}
}

func (b *batched) Now() Timestamp {
	s := &b.batch[b.turn.Add(1)%2]
	s.Lock()
	defer s.Unlock()
	if s.next == s.end {
		s.next = b.base.Reserve(8)
		s.end = s.next + 8
	}
	s.next++
	return s.next - 1
}

// twice processes a remote timestamp twice: the clock runs into the future by itself.
type twice struct{ *base }

func (b twice) Observe(r Timestamp) (Timestamp, error) {
	if err := b.Witness(r + max(0, r-b.src.nowSafe())); err != nil {
		return 0, err
	}
	return b.Now(), nil
}

// twoSided refuses what is too far from its clock in either direction.
type twoSided struct{ *base }

func (b twoSided) Observe(r Timestamp) (Timestamp, error) {
	if b.src.nowSafe().Sub(r).Abs() > b.drift {
		return 0, ErrDrift
	}
	return b.base.Observe(r)
}

// ignorant takes the physical part of a remote timestamp and forgets its logical part.
type ignorant struct{ *base }

func (b ignorant) Observe(r Timestamp) (Timestamp, error) { return b.base.Observe(r.Physical()) }

// wrapping keeps the logical part within its 16 bits.
type wrapping struct{ *base }

func (b wrapping) Reserve(n int) Timestamp {
	b.mu.Lock()
	defer b.mu.Unlock()
	pt := max(b.last.Physical(), b.src.nowSafe().Physical())
	if pt > b.last {
		b.last = pt
		return pt
	}
	b.last = pt | (b.last+1)&tickMask
	return b.last
}

func (b wrapping) Now() Timestamp { return b.Reserve(1) }

// backward trusts its physical clock.
type backward struct{ *base }

func (b backward) Now() Timestamp {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pt := b.src.nowSafe().Physical(); pt.Physical() != b.last.Physical() {
		b.last = pt
	} else {
		b.last++
	}
	return b.last
}

// credulous has no drift check; touchy moves before it refuses; selfJudging measures drift
// from its own last timestamp, so that many small steps lead as far as one likes.
type (
	credulous   struct{ *base }
	touchy      struct{ *base }
	selfJudging struct{ *base }
)

func (b credulous) Witness(r Timestamp) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = max(b.last, r)
	return nil
}

func (b touchy) Witness(r Timestamp) error {
	err := b.base.Witness(r)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.last = max(b.last, r)
	}
	return err
}

func (b selfJudging) Witness(r Timestamp) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := max(b.last, b.src.nowSafe()); r.Sub(now) > b.drift {
		return &DriftError{r, now, b.drift}
	}
	b.last = max(b.last, r)
	return nil
}

// conform is what holds for a clock besides being a register, in one thread. It returns
// what is wrong.
func conform(s stamper, src *Fake, drift time.Duration) string {
	start := src.nowSafe()
	defer src.Set(start)
	last := s.Now()
	for range 3 << tickBits {
		t := s.Now()
		if t <= last {
			return "a stopped clock stops or wraps the timestamps"
		}
		last = t
	}
	src.Advance(-time.Hour)
	if t := s.Now(); t <= last {
		return "goes back with the physical clock"
	}
	src.Set(start.Add(time.Second))
	remote := start.Add(time.Second + drift/4)
	t, err := s.Observe(remote | 77)
	if err != nil {
		return "refuses what is within the drift"
	}
	if t <= remote|77 {
		return "ignores the logical part of a remote timestamp"
	}
	if t > remote.Add(drift/100) {
		return "runs past what it was shown"
	}
	if _, err := s.Observe(start.Add(-8 * time.Hour)); err != nil {
		return "refuses an old timestamp"
	}
	before := s.Last()
	if s.Witness(start.Add(8*time.Hour)) == nil {
		return "accepts eight hours"
	}
	if s.Last() != before {
		return "moves although it refuses"
	}
	for range 10 {
		_ = s.Witness(s.Last().Add(drift * 9 / 10))
	}
	if s.Last().Sub(src.nowSafe()) > drift {
		return "is led into the future step by step"
	}
	return ""
}

// TestPlantedBugsAreFound is the check of the checks: each broken clock must be caught by
// the layer that claims it, and the correct ones by none.
func TestPlantedBugsAreFound(t *testing.T) {
	const drift = time.Second
	for _, c := range []struct {
		bug   string
		twin  string // the name of a correct one
		make  func(b *base) stamper
		layer string
	}{
		{"", "correct, one lock", func(b *base) stamper { return b }, ""},
		{"", "correct, this package's", func(b *base) stamper { return New(WithSource(b.src), WithMaxDrift(drift)) }, ""},
		{"", "correct, this package's, over a store", func(b *base) stamper {
			c, err := Open(t.Context(), &memory{}, WithSource(b.src), WithMaxDrift(drift))
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
			return c
		}, ""},
		{"read-modify-write that is not atomic", "", func(b *base) stamper { return tornRead{b} }, "register"},
		{"a batch per thread", "", func(b *base) stamper {
			return &batched{base: b, batch: new([2]struct {
				sync.Mutex
				next, end Timestamp
			})}
		}, "register"},
		{"trusts a clock that goes back", "", func(b *base) stamper { return backward{b} }, "register"},
		{"moves before it refuses", "", func(b *base) stamper { return touchy{b} }, "register"},
		{"forgets the remote's logical part", "", func(b *base) stamper { return ignorant{b} }, "register"},
		{"processes the remote twice", "", func(b *base) stamper { return twice{b} }, "conform: runs past what it was shown"},
		{"drift in either direction", "", func(b *base) stamper { return twoSided{b} }, "conform: refuses an old timestamp"},
		{"wraps the logical part", "", func(b *base) stamper { return wrapping{b} }, "conform: a stopped clock stops or wraps the timestamps"},
		{"no drift check", "", func(b *base) stamper { return credulous{b} }, "conform: accepts eight hours"},
		{"drift from its own last", "", func(b *base) stamper { return selfJudging{b} }, "conform: is led into the future step by step"},
	} {
		t.Run(c.bug+c.twin, func(t *testing.T) {
			src := NewFake(noon)
			fresh := func() stamper { return c.make(&base{src: src, drift: drift}) }
			found := ""
			if wrong := conform(fresh(), src, drift); wrong != "" {
				found = "conform: " + wrong
			}
			const most = 400
			caught, histories := 0, 0
			for seed := range uint64(most) {
				histories++
				src.Set(noon)
				if h := exercise(fresh(), src, 3)(seed); register.Check(h) == lincheck.Illegal {
					caught++
					break
				}
			}
			switch {
			case c.layer == "":
				require.Empty(t, found)
				require.Zero(t, caught, "false alarm")
			case c.layer == "register":
				require.Equal(t, 1, caught, "survived %d histories", most)
				t.Logf("caught by the register model after %d histories (alone: %s)", histories, found)
			default:
				require.Equal(t, c.layer, found)
			}
		})
	}
}

// onceSaved is a bound that is written once and never refreshed; forgetful, a file that was
// lost and is taken for one that never was.
type (
	onceSaved struct{ *memory }
	forgetful struct{ *memory }
)

func (s onceSaved) Save(ctx context.Context, t Timestamp) error {
	if s.used {
		return nil
	}
	return s.memory.Save(ctx, t)
}

func (s forgetful) Load(context.Context) (Timestamp, error) { return 0, fs.ErrNotExist }

// TestRestartsFromAStaleBoundAreFound does the same for what happens between two lives of
// a clock.
func TestRestartsFromAStaleBoundAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		store func(*memory) Store
		bad   bool
	}{
		"correct":       {func(m *memory) Store { return m }, false},
		"a stale bound": {func(m *memory) Store { return onceSaved{m} }, true},
		"no bound":      {func(m *memory) Store { return forgetful{m} }, true},
	} {
		src, last, repeated := NewFake(noon), Timestamp(0), false
		store := c.store(&memory{})
		for range 5 {
			k, err := Open(t.Context(), store, WithSource(src), WithWindow(time.Second), WithMaxDrift(time.Minute))
			require.NoError(t, err)
			for range 10 {
				now := k.Now()
				repeated = repeated || now <= last
				last = now
				src.Advance(400 * time.Millisecond)
			}
			k.saver.cancel() // a crash
			k.done.Wait()
			src.Advance(-time.Second) // and the wall clock is corrected
		}
		require.Equal(t, c.bad, repeated, name)
	}
}
