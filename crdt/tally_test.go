package crdt_test

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
)

type fullLog struct{ full bool }

func (l *fullLog) Append(crdt.Delta, bool) error {
	if l.full {
		return errors.New("disk full")
	}
	return nil
}

func TestTally(t *testing.T) {
	a, b := crdt.NewStore(1), crdt.NewStore(2)
	c, o := crdt.At[*crdt.Counter](a, "c"), crdt.At[*crdt.Counter](b, "c")
	x, y := c.Tally(), c.Tally()
	for range 1000 {
		x.Add(2)
		y.Add(-1)
	}
	require.Equal(t, int64(2000), x.Value())
	require.Zero(t, c.Value())
	merge(t, b, x.Flush())
	require.Equal(t, int64(2000), o.Value())
	require.Equal(t, int64(1000), y.Value())
	require.Equal(t, int64(-1000), y.Pending())
	require.True(t, x.Flush().IsZero())
	merge(t, b, y.Flush())
	require.Equal(t, int64(1000), o.Value())

	log := &fullLog{full: true}
	a.SetLog(log)
	x.Add(5)
	require.True(t, x.Flush().IsZero())
	require.Equal(t, int64(5), x.Pending(), "refused")
	require.Equal(t, int64(1000), c.Value())
	log.full = false
	merge(t, b, x.Flush())
	require.Equal(t, int64(1005), o.Value())
}

// What a counter remembers of its value is right whoever changes the store.
func TestCounterRemembersItsValue(t *testing.T) {
	s, o := crdt.NewStore(1), crdt.NewStore(2)
	c, twin := crdt.At[*crdt.Counter](s, "c"), crdt.At[*crdt.Counter](s, "c")
	theirs := crdt.At[*crdt.Counter](o, "c")
	want := func(n int64) {
		t.Helper()
		require.Equal(t, n, c.Value())
		require.Equal(t, n, twin.Value())
	}
	want(0)
	c.Add(1)
	want(1)
	twin.Add(2)
	want(3)
	s.Update(func() {
		c.Add(3)
		want(6)
		twin.Add(4)
		want(10)
		c.Add(5)
		want(15)
	})
	want(15)
	merge(t, s, theirs.Add(7))
	want(22)
	merge(t, o, s.State())
	s.Compact(o.Digest())
	want(22)
	merge(t, s, o.Delete("c"))
	want(0)
}

func TestGTally(t *testing.T) {
	a, b := crdt.NewStore(1), crdt.NewStore(2)
	c, o := crdt.At[*crdt.GCounter](a, "c"), crdt.At[*crdt.GCounter](b, "c")
	x := c.Tally()
	for range 1000 {
		x.Add(2)
	}
	require.Equal(t, uint64(2000), x.Value())
	require.Zero(t, c.Value())
	merge(t, b, x.Flush())
	require.Equal(t, uint64(2000), o.Value())
	require.Zero(t, x.Pending())
	require.True(t, x.Flush().IsZero())

	log := &fullLog{full: true}
	a.SetLog(log)
	x.Add(5)
	require.True(t, x.Flush().IsZero())
	require.Equal(t, uint64(5), x.Pending(), "refused")
	require.Equal(t, uint64(2000), c.Value())
	log.full = false
	merge(t, b, x.Flush())
	require.Equal(t, uint64(2005), o.Value())

	x.Add(math.MaxUint64)
	x.Add(1)
	require.Equal(t, uint64(math.MaxUint64), x.Pending())
	require.Equal(t, uint64(math.MaxUint64), x.Value())
}

// What a grow-only counter remembers of its value is right whoever changes the store, up to the end of
// the numbers.
func TestGCounterRemembersItsValue(t *testing.T) {
	s, o := crdt.NewGCounter(1), crdt.NewGCounter(2)
	want := func(n uint64) {
		t.Helper()
		require.Equal(t, n, s.Value())
		fresh := crdt.NewGCounter(9)
		merge(t, fresh.Store(), s.State())
		require.Equal(t, n, fresh.Value())
	}
	want(0)
	s.Add(1)
	want(1)
	s.Store().Update(func() {
		s.Add(2)
		require.Equal(t, uint64(3), s.Value())
		s.Add(3)
	})
	want(6)
	merge(t, s.Store(), o.Add(math.MaxUint64-10))
	want(math.MaxUint64 - 4)
	s.Add(4)
	want(math.MaxUint64)
	s.Add(4)
	want(math.MaxUint64)
	merge(t, s.Store(), o.Add(100))
	want(math.MaxUint64)
}
