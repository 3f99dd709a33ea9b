package crdt_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

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

// Whatever is lost, doubled, late or never arrives: more is never taken than was added, and rights
// are neither made nor, once all is known, lost.
func TestBoundedCounterNeverFallsBelowZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := []*crdt.BoundedCounter{crdt.NewBoundedCounter(1), crdt.NewBoundedCounter(2), crdt.NewBoundedCounter(3)}
		var sent []crdt.Delta
		var added, taken uint64
		pick := func(t *rapid.T) *crdt.BoundedCounter { return rapid.SampledFrom(cs).Draw(t, "replica") }
		n := rapid.Uint64Range(0, 5)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k := n.Draw(t, "n")
				added += k
				sent = append(sent, pick(t).Add(k))
			},
			"sub": func(t *rapid.T) {
				c, k := pick(t), n.Draw(t, "n")
				before := c.State()
				d, err := c.Sub(k)
				if err == nil {
					taken += k
					sent = append(sent, d)
				} else {
					require.Equal(t, before, c.State())
				}
			},
			"transfer": func(t *rapid.T) {
				c, k := pick(t), n.Draw(t, "n")
				if d, err := c.Transfer(crdt.ReplicaID(rapid.IntRange(1, 3).Draw(t, "to")), k); err == nil {
					sent = append(sent, d)
				}
			},
			"deliver": func(t *rapid.T) {
				if len(sent) > 0 {
					_, err := pick(t).Merge(rapid.SampledFrom(sent).Draw(t, "delta"))
					require.NoError(t, err)
				}
			},
			"": func(t *rapid.T) {
				require.LessOrEqual(t, taken, added)
				held := uint64(0)
				for _, c := range cs {
					held += c.Rights()
				}
				require.LessOrEqual(t, held, added-taken, "rights out of nothing")
			},
		})
		for _, c := range cs {
			for _, o := range cs {
				_, err := c.Merge(o.State())
				require.NoError(t, err)
			}
		}
		held := uint64(0)
		for _, c := range cs {
			_, err := c.Merge(cs[2].State())
			require.NoError(t, err)
			require.Equal(t, added-taken, c.Value())
			held += c.Rights()
		}
		require.Equal(t, added-taken, held)
	})
}
