package crdt

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/clock"
)

// rewritten is a delta as it comes from the wire, in other memory.
func rewritten(t *testing.T, d Delta) Delta {
	t.Helper()
	p, err := ParseDelta(slices.Clone(d.b), Limits{})
	require.NoError(t, err)
	return p
}

// skipped reports whether a merge of d would be passed over, for it was merged before.
func (s *Store) skipped(d Delta) bool {
	_, ok := s.merger.known.find(s, d.b)
	return ok
}

// bigDelta is of elements from n on, and long enough to be remembered.
func bigDelta(t *testing.T, id ReplicaID, n int) Delta {
	t.Helper()
	es := make([]int, 3000)
	for i := range es {
		es[i] = n + i
	}
	d := NewSet[int](id).Add(es...)
	require.GreaterOrEqual(t, d.Len(), big)
	return d
}

// A delta that was merged before is passed over unread. It must be the same to the byte, it must
// have been merged here, and what has become of its events since is not its concern.
func TestTheKnownIsPassedOver(t *testing.T) {
	d := bigDelta(t, 1, 0)
	s := NewSet[int](2)
	change := func(d Delta) bool {
		t.Helper()
		changed, err := s.Merge(d)
		require.NoError(t, err)
		return changed
	}
	require.False(t, s.store.skipped(d))
	require.True(t, change(d))
	require.True(t, s.store.skipped(rewritten(t, d)))
	require.False(t, change(rewritten(t, d)))
	fresh, err := s.store.Learn(rewritten(t, d))
	require.NoError(t, err)
	require.True(t, fresh.IsZero())

	// What is over stays over, and what was undone stays undone.
	gone := s.Remove(1, 2, 3)
	require.False(t, change(d))
	require.False(t, s.Contains(1))
	back := s.store.Invert(gone)
	require.True(t, s.Contains(1))
	require.False(t, change(d))
	require.True(t, s.Contains(1))
	s.store.Invert(back)
	require.False(t, change(d))
	require.False(t, s.Contains(1))
	s.Clear()
	require.False(t, change(d))
	require.Zero(t, s.Len())

	// Another store has not merged it.
	other := NewSet[int](3)
	require.False(t, other.store.skipped(d))
	changed, err := other.Merge(d)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, 3000, other.Len())
}

// The same length, the same beginning and the same end do not make a delta the same.
func TestAlmostTheKnownIsRead(t *testing.T) {
	s := NewSet[int](9)
	d := bigDelta(t, 1, 0)
	_, err := s.Merge(d)
	require.NoError(t, err)

	// Other events, one of a few thousand: equal but for a byte here and there.
	b := slices.Clone(d.b)
	b[headerLen+1+7] = 2 // of another replica
	b = resum(b)
	twin, err := ParseDelta(b, Limits{})
	require.NoError(t, err)
	require.Equal(t, d.Len(), twin.Len())
	changed, err := s.Merge(twin)
	require.NoError(t, err)
	require.True(t, changed)
	require.Len(t, s.store.lanes, 2)

	// The same events with another content are refused, however well known the rest is.
	lies := 0
	for _, at := range []int{len(d.b) / 4, len(d.b) / 2, len(d.b) - checksumLen - 1} {
		b := slices.Clone(d.b)
		for b[at]&0x7f < 3 || b[at]&0x7f > 0x70 { // not a length
			at--
		}
		b[at] ^= 1
		lie, err := ParseDelta(resum(b), Limits{})
		if err != nil {
			continue // no key any more
		}
		lies++
		before := s.store.State()
		_, err = s.Merge(lie)
		require.ErrorIs(t, err, ErrEquivocation)
		require.False(t, s.store.skipped(lie), "what was refused is not known")
		_, err = s.Merge(lie)
		require.ErrorIs(t, err, ErrEquivocation)
		require.Equal(t, before, s.store.State())
	}
	require.Positive(t, lies)
}

// resum puts the right checksum under a delta that was changed.
func resum(b []byte) []byte {
	b = b[:len(b)-checksumLen]
	return appendSum(b)
}

// Only some are remembered. One that was forgotten is read again, and changes nothing again.
func TestTheKnownIsForgotten(t *testing.T) {
	s := NewSet[int](99)
	var ds []Delta
	for i := range 3 * len(s.store.merger.known.hashes) {
		ds = append(ds, bigDelta(t, ReplicaID(i+1), 10*i))
		changed, err := s.Merge(ds[i])
		require.NoError(t, err)
		require.True(t, changed)
	}
	require.False(t, s.store.skipped(ds[0]))
	before := s.State()
	for _, d := range ds {
		changed, err := s.Merge(d)
		require.NoError(t, err)
		require.False(t, changed)
	}
	require.Equal(t, before, s.State())
}

// A delta that the log refused, and the state in the middle of an update that came undone, are not
// what the store holds: they are not known.
func TestTheRefusedIsNotKnown(t *testing.T) {
	full := true
	s := NewSet[int](2)
	s.Add(-1)
	s.store.SetLog(appender(func(Delta, bool) error {
		if full {
			return errors.New("disk full")
		}
		return nil
	}))
	d := bigDelta(t, 1, 0)
	_, err := s.Merge(d)
	require.ErrorIs(t, err, ErrLog)
	require.False(t, s.store.skipped(d))

	var inside Delta
	undone := s.store.Update(func() {
		for i := range 3000 {
			s.Add(10_000 + i)
		}
		inside = s.State()
	})
	require.True(t, undone.IsZero())
	require.GreaterOrEqual(t, inside.Len(), big)
	require.Equal(t, 1, s.Len())
	require.False(t, s.store.skipped(inside))
	_, err = s.Merge(inside)
	require.Error(t, err, "events of this replica's that it has not made")

	full = false
	for range 2 {
		_, err = s.Merge(d)
		require.NoError(t, err)
		require.Equal(t, 3001, s.Len())
	}
}

