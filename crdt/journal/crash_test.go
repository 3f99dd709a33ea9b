package journal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/disk/disktest"
	"github.com/go-calm/calm/internal/testenv"
)

// rounds is how long a life is: there is a snapshot in the middle, and a log at the end that no snapshot
// mends any more. Under the race detector only every so many steps are tried.
const rounds = 6

func stride() int {
	switch {
	case testenv.Race || testing.Short():
		return 13
	case testenv.Checks(100) < 100:
		return 3
	}
	return 1
}

// A life is what a program does with its journal: changes, merges, snapshots.
type life struct {
	d       *disktest.Disk
	ids     crdt.ReplicaID
	acked   []crdt.Delta // changes that were acknowledged, and merges that were synced
	merged  []crdt.Delta // merges since the last sync
	flying  []crdt.Delta // what was being made when the disk failed: at most one
	refused int
	fails   []error
}

func (l *life) newID() crdt.ReplicaID { l.ids++; return l.ids }

type board struct {
	Posts *crdt.Map[string, *crdt.Counter] `crdt:"1"`
	Tags  *crdt.Set[string]                `crdt:"2"`
}

// run lives until the disk stops.
func (l *life) run(rounds int) error {
	j, err := open(l.d, Options{}, l.newID)
	if err != nil {
		return err
	}
	s := crdt.NewStore(j.Replica())
	b := crdt.OpenStruct[board](s, "board")
	if err := j.Restore(s); err != nil {
		return err
	}
	peer := crdt.NewStore(1 << 32)
	p := crdt.OpenStruct[board](peer, "board")
	for i := range rounds {
		before := s.State()
		trial := crdt.NewStore(j.Replica()) // makes the change in flight, to compare with
		tb := crdt.OpenStruct[board](trial, "board")
		if _, err := trial.Merge(before); err != nil {
			return err
		}
		change := func(b *board) {
			b.Posts.At(fmt.Sprint("post", i%3)).Add(int64(i))
			b.Tags.Add(fmt.Sprint("tag", i))
			b.Tags.Remove(fmt.Sprint("tag", i-2))
		}
		want := trial.Update(func() { change(tb) })
		d, err := s.TryUpdate(func() { change(b) })
		if err != nil {
			l.flying = append(l.flying, want)
			if !errors.Is(err, crdt.ErrLog) || !bytes.Equal(bytesOf(before), bytesOf(s.State())) {
				return fmt.Errorf("a refused change is half there: %w", err)
			}
			if err := l.failed(j, err); err != nil {
				return err
			}
			continue
		}
		l.acked = append(append(l.acked, l.merged...), d)
		l.merged = nil

		m := peer.Update(func() { p.Posts.At("theirs").Add(1); p.Tags.Add(fmt.Sprint("their", i)) })
		if _, err := s.Merge(m); err != nil {
			if err := l.failed(j, err); err != nil {
				return err
			}
		} else {
			l.merged = append(l.merged, m)
		}
		if i%3 == 1 {
			if err := j.Sync(); err != nil {
				if err := l.failed(j, err); err != nil {
					return err
				}
			} else {
				l.acked, l.merged = append(l.acked, l.merged...), nil
			}
		}
		if i%4 == 2 {
			if err := j.Snapshot(); err != nil {
				if err := l.failed(j, err); err != nil {
					return err
				}
			} else {
				l.acked, l.merged = append(l.acked, l.merged...), nil
			}
		}
	}
	return j.Close()
}

// failed goes on after a failure, as a program does: what is broken is mended by a snapshot.
func (l *life) failed(j *Journal, err error) error {
	l.fails = append(l.fails, err)
	if l.d.Stops() {
		return err
	}
	l.refused++
	if j.broken != nil {
		if err := j.Snapshot(); err != nil {
			return fmt.Errorf("after %w: %w", l.fails[0], err)
		}
	}
	// What was refused is not there, and not in flight any more.
	l.flying = nil
	return nil
}

func bytesOf(d crdt.Delta) []byte {
	b, err := d.MarshalBinary()
	if err != nil {
		panic(err)
	}
	return b
}

