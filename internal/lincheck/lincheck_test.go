package lincheck_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/lincheck"
	"github.com/go-calm/calm/internal/testenv"
)

// verdictTB is a test that may fail without failing the test around it.
type verdictTB struct {
	testing.TB
	dir string
	log bytes.Buffer
	bad bool
}

func (v *verdictTB) Helper()                   {}
func (v *verdictTB) ArtifactDir() string       { return v.dir }
func (v *verdictTB) Logf(f string, a ...any)   { fmt.Fprintf(&v.log, f+"\n", a...) }
func (v *verdictTB) Error(a ...any)            { v.bad = true; fmt.Fprintln(&v.log, a...) }
func (v *verdictTB) Fatalf(f string, a ...any) { v.Logf(f, a...); v.FailNow() }
func (v *verdictTB) FailNow()                  { v.bad = true; runtime.Goexit() }

// try runs fn as a test of its own and returns whether it failed and what it said.
func try(t *testing.T, fn func(testing.TB)) (*verdictTB, string) {
	v := &verdictTB{TB: t, dir: t.ArtifactDir()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(v)
	}()
	<-done
	return v, v.log.String()
}

type counter interface{ inc() int }

type goodCounter struct{ n atomic.Int64 }

func (c *goodCounter) inc() int { return int(c.n.Add(1)) }

type badCounter struct{ n atomic.Int64 }

func (c *badCounter) inc() int { // loses updates
	n := c.n.Load()
	runtime.Gosched()
	c.n.Store(n + 1)
	return int(n + 1)
}

var counting = lincheck.Model[int, string, int]{
	Step: func(s int, _ string, out int) (int, bool) { return s + 1, out == s+1 },
}

func countWith(c counter, seed uint64) lincheck.History[string, int] {
	return lincheck.Record(3, seed, func(cl *lincheck.Client[string, int]) {
		for range 8 {
			cl.Do("inc", c.inc)
		}
	})
}

func TestRunPassesCorrectTwin(t *testing.T) {
	counting.Run(t, 200, func(seed uint64) lincheck.History[string, int] { return countWith(&goodCounter{}, seed) })
}

func TestRunCatchesLostUpdateAndItsReplayFailsToo(t *testing.T) {
	v, log := try(t, func(t testing.TB) {
		counting.Run(t, 200, func(seed uint64) lincheck.History[string, int] { return countWith(&badCounter{}, seed) })
	})
	require.True(t, v.bad)
	require.Contains(t, log, "smallest bad window")
	page, err := os.ReadFile(filepath.Join(v.dir, "history.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "<html")

	h, err := lincheck.Load[string, int](filepath.Join(v.dir, "history.json"))
	require.NoError(t, err)
	require.Equal(t, lincheck.Illegal, counting.Check(h))
	require.Less(t, len(h), 24, "the history was not shrunk")
}

func TestRunFailsWhenTooMuchIsUndecided(t *testing.T) {
	slow := counting
	slow.Timeout = 1 // ns
	slow.Step = func(s int, _ string, out int) (int, bool) { runtime.Gosched(); return s, true }
	slow.Equal = func(a, b int) bool { return false }
	v, log := try(t, func(t testing.TB) {
		slow.Run(t, 5, func(seed uint64) lincheck.History[string, int] {
			var h lincheck.History[string, int]
			for i := range 20 { // the last cannot be explained, so the search is long
				h = append(h, lincheck.Op[string, int]{Client: i, Call: int64(i), Return: 100})
			}
			return h
		})
	})
	require.True(t, v.bad)
	require.Contains(t, log, "5 of 5 histories undecided")
}

func op(client int, from, to int64, in string, out int) lincheck.Op[string, int] {
	return lincheck.Op[string, int]{Client: client, Call: from, Return: to, Input: in, Output: out}
}

func TestShrinkKeepsWhatWasPending(t *testing.T) {
	h := lincheck.History[string, int]{
		op(0, 1, 2, "inc", 1),
		op(1, 3, 20, "inc", 2), // returns late, but explains the next
		op(0, 4, 5, "inc", 3),
		op(0, 6, 7, "inc", 3), // wrong
		op(0, 8, 9, "inc", 4),
		op(0, 21, 22, "inc", 5),
	}
	require.Equal(t, lincheck.Illegal, counting.Check(h))
	short := counting.Shrink(h)
	require.Len(t, short, 4)
	require.Equal(t, int64(lincheck.Pending), short[1].Return)
	states, window := counting.Window(short)
	require.Equal(t, []int{1}, states)
	require.Len(t, window, 3)
	require.Contains(t, window.String(), "not returned by then")
}

func TestShrinkLeavesGoodHistoriesAlone(t *testing.T) {
	h := lincheck.History[string, int]{op(0, 1, 2, "inc", 1), op(1, 3, 4, "inc", 2)}
	require.Equal(t, h, counting.Shrink(h))
	states, window := counting.Window(h)
	require.Nil(t, states)
	require.Equal(t, h, window)
}

func TestPendingMayOrMayNotHaveHappened(t *testing.T) {
	pending := op(1, 1, lincheck.Pending, "inc", 1)
	for _, next := range []int{1, 2} { // it did not; it did
		h := lincheck.History[string, int]{pending, op(0, 2, 3, "inc", next)}
		require.Equal(t, lincheck.Ok, counting.Check(h), "next %d", next)
	}
	require.Equal(t, lincheck.Illegal, counting.Check(lincheck.History[string, int]{pending, op(0, 2, 3, "inc", 3)}))
}

func TestKeySplitsHistories(t *testing.T) {
	m := counting
	m.Key = func(in string) string { return in }
	good := lincheck.History[string, int]{op(0, 1, 2, "a", 1), op(0, 3, 4, "b", 1), op(0, 5, 6, "a", 2)}
	require.Equal(t, lincheck.Ok, m.Check(good))
	bad := append(slices.Clone(good), op(0, 7, 8, "b", 3))
	require.Equal(t, lincheck.Illegal, m.Check(bad))
	_, window := m.Window(bad)
	require.Len(t, window, 1)
	require.Equal(t, "b", window[0].Input)
}

func TestLoadRefusesGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.json")
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o644))
	_, err := lincheck.Load[string, int](path)
	require.ErrorContains(t, err, "lincheck: load history")
	_, err = lincheck.Load[string, int](path + "x")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestDoAllSharesOneInterval(t *testing.T) {
	h := lincheck.Record(1, 1, func(c *lincheck.Client[string, int]) {
		c.DoAll(func() {}, func(yield func(string, int)) { yield("inc", 1); yield("inc", 2) })
	})
	require.Len(t, h, 2)
	require.Equal(t, h[0].Call, h[1].Call)
	require.Equal(t, h[0].Return, h[1].Return)
	require.Equal(t, lincheck.Ok, counting.Check(h))
}

