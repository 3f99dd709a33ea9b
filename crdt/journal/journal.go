package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/disk"
)

// Options say how a [Journal] is opened. The zero value is what one wants but for directories that
// were copied.
type Options struct {
	// Fresh takes a new name for the replica, though the files have one: for a directory that was
	// restored from a backup or copied, whose old name somebody may have gone on with.
	Fresh bool
}

// Stats says what a [Journal] holds.
type Stats struct {
	Snapshot int64 // bytes of the snapshot
	Log      int64 // bytes of the log
	Records  int   // in the log
	// Cut is how many bytes at the end of the log a crash had torn: never acknowledged, they were cut
	// off when the journal was opened.
	Cut int64
}

// String tells it in a line.
func (s Stats) String() string {
	return fmt.Sprintf("snapshot %d bytes; log %d records, %d bytes; %d bytes cut off", s.Snapshot, s.Records, s.Log, s.Cut)
}

// Journal keeps a store in a directory, by a snapshot and a log: it is a [crdt.Log]. Open one with
// [Open]; the zero value is not usable. It is not safe for concurrent use: guard it together with its
// store.
//
// Cost: a change made here is one write and one sync, a merged delta one write; Open and Snapshot are
// proportional to the state.
type Journal struct {
	dir   disk.Dir
	head  head
	store *crdt.Store
	// What Open found, until Restore.
	state  crdt.Delta
	deltas []crdt.Delta

	lock   io.Closer // of the directory
	log    disk.File
	synced int64 // bytes of the log that a crash cannot take
	stats  Stats
	broken error // why the log's end is not known; a snapshot mends it
	buf    []byte
}

// ErrBroken is what a change is refused with after the log could not be synced or repaired: nobody
// knows then what the disk holds. [Journal.Snapshot] begins anew and mends it, if it succeeds.
var ErrBroken = errors.New("journal: the log failed; take a snapshot")

// ErrLocked is what [Open] fails with for a directory that is open already, here or in another process.
var ErrLocked = errors.New("journal: the directory is in use")

// ErrClosed is what a closed journal refuses.
var ErrClosed = errors.New("journal: closed")

const (
	lockName     = "lock"
	snapshotName = "snapshot"
	logPrefix    = "log."
)

func logName(generation uint64) string { return fmt.Sprintf("%s%d", logPrefix, generation) }

// Open opens the journal in a directory, which is made if need be. An empty directory begins with an
// empty state and a new name for the replica. Errors are those of the file system, [ErrLocked] for a
// directory that is in use, and [*CorruptError] for files that are damaged: then nothing is changed.
func Open(dir string, opts Options) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	lock, err := disk.Lock(filepath.Join(dir, lockName))
	switch {
	case errors.Is(err, disk.ErrLocked):
		return nil, fmt.Errorf("%w: %s", ErrLocked, dir)
	case err != nil:
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	j, err := open(disk.OS(dir), opts, crdt.NewReplicaID)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	j.lock = lock
	return j, nil
}

