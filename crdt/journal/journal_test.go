package journal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/disk/disktest"
)

const (
	goldenLog = "63616c6d6c6f673100000000000000020000000000000005f67482680000001c000000000000001c65ca1e99de36902e" +
		"ca1d0107000100000000000000050100000100000d00010690557b51"
	goldenSnapshot = "63616c6d736e703100000000000000020000000000000005a5426523ca1d0107000100000000000000050100000100000d00010690557b51"
)

// start opens the journal in a directory, and a set in it.
func start(t *testing.T, dir string, opts Options) (*Journal, *crdt.Store, *crdt.Set[string]) {
	t.Helper()
	j, err := Open(dir, opts)
	require.NoError(t, err)
	s := crdt.NewStore(j.Replica())
	tags := crdt.At[*crdt.Set[string]](s, "tags")
	require.NoError(t, j.Restore(s))
	return j, s, tags
}

// kill ends a journal as the end of its process does.
func (j *Journal) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, j.lock.Close())
}

// Two that write to one directory at once would be two histories under one name.
func TestADirectoryIsOpenOnce(t *testing.T) {
	dir := t.TempDir()
	j, s, tags := start(t, dir, Options{})
	tags.Add("a")
	_, err := Open(dir, Options{})
	require.ErrorIs(t, err, ErrLocked)
	_, err = Open(dir, Options{Fresh: true})
	require.ErrorIs(t, err, ErrLocked)
	require.False(t, tags.Add("b").IsZero())
	require.NoError(t, j.Close())

	require.NoError(t, os.Rename(filepath.Join(dir, snapshotName), filepath.Join(dir, "away")))
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrCorrupt)
	require.NoError(t, os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, snapshotName)))
	k, o, _ := start(t, dir, Options{})
	require.Equal(t, s.State(), o.State())
	k.kill(t)
	k, _, _ = start(t, dir, Options{})
	require.NoError(t, k.Close())
}

func TestJournalOnTheDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "state")
	j, s, tags := start(t, dir, Options{})
	id := j.Replica()
	tags.Add("a")
	o := crdt.NewStore(7)
	_, err := s.Merge(crdt.At[*crdt.Set[string]](o, "tags").Add("b"))
	require.NoError(t, err)
	require.Equal(t, 2, j.Stats().Records)
	require.False(t, j.Due())
	require.NoError(t, j.Sync())

	j.kill(t)
	j, s, tags = start(t, dir, Options{})
	require.Equal(t, id, j.Replica())
	require.Equal(t, []string{"a", "b"}, tags.Sorted())
	require.NoError(t, j.Snapshot())
	require.Zero(t, j.Stats().Records)
	tags.Remove("a")
	state := s.State()
	require.NoError(t, j.Close())
	require.NoError(t, j.Close())
	require.True(t, tags.Add("late").IsZero())
	require.ErrorIs(t, s.Err(), ErrClosed)
	require.ErrorIs(t, j.Snapshot(), ErrClosed)

	j, s, tags = start(t, dir, Options{})
	require.Equal(t, state, s.State())
	for i := range 40_000 {
		if j.Due() {
			require.Greater(t, i, 1000)
			break
		}
		s.SetLog(nil) // quicker than a sync each
		d := tags.Add(fmt.Sprint("a rather long element, the better to fill the log with ", i))
		require.NoError(t, j.Append(d, false))
	}
	require.True(t, j.Due())
	s.SetLog(j)
	require.NoError(t, j.Snapshot())
	require.False(t, j.Due())
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 3, "a snapshot, its log and the lock")
	require.NoError(t, j.Close())
}

// Whatever byte of the files is damaged: Open refuses them, or says that it cut the log's last record
// off, and never reads anything else.
func TestDamageIsNoticed(t *testing.T) {
	dir := t.TempDir()
	j, s, tags := start(t, dir, Options{})
	tags.Add("in the snapshot")
	require.NoError(t, j.Snapshot())
	last := 0 // where the last record begins
	for i := range 4 {
		last = int(j.Stats().Log)
		tags.Add(fmt.Sprint("in the log ", i))
	}
	state := s.State()
	require.NoError(t, j.Close())
	cuts := 0
	for _, name := range []string{snapshotName, logName(2)} {
		path := filepath.Join(dir, name)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		for i := range whole {
			bad := bytes.Clone(whole)
			bad[i] ^= 0x41
			require.NoError(t, os.WriteFile(path, bad, 0o644))
			j, err := Open(dir, Options{})
			if err != nil {
				require.ErrorIs(t, err, ErrCorrupt, "%s byte %d", name, i)
				var ce *CorruptError
				require.ErrorAs(t, err, &ce)
				require.Equal(t, name, ce.File)
				require.NotEmpty(t, err.Error())
				continue
			}
			require.Equal(t, name, logName(2))
			require.GreaterOrEqual(t, i, last)
			require.NotZero(t, j.Stats().Cut, "%s byte %d", name, i)
			cuts++
			require.NoError(t, j.Close())
			require.NoError(t, os.WriteFile(path, whole, 0o644))
		}
		require.NoError(t, os.WriteFile(path, whole, 0o644))
	}
	require.NotZero(t, cuts)
	j, s, _ = start(t, dir, Options{})
	require.Equal(t, state, s.State())
	j.kill(t)

	require.NoError(t, os.Remove(filepath.Join(dir, logName(2))))
	_, err := Open(dir, Options{})
	require.ErrorIs(t, err, ErrCorrupt)
	require.NoError(t, os.WriteFile(filepath.Join(dir, logName(2)), encodeLog(head{3, 5}), 0o644))
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrCorrupt)
	require.NoError(t, os.Remove(filepath.Join(dir, snapshotName)))
	j, err = Open(dir, Options{})
	require.NoError(t, err, "an empty log is no loss")
	j.kill(t)
	require.NoError(t, os.Remove(filepath.Join(dir, snapshotName)))
	b := appendRecord(encodeLog(head{1, 5}), state, headLen)
	require.NoError(t, os.WriteFile(filepath.Join(dir, logName(1)), b, 0o644))
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrCorrupt)
}