// -- FIFO ---------------------------------------------------------------------

// event is a queue's operation: In > 0 puts, otherwise it takes and Out says what (0:
// nothing was there).
func role(in, out int) (lincheck.Role, int) {
	switch {
	case in > 0:
		return lincheck.Put, in
	case out > 0:
		return lincheck.Got, out
	}
	return lincheck.Empty, 0
}

var fifo = lincheck.Model[string, int, int]{ // the state is the queue's contents, a byte a value
	Step: func(s string, in, out int) (string, bool) {
		switch {
		case in > 0:
			return s + string(rune('a'+in)), true
		case out == 0:
			return s, s == ""
		case s == "" || s[0] != byte('a'+out):
			return s, false
		}
		return s[1:], true
	},
	Hash: func(s string) (h uint64) {
		for _, c := range []byte(s) {
			h = h*131 + uint64(c)
		}
		return h
	},
}

// TestFIFOAgreesWithPorcupine draws small histories, right and wrong, and asks both.
func TestFIFOAgreesWithPorcupine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	good, bad := 0, 0
	for range testenv.Checks(20_000) {
		var h lincheck.History[int, int]
		n := 2 + rng.IntN(7)
		at := rng.Perm(2 * n)
		value, outs := 0, []int{}
		for i := range n {
			a, b := int64(at[2*i]), int64(at[2*i+1])
			o := lincheck.Op[int, int]{Client: i, Call: min(a, b), Return: max(a, b)}
			if rng.IntN(2) == 0 {
				value++
				o.Input = value
				outs = append(outs, value)
			}
			h = append(h, o)
		}
		rng.Shuffle(len(outs), func(i, j int) { outs[i], outs[j] = outs[j], outs[i] })
		for i := range h { // gets take some permutation of the values, or nothing
			if h[i].Input == 0 && len(outs) > 0 && rng.IntN(4) > 0 {
				h[i].Output, outs = outs[0], outs[1:]
			}
		}
		want := fifo.Check(h)
		got := lincheck.FIFO(h, role)
		if want == lincheck.Ok {
			good++
			require.NoError(t, got, "%v", h)
		} else {
			bad++
			require.Error(t, got, "%v", h)
		}
	}
	require.Greater(t, good, 1000)
	require.Greater(t, bad, 1000)
}