type appender func(Delta, bool) error

func (f appender) Append(d Delta, local bool) error { return f(d, local) }

// A place that is opened later, as another type, does not make a known delta news: what it told is
// here, and nothing of it is to be refused again.
func TestTheKnownWhenPlacesAreOpened(t *testing.T) {
	a, s := NewStore(1), NewStore(2)
	m := At[*Map[int, *LWW[string]]](a, "m")
	a.Update(func() {
		for i := range 1000 {
			m.At(i).Set(clock.Timestamp(i+1), "v")
		}
	})
	d := a.State()
	for _, open := range []bool{false, true} {
		if open {
			require.Equal(t, 1000, At[*Map[int, *LWW[string]]](s, "m").Len())
		}
		changed, err := s.Merge(d)
		require.NoError(t, err)
		require.Equal(t, !open, changed)
	}
}

// A delta that is said to tell nothing new, for the store was walked along with it, is one whose merge
// changes nothing and refuses nothing; and one that tells what the store holds is said to be.
func TestWhatIsSkimmedIsKnown(t *testing.T) {
	quiet, missed, refused := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		// A namesake of the first one has lost its disk: it gives its numbers to other events.
		rs := []*replica{newReplica(1), newReplica(2), newReplica(3), newReplica(1)}
		var ds []Delta
		for range rapid.IntRange(10, 60).Draw(t, "steps") {
			r := rs[rapid.IntRange(0, len(rs)-1).Draw(t, "replica")]
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1:
				ds = append(ds, operate(t, r), r.State())
			case 2:
				ds = append(ds, r.Since(rs[rapid.IntRange(0, 2).Draw(t, "peer")].Digest()))
			case 3:
				r.Compact(r.Digest())
			default:
				if len(ds) == 0 {
					continue
				}
				d := ds[rapid.IntRange(0, len(ds)-1).Draw(t, "delta")]
				if d.IsZero() {
					continue
				}
				said := r.merger.skimmer.knows(r.Store, d.b)
				before := r.State()
				changed, err := r.Merge(d)
				nothing := !changed && err == nil
				require.False(t, said && !nothing, "said to be known: changed %v, %v", changed, err)
				if d.Len() == before.Len() && string(d.b) == string(before.b) {
					require.True(t, said, "it is the state")
				}
				switch {
				case err != nil:
					refused++
				case nothing:
					if quiet++; !said {
						missed++
					}
				}
				require.True(t, err != nil || r.merger.skimmer.knows(r.Store, r.State().b))
			}
		}
	})
	t.Logf("of %d deltas that told nothing new %d were not seen to; %d were refused", quiet, missed, refused)
	require.Less(t, missed, quiet/10+1)
	require.Positive(t, refused)
}

// What is rare at random: events of one number that differ only in their place or their value, and the
// reset of events whose sum its maker had not seen.
func TestWhatSkimmingMustNotMiss(t *testing.T) {
	type nested = *Map[string, *Map[int, *Counter]]
	a, b := Open[nested](1), Open[nested](1) // b lost its disk
	for _, m := range []nested{a, b} {
		m.At("x").At(1).Add(1)
		m.At("y").At(1).Add(1)
	}
	refuses := func(m nested, d Delta) {
		t.Helper()
		require.False(t, m.store.merger.skimmer.knows(m.store, d.b))
		_, err := m.Merge(d)
		require.ErrorIs(t, err, ErrEquivocation)
	}
	require.True(t, a.store.merger.skimmer.knows(a.store, b.State().b))
	a.At("x").At(2).Add(1)
	b.At("y").At(2).Add(1) // a new node below another one
	refuses(a, b.State())
	refuses(b, a.State())

	a, b = Open[nested](1), Open[nested](1)
	for _, m := range []nested{a, b} {
		m.At("x").At(1).Add(1)
		m.At("x").At(2).Add(1)
	}
	a.At("x").At(1).Add(1)
	b.At("x").At(2).Add(1) // a node that was named before
	refuses(a, b.State())
	refuses(b, a.State())

	a, b = Open[nested](1), Open[nested](1)
	a.At("x").At(1).Add(1)
	b.At("x").At(1).Add(2)
	refuses(a, b.State())
	refuses(b, a.State())

	s, o := NewStore(1), NewStore(2)
	c := At[*Counter](s, "c")
	one := c.Add(1)
	two := c.Add(2)
	_, err := o.Merge(one)
	require.NoError(t, err)
	require.True(t, o.merger.skimmer.knows(o, one.b))
	require.False(t, o.merger.skimmer.knows(o, two.b), "nobody has told o")
	ended := NewStore(3)
	_, err = ended.Merge(one)
	require.NoError(t, err)
	require.False(t, o.merger.skimmer.knows(o, ended.Delete("c").b), "it lives in o")
	_, err = o.Merge(two)
	require.NoError(t, err)
	require.Equal(t, 1, s.Compact(o.Digest()))
	reset := o.Delete("c")
	require.False(t, s.merger.skimmer.knows(s, reset.b))
	changed, err := s.Merge(reset)
	require.NoError(t, err)
	require.True(t, changed)
	require.Zero(t, c.Value())
	require.True(t, s.merger.skimmer.knows(s, reset.b))
}

// Keys are compared byte by byte, however they are.
func TestEqualIsEqual(t *testing.T) {
	for n := range 40 {
		a := make([]byte, n, n+1)
		require.True(t, equal(a, slices.Clone(a)))
		require.False(t, equal(a, append(a, 0)))
		for i := range a {
			b := slices.Clone(a)
			b[i] = 1
			require.False(t, equal(a, b), "byte %d of %d", i, n)
		}
	}
}
