package crdt

import (
	"math/bits"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a merge allocates is in proportion to the delta, also where many events come before anything of
// them was read, and again after a gap.
func TestMergeAllocatesInProportion(t *testing.T) {
	s := NewSet[int](1)
	es := make([]int, 20_000)
	for i := range es {
		es[i] = i
	}
	s.Add(es...)
	for i := 0; i < len(es); i += 5_000 {
		s.Remove(es[i+1])
	}
	state := s.Store().State()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := NewSet[int](2).Merge(state)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, 200*uint64(state.Len()))
}

// What an encoding allocates is not guessed from larger values that were encoded before.
func TestEncodeAllocatesInProportion(t *testing.T) {
	s := NewMap[int, *Register[string]](1)
	for i := range 40 {
		s.At(i).Set(strings.Repeat("x", 100_000))
	}
	s.Store().State() // 100 kB an event
	for i := range 40 {
		s.Remove(i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := s.Store().Update(func() {
		for i := range 20_000 {
			s.At(i).Set("x")
		}
	})
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, 200*uint64(d.Len()))
}

// What the delta of an update allocates does not grow with the state.
func TestAnUpdateAllocatesInProportion(t *testing.T) {
	s := NewMap[int, *Register[string]](1)
	s.Store().Update(func() {
		for i := range 100_000 {
			s.At(i).Set("x")
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d := s.Store().Update(func() {
		for i := range 100 {
			s.At(i * 7).Set("y")
		}
	})
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, 200*uint64(d.Len()))
}

// Neighbors of one shape in a delta are held each against its own type here.
func TestNeighborsAreCheckedEach(t *testing.T) {
	type theirs struct {
		A *Flag `crdt:"1"`
		B *Flag `crdt:"2"`
	}
	type ours struct {
		A *Flag       `crdt:"1"`
		B *StickyFlag `crdt:"2"`
	}
	there := NewStore(1)
	names := there.Update(func() {
		At[*Flag](there, "a").Enable()
		At[*Flag](there, "b").Enable()
	})
	record := OpenStruct[theirs](there, "c")
	fields := there.Update(func() {
		record.A.Enable()
		record.B.Enable()
	})
	here := NewStore(2)
	At[*Flag](here, "a")
	At[*StickyFlag](here, "b")
	OpenStruct[ours](here, "c")
	for _, d := range []Delta{names, fields} {
		_, err := here.Merge(d)
		require.ErrorIs(t, err, ErrSchema)
	}
	require.True(t, here.State().IsZero())

	// Elements are held each against the type of all.
	ints, bytes := NewSet[int64](1), NewSet[int8](2)
	_, err := bytes.Merge(ints.Add(1, 2, 3))
	require.NoError(t, err)
	_, err = bytes.Merge(ints.Add(4, 5, 600))
	require.ErrorIs(t, err, ErrSchema)
	require.Equal(t, 3, bytes.Len())
}

// A run of new elements of which some were seen, and some live here, is taken in as far as it is new.
func TestARunIsTakenInPieces(t *testing.T) {
	a := NewSet[int](1)
	es := make([]int, 40)
	for i := range es {
		es[i] = i
	}
	all := a.Add(es...)
	for seen := range uint64(1 << 10) { // which of each four elements in a row are here already
		b := NewSet[int](2)
		var want []int
		for i := range 10 {
			if seen>>i&1 == 0 {
				continue
			}
			d := Digest{lanes: []digestLane{{id: 1}}}
			for e := range es {
				if e/4 != i {
					d.lanes[0].seen.Add(uint64(e + 1))
				}
			}
			_, err := b.Merge(a.Since(d))
			require.NoError(t, err)
			if i%2 == 1 {
				b.Remove(4*i, 4*i+3)
				want = append(want, 4*i+1, 4*i+2)
			}
		}
		for e := range es {
			if i := e / 4; seen>>i&1 == 0 || i%2 == 0 {
				want = append(want, e)
			}
		}
		fresh, err := b.Store().Learn(all)
		require.NoError(t, err)
		require.ElementsMatch(t, want, b.Sorted())
		c := NewSet[int](3)
		_, err = c.Merge(fresh)
		require.NoError(t, err)
		require.Equal(t, 4*(10-bits.OnesCount64(seen)), c.Len())
		require.Equal(t, bare(b.Store().State()).Fingerprint(), b.Store().Fingerprint())
	}
}
