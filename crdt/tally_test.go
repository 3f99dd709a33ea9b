package crdt_test

import (
	"errors"
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
