package clock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// memory is a Store that can fail, block, and survive its clock.
type memory struct {
	mu    sync.Mutex
	bound Timestamp
	used  bool
	fail  error
	gate  chan struct{} // Save waits for it, if there is one
	saves []Timestamp
}

func (m *memory) Load(context.Context) (Timestamp, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.used {
		return 0, fs.ErrNotExist
	}
	return m.bound, nil
}

func (m *memory) Save(ctx context.Context, t Timestamp) error {
	m.mu.Lock()
	gate, fail := m.gate, m.fail
	m.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		return fail
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bound, m.used = t, true
	m.saves = append(m.saves, t)
	return nil
}

func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

func (m *memory) get() Timestamp {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bound
}

func TestOpenSavesAheadOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		c, err := Open(t.Context(), m)
		require.NoError(t, err)
		begin := time.Now()
		for time.Since(begin) < time.Minute {
			now := c.Now()
			require.Less(t, now, m.get())
			require.Less(t, now.Sub(At(time.Now())).Abs(), time.Millisecond)
			time.Sleep(7 * time.Millisecond)
		}
		st := c.Stats()
		require.Zero(t, st.Waits, "somebody waited for a healthy store")
		require.InDelta(t, 60, st.Saves, 6, "about two saves a window")
		require.Equal(t, m.get(), st.Bound)
		require.NoError(t, c.Close())
		require.Equal(t, c.Stats().Last, m.get(), "a clean end leaves nothing to wait for")
		require.NoError(t, c.Close())

		// Open again: no waiting.
		last := c.Last()
		begin = time.Now()
		d, err := Open(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, begin, time.Now())
		require.Greater(t, d.Now(), last)
		require.NoError(t, d.Close())
	})
}

func TestOpenAfterACrashWaitsForPhysicalTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{used: true, bound: At(time.Now().Add(DefaultWindow))}
		bound := m.bound
		begin := time.Now()
		c, err := Open(t.Context(), m)
		require.NoError(t, err)
		require.Equal(t, DefaultWindow-DefaultMaxDrift/2, time.Since(begin))
		require.Greater(t, c.Now(), bound)
		require.NoError(t, New().Witness(c.Now()), "peers refuse the restarted clock")
		require.NoError(t, c.Close())

		m = &memory{used: true, bound: At(time.Now().Add(DefaultWindow))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = Open(ctx, m)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		// A crash cannot explain three hours.
		m = &memory{used: true, bound: At(time.Now().Add(3 * time.Hour))}
		begin = time.Now()
		_, err = Open(t.Context(), m)
		require.ErrorIs(t, err, ErrDrift)
		require.ErrorContains(t, err, "3h0m0s ahead")
		require.Equal(t, begin, time.Now())
		require.Empty(t, m.saves)
	})
}

func TestOpenFailsWithItsStore(t *testing.T) {
	boom := errors.New("boom")
	_, err := Open(t.Context(), &memory{fail: boom})
	require.ErrorIs(t, err, boom)
	_, err = Open(t.Context(), loadFails{&memory{}, boom})
	require.ErrorIs(t, err, boom)
	require.Panics(t, func() { WithWindow(time.Microsecond) })
}

type loadFails struct {
	Store
	err error
}

func (s loadFails) Load(context.Context) (Timestamp, error) { return 0, s.err }

func TestAFailingStoreStopsTheClockOnlyAtTheEndOfTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		c, err := Open(t.Context(), m)
		require.NoError(t, err)
		c.Now()
		boom := errors.New("boom")
		m.set(func() { m.fail = boom })
		time.Sleep(DefaultWindow * 9 / 20) // less than the half that is always ahead
		c.Now()
		require.Zero(t, c.Stats().Waits)

		time.Sleep(2 * DefaultWindow)
		require.ErrorIs(t, c.Stats().SaveError, boom)
		var got Timestamp
		done := make(chan struct{})
		go func() { got = c.Now(); close(done) }()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("a timestamp beyond the bound")
		default:
		}
		require.EqualValues(t, 1, c.Stats().Waits)
		before := m.get()
		m.set(func() { m.fail = nil })
		<-done
		require.Greater(t, got, before)
		require.LessOrEqual(t, got, m.get())
		require.NoError(t, c.Stats().SaveError)

		m.set(func() { m.fail = boom })
		require.ErrorIs(t, c.Close(), boom)
		require.Less(t, c.Now(), m.get(), "the window that is left can be used")
		m.set(func() { m.fail = nil })
	})
}

func TestABlockedStoreStopsOnlyTheLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		c, err := Open(t.Context(), m)
		require.NoError(t, err)
		gate := make(chan struct{})
		m.set(func() { m.gate = gate })
		time.Sleep(3 * DefaultWindow)
		require.Less(t, c.Stats().Bound, At(time.Now()))
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[Timestamp]bool{}
		for range 20 {
			wg.Go(func() {
				a, b := c.Now(), c.Reserve(3)
				o, err := c.Observe(b)
				require.NoError(t, err)
				require.NoError(t, c.Witness(o))
				require.GreaterOrEqual(t, c.Last(), o)
				mu.Lock()
				defer mu.Unlock()
				for _, ts := range []Timestamp{a, b, b + 1, b + 2, o} {
					require.False(t, seen[ts])
					require.LessOrEqual(t, ts, m.get())
					seen[ts] = true
				}
			})
		}
		synctest.Wait()
		mu.Lock()
		require.Empty(t, seen)
		mu.Unlock()
		m.set(func() { m.gate = nil })
		close(gate)
		wg.Wait()
		require.Len(t, seen, 100)
		require.NoError(t, c.Close())
	})
}

func TestASuspendedMachineWakesUp(t *testing.T) {
	src, m := NewFake(noon), &memory{}
	c, err := Open(t.Context(), m, WithSource(src))
	require.NoError(t, err)
	c.Now()
	src.Advance(8 * time.Hour)
	require.Equal(t, noon.Add(8*time.Hour).Physical(), c.Now()) // saves first
	require.EqualValues(t, 1, c.Stats().Waits)
	require.Greater(t, m.get(), c.Last())
	require.NoError(t, c.Close())
}

func TestAClosedClockKeepsItsPromises(t *testing.T) {
	src, m := NewFake(noon), &memory{}
	c, err := Open(t.Context(), m, WithSource(src), WithCoarse())
	require.NoError(t, err)
	require.NoError(t, c.Close())
	last := c.Last()
	for range 100 {
		now := c.Now()
		require.Greater(t, now, last)
		require.LessOrEqual(t, now, m.get())
		last = now
		src.Advance(DefaultWindow / 3)
	}
	// Blocking until the store works again holds then, too.
	m.set(func() { m.fail = errors.New("boom") })
	src.Advance(time.Hour)
	done := make(chan Timestamp)
	go func() { done <- c.Now() }()
	m.set(func() { m.fail = nil })
	require.LessOrEqual(t, <-done, m.get())
}

func TestReset(t *testing.T) {
	src, m := NewFake(noon.Add(3*time.Hour)), &memory{}
	c, err := Open(t.Context(), m, WithSource(src))
	require.NoError(t, err)
	c.Now()
	src.Set(noon) // somebody has repaired the clock
	require.Greater(t, c.Now(), noon.Add(2*time.Hour))
	require.ErrorIs(t, New(WithSource(src)).Witness(c.Now()), ErrDrift)
	require.GreaterOrEqual(t, c.Stats().Ahead, 2*time.Hour)

	require.ErrorIs(t, c.Reset(noon.Add(time.Hour)), ErrDrift)
	m.set(func() { m.fail = errors.New("boom") })
	require.ErrorContains(t, c.Reset(noon), "clock: reset: boom")
	require.Greater(t, c.Now(), noon.Add(2*time.Hour), "reset although the store failed")
	m.set(func() { m.fail = nil })
	require.NoError(t, c.Reset(noon))
	require.Equal(t, noon+1, c.Now())
	require.Equal(t, noon.Add(DefaultWindow), m.get())
	src.Advance(time.Second)
	require.Equal(t, noon.Add(time.Second).Physical(), c.Now(), "the hint has survived")
	require.EqualValues(t, 1, c.Stats().Resets)
	require.NoError(t, c.Close())
	d, err := Open(t.Context(), m, WithSource(src))
	require.NoError(t, err)
	require.Less(t, d.Now(), noon.Add(time.Minute))
	require.NoError(t, d.Reset(noon))
	require.NoError(t, d.Close())

	p := New(WithSource(src))
	require.NoError(t, p.Reset(5))
	require.Equal(t, Timestamp(5), p.Last())
	require.Equal(t, noon.Add(time.Second).Physical(), p.Now())
}

func TestResetFreesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, m := NewFake(noon), &memory{}
		c, err := Open(t.Context(), m, WithSource(src))
		require.NoError(t, err)
		c.Now()
		m.set(func() { m.fail = errors.New("boom") })
		src.Advance(3 * time.Hour) // poisoned, and nobody can save that
		got := make(chan Timestamp, 8)
		for range cap(got) / 4 {
			go func() { got <- c.Now() }()
			go func() { got <- c.Reserve(3) }()
			go func() { ts, _ := c.Observe(noon.Add(3 * time.Hour)); got <- ts }()
		}
		synctest.Wait()
		for range cap(got) / 4 {
			go func() { got <- c.Last() }()
		}
		synctest.Wait()
		require.Empty(t, got)
		src.Set(noon.Add(time.Second))
		m.set(func() { m.fail = nil })
		require.NoError(t, c.Reset(noon))
		synctest.Wait()
		require.Len(t, got, cap(got))
		for range cap(got) {
			ts := <-got
			require.Less(t, ts, noon.Add(time.Minute))
		}
		require.NoError(t, c.Close())
	})
}

func TestFileStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bound")
	f := File(path)
	_, err := f.Load(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, ts := range []Timestamp{noon, 5, MinTimestamp, MaxTimestamp} {
		require.NoError(t, f.Save(t.Context(), ts))
		got, err := f.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, ts, got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.Load(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, f.Save(ctx, 1), context.Canceled)

	nowhere := File(filepath.Join(path, "x", "y"))
	require.Error(t, nowhere.Save(t.Context(), 1))
	_, err = Open(t.Context(), nowhere)
	require.Error(t, err)
}

// TestFileStoreCrashPoints walks through every state that a crash can leave: the new file
// cut off at any byte beside the old one, or the rename done.
func TestFileStoreCrashPoints(t *testing.T) {
	for cut := range fileSize + 1 {
		path := filepath.Join(t.TempDir(), "bound")
		f := File(path)
		require.NoError(t, f.Save(t.Context(), 100))
		require.NoError(t, os.WriteFile(path+".new", encodeFile(200)[:cut], 0o644))
		got, err := f.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, Timestamp(100), got)
		require.NoError(t, f.Save(t.Context(), 300))
		got, err = f.Load(t.Context())
		require.NoError(t, err)
		require.Equal(t, Timestamp(300), got)
		_, err = os.Stat(path + ".new")
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
}

func TestADamagedFileIsNeverTakenForANewOne(t *testing.T) {
	whole := encodeFile(noon)
	damaged := map[string][]byte{"empty": {}, "longer": append(whole[:len(whole):len(whole)], 0), "huge": make([]byte, 1<<20)}
	for i := range whole {
		if i > 0 {
			damaged[fmt.Sprintf("cut to %d", i)] = whole[:i]
		}
		for bit := range 8 {
			b := append([]byte(nil), whole...)
			b[i] ^= 1 << bit
			damaged[fmt.Sprintf("bit %d of byte %d", bit, i)] = b
		}
	}
	path := filepath.Join(t.TempDir(), "bound")
	for name, b := range damaged {
		require.NoError(t, os.WriteFile(path, b, 0o644))
		_, err := Open(t.Context(), File(path))
		var corrupt *CorruptError
		require.ErrorAs(t, err, &corrupt, name)
		require.ErrorIs(t, err, ErrCorrupt, name)
		require.Equal(t, path, corrupt.Path)
		require.NotEmpty(t, corrupt.Reason)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, b, left, "the evidence is gone")
	}
	// The documented way on.
	require.NoError(t, File(path).Save(t.Context(), noon))
	c, err := Open(t.Context(), File(path), WithSource(NewFake(noon)))
	require.NoError(t, err)
	require.Equal(t, noon+1, c.Now())
	require.NoError(t, c.Close())
}

func FuzzFile(f *testing.F) {
	f.Add(encodeFile(noon))
	f.Add([]byte(fileMark))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bound, wrong := decodeFile(b); wrong == "" {
			require.Equal(t, encodeFile(bound), b)
		}
	})
}

// TestNothingIsIssuedTwiceAcrossCrashes stamps, moves the physical clock, lets saves fail,
// and crashes, in any order: what was issued before a crash is below what comes after it.
func TestNothingIsIssuedTwiceAcrossCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, m := NewFake(noon), &memory{}
		var c *Clock
		last := Timestamp(0)
		open := func() {
			src.Set(max(src.now, m.get())) // Open would wait for that
			var err error
			c, err = Open(context.Background(), m, WithSource(src), WithWindow(time.Second))
			require.NoError(t, err)
		}
		open()
		issue := func(ts Timestamp) {
			require.Greater(t, ts, last)
			require.LessOrEqual(t, ts, m.get(), "issued before it was saved")
			last = ts
		}
		t.Repeat(map[string]func(*rapid.T){
			"now": func(*rapid.T) { issue(c.Now()) },
			"reserve": func(t *rapid.T) {
				n := rapid.IntRange(2, 9).Draw(t, "n")
				first := c.Reserve(n)
				issue(first)
				issue(first + Timestamp(n) - 1)
			},
			"observe": func(t *rapid.T) {
				remote := src.now.Add(time.Duration(rapid.Int64Range(-1e9, 5e8).Draw(t, "ahead")))
				ts, err := c.Observe(remote)
				require.NoError(t, err)
				require.Greater(t, ts, remote)
				issue(ts)
			},
			"witness": func(t *rapid.T) {
				remote := src.now.Add(time.Duration(rapid.Int64Range(-1e9, 5e8).Draw(t, "ahead")))
				require.NoError(t, c.Witness(remote))
				require.LessOrEqual(t, remote, m.get(), "forgotten by a crash")
				last = max(last, remote)
			},
			"move":  func(t *rapid.T) { src.Advance(time.Duration(rapid.Int64Range(-2e9, 4e9).Draw(t, "by"))) },
			"crash": func(*rapid.T) { c.saver.cancel(); c.done.Wait(); open() },
			"close": func(*rapid.T) { require.NoError(t, c.Close()); open() },
		})
		require.NoError(t, c.Close())
	})
}