func TestFIFONamesThePattern(t *testing.T) {
	put := func(from, to int64, v int) lincheck.Op[int, int] {
		return lincheck.Op[int, int]{Call: from, Return: to, Input: v}
	}
	got := func(from, to int64, v int) lincheck.Op[int, int] {
		return lincheck.Op[int, int]{Call: from, Return: to, Output: v}
	}
	for want, h := range map[string]lincheck.History[int, int]{
		"never put":        {got(1, 2, 7)},
		"put twice":        {put(1, 2, 7), put(3, 4, 7)},
		"taken twice":      {put(1, 2, 7), got(3, 4, 7), got(5, 6, 7)},
		"before it was":    {got(1, 2, 7), put(3, 4, 7)},
		"value 2 overtook": {put(1, 2, 1), put(3, 4, 2), got(5, 6, 2)},
		"seen empty":       {put(1, 2, 1), put(3, 6, 2), got(7, 8, 1), got(9, 10, 0)},
	} {
		require.ErrorContains(t, lincheck.FIFO(h, role), want)
	}
}

// ring is a queue under one lock; lifo and lose plant bugs that show rarely.
type ring struct {
	mu         sync.Mutex
	items      []int
	n          int
	lifo, lose int
}

func (r *ring) put(v int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if r.lose > 0 && r.n%r.lose == 0 && len(r.items) > 0 {
		r.items[len(r.items)-1] = v
		return
	}
	r.items = append(r.items, v)
}

func (r *ring) get() (v int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	if len(r.items) == 0 {
		return 0
	}
	i := 0
	if r.lifo > 0 && r.n%r.lifo == 0 {
		i = len(r.items) - 1
	}
	v = r.items[i]
	r.items = slices.Delete(r.items, i, i+1)
	return v
}

func TestFIFOOverLongRuns(t *testing.T) {
	run := func(r *ring) error {
		h := lincheck.Record(4, 1, func(c *lincheck.Client[int, int]) {
			for i := range testenv.Checks(10_000) {
				if v := i*4 + c.ID() + 1; c.Rand().IntN(2) == 0 {
					c.Do(v, func() int { r.put(v); return 0 })
				} else {
					c.Do(0, r.get)
				}
			}
		})
		return lincheck.FIFO(h, role)
	}
	require.NoError(t, run(&ring{}))
	require.ErrorContains(t, run(&ring{lifo: 1000}), "overtook")
	require.Error(t, run(&ring{lose: 1000}))
}

// -- stamps -------------------------------------------------------------------

func TestOrderAgreesWithThePairwiseDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	seen := map[[2]bool]int{}
	for range testenv.Checks(5000) {
		var h lincheck.History[int, int]
		n := 2 + rng.IntN(4)
		at := rng.Perm(2 * n)
		for i := range n {
			a, b := int64(at[2*i]), int64(at[2*i+1])
			h = append(h, lincheck.Op[int, int]{Call: min(a, b), Return: max(a, b), Output: rng.IntN(6)})
		}
		strict, loose := true, true
		for i, a := range h {
			for _, b := range h[i+1:] {
				strict = strict && a.Output != b.Output
			}
			for _, b := range h {
				if a.Return < b.Call && a.Output > b.Output {
					strict, loose = false, false
				}
			}
		}
		require.Equal(t, strict, lincheck.Increasing(h, cmp.Compare) == nil, "%v", h)
		require.Equal(t, loose, lincheck.NonDecreasing(h, cmp.Compare) == nil, "%v", h)
		seen[[2]bool{strict, loose}]++
	}
	require.Len(t, seen, 3, "every outcome was drawn")
}

func TestIncreasingBites(t *testing.T) {
	stamps := func(c counter) lincheck.History[string, int] {
		return lincheck.Record(4, 1, func(cl *lincheck.Client[string, int]) {
			for range 500 {
				cl.Do("now", c.inc)
			}
		})
	}
	require.NoError(t, lincheck.Increasing(stamps(&goodCounter{}), cmp.Compare))
	require.Error(t, lincheck.Increasing(stamps(&badCounter{}), cmp.Compare))
}

func Example() {
	// A counter that two clients read and bump; what they saw is explained by no order.
	h := lincheck.History[string, int]{
		{Client: 0, Call: 1, Return: 4, Input: "inc", Output: 1},
		{Client: 1, Call: 2, Return: 3, Input: "inc", Output: 1},
	}
	model := lincheck.Model[int, string, int]{
		Step: func(s int, _ string, out int) (int, bool) { return s + 1, out == s+1 },
	}
	fmt.Println(model.Check(h))
	// Output: not linearizable
}
