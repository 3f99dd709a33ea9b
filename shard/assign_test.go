package shard

import (
	"encoding"
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	_ encoding.BinaryAppender    = (*Assignments)(nil)
	_ encoding.BinaryMarshaler   = (*Assignments)(nil)
	_ encoding.BinaryUnmarshaler = (*Assignments)(nil)
)

func drawAssignments(t *rapid.T) *Assignments {
	a := new(Assignments)
	for range rapid.IntRange(0, 12).Draw(t, "n") {
		s := Slot(rapid.IntRange(0, 5).Draw(t, "slot"))
		_, err := a.Assign(s, rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 2, rapid.ID[string]).Draw(t, "owners")...)
		require.NoError(t, err)
	}
	return a
}

func image(t require.TestingT, a *Assignments) string {
	b, err := a.MarshalBinary()
	require.NoError(t, err)
	return string(b)
}

func merged(all ...*Assignments) *Assignments {
	x := new(Assignments)
	for _, a := range all {
		x.Merge(a)
	}
	return x
}

func TestAssignmentsAreALattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawAssignments(t), drawAssignments(t), drawAssignments(t)
		before := image(t, b)
		require.Equal(t, image(t, merged(a, b)), image(t, merged(b, a)))
		require.Equal(t, image(t, merged(merged(a, b), c)), image(t, merged(a, merged(b, c))))
		require.Equal(t, image(t, a), image(t, merged(a, a)))
		require.Equal(t, image(t, a), image(t, merged(new(Assignments), a)))
		x := merged(a)
		require.Equal(t, image(t, x) != image(t, merged(x, b)), x.Merge(b), "the report of change")
		require.False(t, x.Merge(b))
		for s := range Slot(6) {
			require.Equal(t, max(a.Epoch(s), b.Epoch(s)), x.Epoch(s))
		}
		require.Equal(t, before, image(t, b))

		back := drawAssignments(t)
		require.NoError(t, back.UnmarshalBinary([]byte(image(t, x))))
		require.Equal(t, image(t, x), image(t, back))
	})
}

// Two members that rebalance on their own and exchange what they did end with equal maps.
func TestAssignmentsConverge(t *testing.T) {
	m := must(t, nodeSet(4), Slots(64))
	n1, p1 := m.Rebalance(append(nodeSet(4), Node{ID: "x"}))
	require.NoError(t, p1.Err)
	n2, p2 := m.Rebalance(append(nodeSet(4), Node{ID: "y"}))
	require.NoError(t, p2.Err)
	var a, b Assignments
	require.NoError(t, a.Record(m, n1))
	require.NoError(t, b.Record(m, n2))
	require.Equal(t, len(p1.Moves), a.Len())
	require.True(t, a.Merge(&b))
	b.Merge(&a)
	all := append(nodeSet(4), Node{ID: "x"}, Node{ID: "y"})
	base := must(t, all, Slots(64))
	require.Equal(t, a.On(base).Fingerprint(), b.On(base).Fingerprint())
	for s, owners := range a.All() {
		require.Equal(t, a.On(base).nodes[a.On(base).owners[s]].ID, owners[0])
	}
	// Owners that have left do not count.
	require.Equal(t, must(t, []Node{{ID: "z"}}, Slots(64)).Fingerprint(), a.On(must(t, []Node{{ID: "z"}}, Slots(64))).Fingerprint())
	require.ErrorIs(t, a.Record(m, must(t, nodeSet(4), Slots(128))), ErrOption)
	for range a.All() {
		break
	}
}

func TestAssignRefuses(t *testing.T) {
	var a Assignments
	for _, c := range []struct {
		owners []string
		want   error
	}{{nil, ErrNoNodes}, {[]string{""}, ErrEmptyID}, {[]string{"a", "a"}, ErrDuplicate}} {
		_, err := a.Assign(1, c.owners...)
		require.ErrorIs(t, err, c.want)
	}
	require.Zero(t, a.Len())
	epoch, err := a.Assign(math.MaxUint32, "a")
	require.NoError(t, err)
	require.Equal(t, uint64(1), epoch)
	a.put(7, assignment{math.MaxUint64, []string{"a"}})
	_, err = a.Assign(7, "b")
	require.ErrorIs(t, err, ErrEpoch)
}

// A slot may claim as many owners as there are bytes: reading them takes a moment, not the square of it.
func TestAssignmentsOfManyOwners(t *testing.T) {
	const n = 200_000
	b := binary.AppendUvarint([]byte{assignmentsVersion}, n)
	for i := range n {
		b = append(b, 4, 'n', byte(i>>16), byte(i>>8), byte(i))
	}
	b = binary.AppendUvarint(append(b, 1, 0, 1), n)
	for i := range uint64(n) {
		b = binary.AppendUvarint(b, i)
	}
	var a Assignments
	require.NoError(t, a.UnmarshalBinary(b))
	again, err := a.MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, b, again)
}

func TestAssignmentsBinaryRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":              {},
		"a version to come":    {2, 0, 0},
		"an unused ID":         {1, 1, 1, 'a', 0},
		"an empty ID":          {1, 1, 0, 1, 0, 1, 1, 0},
		"IDs out of order":     {1, 2, 1, 'b', 1, 'a', 1, 0, 1, 2, 0, 1},
		"epoch 0":              {1, 1, 1, 'a', 1, 0, 0, 1, 0},
		"no owners":            {1, 0, 1, 0, 1, 0, 0},
		"an owner twice":       {1, 1, 1, 'a', 1, 0, 1, 2, 0, 0},
		"an unknown owner":     {1, 1, 1, 'a', 1, 0, 1, 1, 1},
		"a slot over 32 bits":  {1, 1, 1, 'a', 1, 0x80, 0x80, 0x80, 0x80, 0x10, 1, 1, 0},
		"more after the end":   {1, 0, 0, 0},
		"many slots announced": {1, 0, 0x80, 0x80, 0x80, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var a Assignments
			require.ErrorIs(t, a.UnmarshalBinary(b), ErrMalformed)
		})
	}
}

func FuzzAssignmentsUnmarshal(f *testing.F) {
	f.Add([]byte{1, 1, 1, 'a', 1, 0, 1, 1, 0})
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Assignments
		if a.UnmarshalBinary(b) == nil {
			require.Equal(t, string(b), image(t, &a))
		}
	})
}