// A replica that lost its disk begins under a new name; under the old one it is refused.
func TestLostDisk(t *testing.T) {
	dir := t.TempDir()
	j, _, tags := start(t, dir, Options{})
	old := j.Replica()
	peer := crdt.NewStore(7)
	theirs := crdt.At[*crdt.Set[string]](peer, "tags")
	_, err := peer.Merge(tags.Add("told"))
	require.NoError(t, err)
	require.NoError(t, j.Close())
	require.NoError(t, os.RemoveAll(dir))

	j, s, tags := start(t, dir, Options{})
	require.NotEqual(t, old, j.Replica())
	_, err = s.Merge(peer.State())
	require.NoError(t, err)
	_, err = peer.Merge(tags.Add("more"))
	require.NoError(t, err)
	require.Equal(t, []string{"more", "told"}, theirs.Sorted())

	reused := crdt.NewStore(old)
	crdt.At[*crdt.Set[string]](reused, "tags").Add("again")
	_, err = reused.Merge(peer.State())
	require.ErrorIs(t, err, crdt.ErrEquivocation)
	_, err = peer.Merge(reused.State())
	require.ErrorIs(t, err, crdt.ErrEquivocation)
}

// A directory that is an old state of a replica that went on is opened under a new name.
func TestFreshNameForACopy(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	j, s, tags := start(t, dir, Options{})
	tags.Add("a")
	require.NoError(t, os.CopyFS(filepath.Join(backup, "copy"), os.DirFS(dir)))
	k, c, copied := start(t, filepath.Join(backup, "copy"), Options{Fresh: true})
	require.NotEqual(t, s.ID(), c.ID())
	require.Equal(t, []string{"a"}, copied.Sorted())
	tags.Add("b")
	copied.Add("c")
	_, err := s.Merge(c.State())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, tags.Sorted())
	require.NoError(t, j.Close())
	k.kill(t)
	_, again, _ := start(t, filepath.Join(backup, "copy"), Options{})
	require.Equal(t, c.ID(), again.ID(), "fresh once")
}

func TestRestoreWantsAStoreOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	j, s, tags := start(t, dir, Options{})
	tags.Add("a")
	require.Panics(t, func() { _ = j.Restore(s) }, "twice")
	j.kill(t)
	j, err := Open(dir, Options{})
	require.NoError(t, err)
	require.Panics(t, func() { _ = j.Snapshot() })
	require.Panics(t, func() { _ = j.Restore(crdt.NewStore(1)) }, "of another name")
	o := crdt.NewStore(j.Replica())
	crdt.At[*crdt.Counter](o, "tags")
	err = j.Restore(o)
	require.ErrorIs(t, err, crdt.ErrSchema)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err = Open(file, Options{})
	require.Error(t, err)
}

// Once a sync has failed nothing is acknowledged until all was written anew.
func TestBrokenLogIsMendedByASnapshot(t *testing.T) {
	d := disktest.New(-1, false)
	j, err := open(d, Options{}, func() crdt.ReplicaID { return 5 })
	require.NoError(t, err)
	s := crdt.NewSet[string](5)
	require.NoError(t, j.Restore(s.Store()))
	s.Add("kept")
	d.SetLeft(recordLen + s.Store().State().Len()) // enough for a record, not for the sync
	require.True(t, s.Add("lost").IsZero())
	require.ErrorIs(t, s.Store().Err(), disktest.ErrFull)
	require.True(t, s.Add("lost").IsZero())
	require.ErrorIs(t, s.Store().Err(), ErrBroken)
	require.ErrorIs(t, j.Sync(), ErrBroken)
	require.NoError(t, j.Snapshot())
	s.Add("after")
	require.Equal(t, []string{"after", "kept"}, s.Sorted())
	require.NoError(t, j.Close())
}

// The files are read for ever: these bytes never change.
func TestGoldenBytes(t *testing.T) {
	d := crdt.NewCounter(5).Add(3)
	b := encodeLog(head{2, 5})
	require.Equal(t, goldenLog, hex.EncodeToString(appendRecord(b, d, int64(len(b)))))
	require.Equal(t, goldenSnapshot, hex.EncodeToString(encodeSnapshot(head{2, 5}, d)))
}

func FuzzLog(f *testing.F) {
	c := crdt.NewCounter(5)
	b := encodeLog(head{1, 5})
	f.Add(b)
	b = appendRecord(b, c.Add(3), headLen)
	f.Add(b)
	f.Add(appendRecord(b, c.Add(4), int64(len(b))))
	f.Add(append(b, 0, 0, 0, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, deltas, good, err := decodeLog("log", bytes.Clone(b))
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		again := encodeLog(h)
		for at, d := range deltas {
			_, synced, _ := readRecord(b[len(again):])
			again = appendRecord(again, d, int64(synced))
			require.Equal(t, b[:len(again)], again, at)
		}
		require.Len(t, again, good)
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Add(encodeSnapshot(head{1, 5}, crdt.Delta{}))
	f.Add(encodeSnapshot(head{1 << 60, 9}, crdt.NewCounter(5).Add(3)))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, state, err := decodeSnapshot("snapshot", bytes.Clone(b))
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.Equal(t, b, encodeSnapshot(h, state))
	})
}