func open(dir disk.Dir, opts Options, newID func() crdt.ReplicaID) (*Journal, error) {
	j := &Journal{dir: dir}
	if err := j.load(); err != nil {
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	if opts.Fresh || j.head.replica == 0 {
		// A log of the old name may not go on under the new one: a new generation does.
		j.head.replica = newID()
		whole, err := crdt.Join(append([]crdt.Delta{j.state}, j.deltas...)...)
		if err == nil {
			j.state, j.deltas = whole, nil
			err = j.begin(whole)
		}
		if err != nil {
			return nil, fmt.Errorf("journal: open: %w", err)
		}
	}
	return j, nil
}

// load reads what there is. A directory without a snapshot is empty, whatever the first Open left there
// when it was cut off.
func (j *Journal) load() error {
	names, err := j.dir.Names()
	if err != nil {
		return err
	}
	b, err := j.dir.Read(snapshotName)
	switch {
	case errors.Is(err, os.ErrNotExist):
		for _, name := range names {
			if strings.HasPrefix(name, logPrefix) {
				if b, err := j.dir.Read(name); err == nil && len(b) > headLen {
					return &CorruptError{name, "there is a log, but no snapshot"}
				}
			}
		}
		return nil
	case err != nil:
		return err
	}
	if j.head, j.state, err = decodeSnapshot(snapshotName, b); err != nil {
		return err
	}
	j.stats.Snapshot = int64(len(b))
	name := logName(j.head.generation)
	if b, err = j.dir.Read(name); errors.Is(err, os.ErrNotExist) {
		return &CorruptError{name, "the log of the snapshot is not there"}
	} else if err != nil {
		return err
	}
	h, deltas, good, err := decodeLog(name, b)
	if err != nil {
		return err
	}
	if h != j.head {
		return &CorruptError{name, "is the log of another snapshot"}
	}
	j.deltas = deltas
	if j.log, err = j.dir.Append(name); err != nil {
		return err
	}
	j.stats.Log, j.stats.Records, j.stats.Cut = int64(good), len(deltas), int64(len(b)-good)
	if j.stats.Cut > 0 {
		if err := j.log.Truncate(int64(good)); err != nil {
			return errors.Join(err, j.log.Close())
		}
	}
	// What a crash of the process left in the system's memory is to survive one of the system too.
	if err := j.log.Sync(); err != nil {
		return errors.Join(err, j.log.Close())
	}
	j.synced = j.stats.Log
	j.tidy(names)
	return nil
}

// tidy removes what an earlier generation or an attempt left. What cannot be removed does no harm.
func (j *Journal) tidy(names []string) {
	for _, name := range names {
		if name == disk.New(snapshotName) || strings.HasPrefix(name, logPrefix) && name != logName(j.head.generation) {
			_ = j.dir.Remove(name)
		}
	}
}

// Replica returns the name that the replica must be opened under.
func (j *Journal) Replica() crdt.ReplicaID { return j.head.replica }

// Stats returns what the journal holds.
func (j *Journal) Stats() Stats { return j.stats }

// Restore merges what the files hold into a store, and becomes its log. The store must be new, and
// opened under the name that [Journal.Replica] returns; it panics if it is not. An error matches
// [crdt.ErrSchema] if the store's types are not those of the files; the store is then of no use.
func (j *Journal) Restore(s *crdt.Store) error {
	if s.ID() != j.head.replica || j.store != nil || !s.State().IsZero() {
		panic("journal: Restore needs a new store that is opened under Replica, and is called once")
	}
	for _, d := range append([]crdt.Delta{j.state}, j.deltas...) {
		if _, err := s.Merge(d); err != nil {
			return fmt.Errorf("journal: restore: %w", err)
		}
	}
	j.state, j.deltas, j.store = crdt.Delta{}, nil, s
	s.SetLog(j)
	return nil
}

// Append implements [crdt.Log]; the store calls it.
func (j *Journal) Append(d crdt.Delta, local bool) error {
	if j.broken != nil {
		return j.broken
	}
	if uint64(d.Len()) > 1<<32-1 {
		return fmt.Errorf("journal: a delta of %d bytes", d.Len())
	}
	j.buf = appendRecord(j.buf[:0], d, j.synced)
	if _, err := j.log.Write(j.buf); err != nil {
		// What was written of it must not stand before the next record.
		if cut := j.log.Truncate(j.stats.Log); cut != nil {
			j.fail(cut)
		}
		return fmt.Errorf("journal: append: %w", err)
	}
	size := int64(len(j.buf))
	if cap(j.buf) > 1<<20 {
		j.buf = nil // do not sit on the buffer of a rare big one
	}
	j.stats.Log += size
	j.stats.Records++
	if local {
		if err := j.Sync(); err != nil {
			return err
		}
	}
	return nil
}

func (j *Journal) fail(err error) { j.broken = fmt.Errorf("%w (%w)", ErrBroken, err) }

// Sync makes what was merged as durable as what was changed here. If it fails, changes are refused
// with [ErrBroken] from then on.
func (j *Journal) Sync() error {
	if j.broken != nil {
		return j.broken
	}
	if j.synced == j.stats.Log {
		return nil
	}
	if err := j.log.Sync(); err != nil {
		// The system may have dropped what it could not write: trying again proves nothing.
		j.fail(err)
		return fmt.Errorf("journal: sync: %w", err)
	}
	j.synced = j.stats.Log
	return nil
}

// Due reports whether a snapshot is worth its while: the log is longer than it would be, and than a
// megabyte.
func (j *Journal) Due() bool { return j.stats.Log > max(1<<20, j.stats.Snapshot) }

// Snapshot writes the state anew and begins an empty log. On an error the journal is as it was, or
// refuses changes with [ErrBroken] until a Snapshot succeeds. It must not be called inside
// [crdt.Store.Update], and needs a store: see [Journal.Restore].
func (j *Journal) Snapshot() error {
	if errors.Is(j.broken, ErrClosed) {
		return j.broken
	}
	if j.store == nil {
		panic("journal: Snapshot before Restore")
	}
	if err := j.begin(j.store.State()); err != nil {
		return fmt.Errorf("journal: snapshot: %w", err)
	}
	return nil
}

// begin begins a new generation, with the given state.
func (j *Journal) begin(state crdt.Delta) error {
	next := head{j.head.generation + 1, j.head.replica}
	log, err := disk.Write(j.dir, logName(next.generation), encodeLog(next))
	if err != nil {
		return err
	}
	b := encodeSnapshot(next, state)
	// The log's name must be there before the snapshot that counts on it.
	if err = j.dir.Sync(); err == nil {
		err = disk.Replace(j.dir, snapshotName, b)
	}
	if err != nil {
		_ = log.Close()
		if errors.Is(err, disk.ErrInDoubt) {
			// Either generation may be the one that a crash leaves, so neither log can be written to.
			j.head.generation = next.generation
			j.fail(err)
		}
		return err
	}
	if j.log != nil {
		_ = j.log.Close()
	}
	j.head, j.log, j.broken = next, log, nil
	j.synced = headLen
	j.stats = Stats{Snapshot: int64(len(b)), Log: headLen, Cut: j.stats.Cut}
	if names, err := j.dir.Names(); err == nil {
		j.tidy(names)
	}
	return nil
}

// Close syncs and closes the log, and leaves the directory to others. The store refuses changes from then on, with [ErrClosed].
func (j *Journal) Close() error {
	if errors.Is(j.broken, ErrClosed) {
		return nil
	}
	err := j.Sync()
	j.broken = ErrClosed
	if j.log != nil {
		err = errors.Join(err, j.log.Close())
	}
	if j.lock != nil {
		err = errors.Join(err, j.lock.Close())
	}
	return err
}