// check opens what a crash left: it holds all that was acknowledged, and at most what was in flight.
func (l *life) check(t *testing.T, what string, d *disktest.Disk) {
	ids := l.ids
	j, err := open(d, Options{}, func() crdt.ReplicaID { ids += 1000; return ids })
	require.NoError(t, err, what)
	s := crdt.NewStore(j.Replica())
	b := crdt.OpenStruct[board](s, "board")
	require.NoError(t, j.Restore(s), what)
	for i, a := range l.acked {
		changed, err := s.Merge(a)
		require.NoError(t, err, what)
		require.False(t, changed, "%s: acknowledged change %d of %d is lost", what, i, len(l.acked))
	}
	all := crdt.NewStore(1 << 40)
	for _, a := range slices.Concat(l.acked, l.merged, l.flying) {
		_, err := all.Merge(a)
		require.NoError(t, err, what)
	}
	changed, err := all.Merge(s.State())
	require.NoError(t, err, what)
	require.False(t, changed, "%s: something was made up", what)
	require.LessOrEqual(t, len(l.flying), 1)

	// It goes on, and what it writes now is there when it starts again.
	_, err = s.TryUpdate(func() { b.Tags.Add("again") })
	require.NoError(t, err, what)
	j2, err := open(d, Options{}, func() crdt.ReplicaID { return 77 })
	require.NoError(t, err, what)
	require.Equal(t, j.Replica(), j2.Replica(), what)
	s2 := crdt.NewStore(j2.Replica())
	require.NoError(t, j2.Restore(s2), what)
	require.Equal(t, s.State(), s2.State(), what)
}

// The process or the machine stops at every byte of every write and at every other step. Whatever of
// the unsynced survives, what was acknowledged is there.
func TestCrashAtEveryByte(t *testing.T) {
	whole := &life{d: disktest.New(1<<30, true)}
	require.NoError(t, whole.run(rounds))
	steps := 1<<30 - whole.d.Left()
	require.Greater(t, steps, 1000)
	lost, cut := 0, 0
	for at := 0; at < steps; at += stride() {
		l := &life{d: disktest.New(at, true)}
		_ = l.run(rounds)
		require.True(t, l.d.Dead(), "step %d of %d", at, steps)
		for what, d := range l.d.After() {
			l.check(t, fmt.Sprintf("step %d, %s", at, what), d)
			if len(l.acked) == 0 {
				lost++
			}
			if len(l.flying) > 0 {
				cut++
			}
		}
	}
	require.NotZero(t, lost)
	require.NotZero(t, cut)
	t.Logf("%d crashes in 9 ways each; in %d of them nothing was acknowledged yet, in %d a change was in flight", steps, lost, cut)
}

// The disk is full once, at every step. The change is refused, nothing of it is there, and life goes
// on; whatever fails, what is acknowledged survives a crash at the end.
func TestFullDiskAtEveryByte(t *testing.T) {
	whole := &life{d: disktest.New(1<<30, true)}
	require.NoError(t, whole.run(rounds))
	steps := 1<<30 - whole.d.Left()
	refused := 0
	for at := 0; at < steps; at += stride() {
		l := &life{d: disktest.New(at, false)}
		if err := l.run(rounds); err != nil { // it was full when the journal was opened or closed
			require.ErrorIs(t, err, disktest.ErrFull)
			continue
		}
		refused += l.refused
		for what, d := range l.d.After() {
			l.check(t, fmt.Sprintf("step %d, %s", at, what), d)
		}
	}
	require.Greater(t, refused, steps/2/stride())
}

// What a process that stopped had left in the system's memory survives the machine too once the journal
// was opened again.
func TestCrashAfterACrash(t *testing.T) {
	d := disktest.New(-1, true)
	id := func() crdt.ReplicaID { return 5 }
	j, err := open(d, Options{}, id)
	require.NoError(t, err)
	s := crdt.NewSet[string](j.Replica())
	require.NoError(t, j.Restore(s.Store()))
	_, err = s.Merge(crdt.NewSet[string](7).Add("theirs")) // written, not synced
	require.NoError(t, err)
	require.Empty(t, restored(t, d.After()["nothing unsynced survived"]))

	j, err = open(d, Options{}, id)
	require.NoError(t, err)
	s = crdt.NewSet[string](j.Replica())
	require.NoError(t, j.Restore(s.Store()))
	require.NoError(t, j.Sync())
	require.Equal(t, []string{"theirs"}, restored(t, d.After()["nothing unsynced survived"]))
}

// restored returns what a set holds that is opened from a disk.
func restored(t *testing.T, d *disktest.Disk) []string {
	j, err := open(d, Options{}, func() crdt.ReplicaID { return 9 })
	require.NoError(t, err)
	s := crdt.NewSet[string](j.Replica())
	require.NoError(t, j.Restore(s.Store()))
	return s.Sorted()
}
