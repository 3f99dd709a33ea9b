package crdt_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
)

func TestBoundedCounter(t *testing.T) {
	a, b := crdt.NewBoundedCounter(1), crdt.NewBoundedCounter(2)
	merge(t, b, a.Add(10))
	_, err := b.Sub(1)
	var be *crdt.BoundError
	require.ErrorAs(t, err, &be)
	require.ErrorIs(t, err, crdt.ErrBound)
	require.Equal(t, crdt.BoundError{Want: 1, Have: 0}, *be, "b sees 10 and holds no right to any")
	require.Equal(t, uint64(10), b.Value())

	d, err := a.Transfer(2, 3)
	require.NoError(t, err)
	merge(t, b, d)
	d, err = a.Transfer(2, 1)
	require.NoError(t, err)
	merge(t, b, d)
	require.Equal(t, uint64(6), a.Rights())
	require.Equal(t, uint64(4), b.Rights())
	_, err = a.Sub(7)
	require.ErrorAs(t, err, &be)
	require.Equal(t, uint64(6), be.Have)
	da, err := a.Sub(6)
	require.NoError(t, err)
	db, err := b.Sub(4)
	require.NoError(t, err)
	merge(t, a, db)
	merge(t, b, da)
	require.Zero(t, a.Value())
	require.Zero(t, b.Value())
	require.Equal(t, a.State(), b.State())

	for _, err := range []error{third(a.Transfer(2, 1)), third(a.Sub(math.MaxUint64))} {
		require.ErrorIs(t, err, crdt.ErrBound)
	}
	a.Add(1)
	require.Error(t, third(a.Transfer(0, 1)))
	d, err = a.Transfer(1, 1) // to oneself
	require.True(t, d.IsZero() && err == nil)
	d, err = a.Sub(0)
	require.True(t, d.IsZero() && err == nil && a.Add(0).IsZero())
	a.Add(math.MaxUint64)
	require.Equal(t, uint64(math.MaxUint64)-10, a.Rights(), "what is added stops at the top")
	require.Panics(t, func() { crdt.At[*crdt.BoundedCounter](crdt.NewStore(1), "stock") })
	require.Panics(t, func() { crdt.NewMap[string, *crdt.BoundedCounter](1) })
}

func third(_ crdt.Delta, err error) error { return err }
