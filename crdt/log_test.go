package crdt_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt"
)

var errFull = errors.New("no space left")

// tape is a log that keeps what it takes, and fails when told to.
type tape struct {
	deltas []crdt.Delta
	local  []bool
	full   bool
}

func (l *tape) Append(d crdt.Delta, local bool) error {
	if l.full {
		return errFull
	}
	l.deltas, l.local = append(l.deltas, d), append(l.local, local)
	return nil
}

// A change that the log refuses has never been: the state is the same to the byte, nobody is told, and
// the store goes on as one that never tried. What the log took is the state.
func TestWhatTheLogRefusesHasNeverBeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, other, twin := follow(1), follow(2), follow(1)
		log := &tape{}
		f.store.SetLog(log)
		told := 0
		f.store.OnUpdate(func(crdt.Delta) { told++ })
		changes := few(t)
		same := func() {
			t.Helper()
			require.Equal(t, twin.store.State(), f.store.State())
			require.Equal(t, twin.store.Digest(), f.store.Digest())
			require.Equal(t, twin.store.Fingerprint(), f.store.Fingerprint())
			f.check(t, true)
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				d, err := f.store.TryUpdate(func() { f.doc.change(t, changes) })
				require.NoError(t, err)
				_, err = twin.store.Merge(d)
				require.NoError(t, err)
				same()
			},
			"refuse": func(t *rapid.T) {
				log.full = true
				before := told
				d, err := f.store.TryUpdate(func() {
					for range rapid.IntRange(1, 6).Draw(t, "changes") {
						f.doc.change(t, changes)
					}
					if rapid.IntRange(0, 5).Draw(t, "delete") == 0 {
						f.store.Delete("doc")
					}
				})
				if err != nil { // else nothing was changed
					require.ErrorIs(t, err, crdt.ErrLog)
					require.ErrorIs(t, err, errFull)
					require.Equal(t, err, f.store.Err())
				}
				require.True(t, d.IsZero())
				require.Equal(t, before, told)
				require.Empty(t, f.told)
				log.full = false
				same()
			},
			"merge": func(t *rapid.T) {
				other.store.Update(func() { other.doc.change(t, changes) })
				d := other.store.State()
				log.full = true
				want := f.store.Digest().Lacks(other.store.Digest())
				changed, err := f.store.Merge(d)
				require.False(t, changed)
				if want {
					require.ErrorIs(t, err, crdt.ErrLog)
				} else {
					require.NoError(t, err, "nothing new, nothing to log")
				}
				log.full = false
				same()
				_, err = f.store.Learn(d)
				require.NoError(t, err)
				_, err = twin.store.Merge(d)
				require.NoError(t, err)
				f.check(t, false)
				same()
			},
			"undo": func(t *rapid.T) {
				d := f.store.Update(func() { f.doc.change(t, changes) })
				log.full = true
				require.True(t, f.store.Invert(d).IsZero())
				log.full = false
				_, err := twin.store.Merge(d)
				require.NoError(t, err)
				same()
			},
		})
		all, err := crdt.Join(log.deltas...)
		require.NoError(t, err)
		require.Equal(t, f.store.State(), all)
	})
}

func TestLogAtTheRoot(t *testing.T) {
	c := crdt.NewCounter(1)
	c.Add(5)
	log := &tape{full: true}
	c.Store().SetLog(log)
	for range 40 { // more than a lane keeps dead events for
		require.True(t, c.Add(1).IsZero())
		require.ErrorIs(t, c.Store().Err(), errFull)
		require.NotEmpty(t, c.Store().Err().Error())
	}
	require.Equal(t, int64(5), c.Value())
	log.full = false
	o := crdt.NewCounter(2)
	merge(t, o, c.Add(1))
	require.NoError(t, c.Store().Err())
	require.Equal(t, int64(6), o.Value(), "the event's number was free")
	merge(t, c, o.Add(1))
	require.Equal(t, []bool{true, false}, log.local)
	merge(t, c, o.State())
	require.Len(t, log.deltas, 2, "nothing new, nothing to log")

	// A flag that changes nothing is no refusal.
	log.full = true
	require.True(t, c.Add(1).IsZero())
	require.Error(t, c.Store().Err())
	_, err := c.Store().TryUpdate(func() {})
	require.NoError(t, err)
	c.Store().SetLog(nil)
	require.False(t, c.Add(1).IsZero())

	// Inside an Update, the outermost one is logged.
	c.Store().SetLog(log)
	_, err = c.Store().TryUpdate(func() {
		_, err := c.Store().TryUpdate(func() { c.Add(1) })
		require.NoError(t, err)
		require.Equal(t, int64(9), c.Value())
	})
	require.ErrorIs(t, err, crdt.ErrLog)
	require.Equal(t, int64(8), c.Value())
	require.Panics(t, func() { c.Store().Update(func() { c.Store().SetLog(nil) }) })
	b := crdt.NewBoundedCounter(1)
	b.Add(5)
	b.Store().SetLog(log)
	_, err = b.Sub(1)
	require.ErrorIs(t, err, crdt.ErrLog)
	_, err = b.Transfer(2, 1)
	require.ErrorIs(t, err, crdt.ErrLog)
	require.Equal(t, uint64(5), b.Rights())
}

// Compacting is a change like any other: refused, it has never been.
func TestCompactThatTheLogRefuses(t *testing.T) {
	m, peer := crdt.NewMap[string, *crdt.Counter](1), crdt.NewMap[string, *crdt.Counter](2)
	log := &tape{}
	m.Store().SetLog(log)
	for range 5 {
		m.At("k").Add(1)
	}
	merge(t, peer, m.State())
	stable := m.Digest().Meet(peer.Digest())
	before := m.State()
	log.full = true
	require.Zero(t, m.Store().Compact(stable))
	require.Equal(t, before, m.State())
	m.At("k").Add(1) // refused too
	log.full = false
	require.Equal(t, 4, m.Store().Compact(stable), "once more, with the same numbers")
	require.Equal(t, int64(5), m.At("k").Value())
	fused := m.State()
	log.full = true
	m.Remove("k")
	log.full = false
	require.Equal(t, fused, m.State())
	merge(t, m, peer.Remove("k"))
	require.Zero(t, m.Len(), "a reset of what was fused resets it")
	merge(t, peer, m.State())
	require.Equal(t, m.State(), peer.State())
}
