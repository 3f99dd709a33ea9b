package crdt_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
)

// What is printed says something.
func TestDeltasAndDigestsInWords(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	d := a.Add("milk", "eggs")
	merge(t, a, b.Add("tea"))
	a.Remove("eggs")
	q := b.Store().Questions(1 << 10)[0]
	for want, got := range map[string]any{
		"set of string: 2 events live, 0 over, 1 replica, 38 bytes":  d,
		"set of string: 2 events live, 1 over, 2 replicas, 55 bytes": a.State(),
		"set of string: 0 events live, 1 over, 1 replica, 22 bytes":  a.Remove("tea"),
		"root counter: 1 event live, 0 over, 1 replica, 28 bytes":    crdt.NewCounter(1).Add(5),
		"nothing":                                         crdt.Delta{},
		"3 events of 2 replicas seen, 1 live":             a.Digest(),
		"3 events of 2 replicas seen, 0 live":             a.Store().Context(),
		"0 events of 0 replicas seen, 0 live":             crdt.Digest{},
		"about 1 replica, 44 bytes":                       q,
		"32 bytes in 1 delta, 0 questions; over: nothing": b.Store().Answer(crdt.NewSet[string](3).Store().Questions(1 << 10)[0], 1<<10, 1<<10),
	} {
		assert.Equal(t, want, fmt.Sprint(got))
		assert.Equal(t, want, fmt.Sprintf("%+v", got))
	}
}

// The sums of a bounded counter stop at the greatest number, and whatever is lost there, nobody spends what
// nobody has.
func TestBoundedCounterStopsAtTheGreatestNumber(t *testing.T) {
	a, b := crdt.NewBoundedCounter(1), crdt.NewBoundedCounter(2)
	a.Add(math.MaxUint64 - 1)
	a.Add(5)
	require.Equal(t, uint64(math.MaxUint64), a.Value())
	require.Equal(t, uint64(math.MaxUint64), a.Rights())
	b.Add(7)
	merge(t, b, a.State())
	merge(t, a, b.State())
	require.Equal(t, uint64(math.MaxUint64), a.Value(), "the sum of both")

	d, err := a.Sub(math.MaxUint64)
	require.NoError(t, err)
	merge(t, b, d)
	require.Zero(t, b.Value())
	require.Equal(t, uint64(7), b.Rights(), "its own, which the count does not show any more")
	_, err = a.Sub(1)
	require.ErrorIs(t, err, crdt.ErrBound)
	d, err = b.Transfer(1, 7)
	require.NoError(t, err)
	merge(t, a, d)
	_, err = a.Sub(7) // it has got more than a sum can hold
	require.ErrorIs(t, err, crdt.ErrBound)
	require.Zero(t, a.Rights())
	require.Zero(t, b.Rights())
	require.Zero(t, a.Value())
	require.Equal(t, a.State(), b.State())
}
