package journal

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
)

var (
	errCrash = errors.New("crash")
	errFull  = errors.New("no space left on device")
)

// disk is a file system that tells what is written from what is synced. After so many steps, of which
// each byte written is one and each other call is one, it fails: once as a disk that is full, with
// less written than asked for, or for ever as a machine that stops.
type disk struct {
	names, syncedNames map[string]*inode
	left               int  // steps until it fails; negative: never
	stops              bool // it fails for ever
	dead               bool
	syncs              int
}

type inode struct{ data, synced []byte }

func newDisk(left int, stops bool) *disk {
	return &disk{names: map[string]*inode{}, syncedNames: map[string]*inode{}, left: left, stops: stops}
}

// step takes up to n steps and returns how many it could.
func (d *disk) step(n int) (int, error) {
	switch {
	case d.dead:
		return 0, errCrash
	case d.left < 0:
		return n, nil
	case n <= d.left:
		d.left -= n
		return n, nil
	}
	return d.failed(d.left)
}

func (d *disk) failed(done int) (int, error) {
	d.left = -1
	if d.stops {
		d.dead = true
		return done, errCrash
	}
	return done, errFull
}

func (d *disk) Read(name string) ([]byte, error) {
	f := d.names[name]
	if f == nil {
		return nil, os.ErrNotExist
	}
	return bytes.Clone(f.data), nil
}

func (d *disk) Create(name string) (file, error) {
	if _, err := d.step(1); err != nil {
		return nil, err
	}
	d.names[name] = &inode{}
	return &handle{d, d.names[name]}, nil
}

func (d *disk) Append(name string) (file, error) { return &handle{d, d.names[name]}, nil }

func (d *disk) Rename(from, to string) error {
	if _, err := d.step(1); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *disk) Remove(name string) error {
	if _, err := d.step(1); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

func (d *disk) Names() ([]string, error) { return slices.Sorted(maps.Keys(d.names)), nil }

func (d *disk) Sync() error {
	if _, err := d.step(1); err != nil {
		return err
	}
	d.syncs++
	d.syncedNames = maps.Clone(d.names)
	return nil
}

type handle struct {
	d *disk
	f *inode
}

func (h *handle) Write(b []byte) (int, error) {
	n, err := h.d.step(len(b))
	h.f.data = append(h.f.data, b[:n]...)
	return n, err
}

func (h *handle) Sync() error {
	if _, err := h.d.step(1); err != nil {
		return err
	}
	h.d.syncs++
	h.f.synced = bytes.Clone(h.f.data)
	return nil
}

func (h *handle) Truncate(size int64) error {
	if _, err := h.d.step(1); err != nil {
		return err
	}
	h.f.data = h.f.data[:size]
	return nil
}

func (h *handle) Close() error { return nil }

// after returns what the next start may find: the process stopped, or the machine did, which lost
// what was not synced: all of it, a part of it, or the content and not the name.
func (d *disk) after() map[string]*disk {
	out := map[string]*disk{}
	for name, v := range map[string]struct {
		names   map[string]*inode
		content func(*inode) []byte
	}{
		"the process stopped":            {d.names, func(f *inode) []byte { return f.data }},
		"nothing unsynced survived":      {d.syncedNames, func(f *inode) []byte { return f.synced }},
		"unsynced names survived":        {d.names, func(f *inode) []byte { return f.synced }},
		"unsynced content survived":      {d.syncedNames, func(f *inode) []byte { return f.data }},
		"half of unsynced content":       {d.syncedNames, func(f *inode) []byte { return f.data[:(len(f.data)+min(len(f.data), len(f.synced)))/2] }},
		"zeros in place of the unsynced": {d.syncedNames, func(f *inode) []byte { return hole(f, 0, 1) }},
		"a hole in the unsynced":         {d.syncedNames, func(f *inode) []byte { return hole(f, 0, 0.1) }},
		"zeros at the unsynced end":      {d.syncedNames, func(f *inode) []byte { return hole(f, 0.9, 1) }},
		"a rename overtook a new name":   {overtaken(d), func(f *inode) []byte { return f.data }},
	} {
		e := newDisk(-1, false)
		for n, f := range v.names {
			b := bytes.Clone(v.content(f))
			e.names[n] = &inode{b, bytes.Clone(b)}
		}
		e.syncedNames = maps.Clone(e.names)
		out[name] = e
	}
	return out
}

// hole is a file of whose unsynced part a piece never got to the disk.
func hole(f *inode, from, to float64) []byte {
	b := bytes.Clone(f.data)
	if n := float64(len(b) - len(f.synced)); n > 0 {
		clear(b[len(f.synced)+int(n*from) : len(f.synced)+int(n*to)])
		return b
	}
	return f.synced
}

// overtaken is a directory of whose unsynced names only the snapshot's got to the disk.
func overtaken(d *disk) map[string]*inode {
	names := maps.Clone(d.syncedNames)
	if f := d.names[snapshotName]; f != nil {
		names[snapshotName] = f
	}
	return names
}

// rounds is how long a life is; under the race detector only every so many steps are tried.
const rounds = 7

func stride() int {
	if raceEnabled || testing.Short() {
		return 13
	}
	return 1
}

// A life is what a program does with its journal: changes, merges, snapshots.
type life struct {
	d       *disk
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
	if l.d.stops {
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
func (l *life) check(t *testing.T, what string, d *disk) {
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
	whole := &life{d: newDisk(1<<30, true)}
	require.NoError(t, whole.run(rounds))
	steps := 1<<30 - whole.d.left
	require.Greater(t, steps, 1000)
	lost, cut := 0, 0
	for at := 0; at < steps; at += stride() {
		l := &life{d: newDisk(at, true)}
		_ = l.run(rounds)
		require.True(t, l.d.dead, "step %d of %d", at, steps)
		for what, d := range l.d.after() {
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
	whole := &life{d: newDisk(1<<30, true)}
	require.NoError(t, whole.run(rounds))
	steps := 1<<30 - whole.d.left
	refused := 0
	for at := 0; at < steps; at += stride() {
		l := &life{d: newDisk(at, false)}
		if err := l.run(rounds); err != nil { // it was full when the journal was opened or closed
			require.ErrorIs(t, err, errFull)
			continue
		}
		refused += l.refused
		for what, d := range l.d.after() {
			l.check(t, fmt.Sprintf("step %d, %s", at, what), d)
		}
	}
	require.Greater(t, refused, steps/2/stride())
}
