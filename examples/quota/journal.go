package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/go-calm/calm/crdt"
)

// journal keeps a replica in a file: its name, and each change before it counts. So a process that is
// killed comes back as the same replica, with all that it ever told or sold.
//
// A change is written and not synced: it survives the process, but not the machine.
type journal struct {
	file    *os.File
	replica crdt.ReplicaID
	kept    []crdt.Delta // what the file held
	end     int64        // of what is whole
}

// openJournal opens the journal in a directory, which it makes if need be.
func openJournal(dir string) (*journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "journal")
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	j := &journal{}
	if err := j.parse(b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if j.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		return nil, err
	}
	if err := j.file.Truncate(j.end); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	if j.end == 0 {
		j.replica = crdt.NewReplicaID()
		if err := j.write(binary.BigEndian.AppendUint64(nil, uint64(j.replica))); err != nil {
			return nil, errors.Join(err, j.Close())
		}
	}
	return j, nil
}

const recordHead = 8 // length and sum, four bytes each

// parse reads a journal, whose last record may be torn: it was being written when the process was
// killed, so nobody had heard of it.
func (j *journal) parse(b []byte) error {
	for len(b) >= recordHead {
		size, sum := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
		if uint64(size) > uint64(len(b)-recordHead) {
			return nil
		}
		record := b[recordHead : recordHead+size]
		if crc32.ChecksumIEEE(record) != sum {
			return errors.New("the journal is damaged")
		}
		if j.end == 0 {
			if len(record) != 8 {
				return errors.New("the journal has no name in it")
			}
			j.replica = crdt.ReplicaID(binary.BigEndian.Uint64(record))
		} else {
			d, err := crdt.ParseDelta(bytes.Clone(record), crdt.Limits{})
			if err != nil {
				return err
			}
			j.kept = append(j.kept, d)
		}
		b = b[recordHead+size:]
		j.end += recordHead + int64(size)
	}
	return nil
}

// Replica is the name that the replica must be opened under.
func (j *journal) Replica() crdt.ReplicaID { return j.replica }

// Restore merges what was kept, and keeps what changes from then on.
func (j *journal) Restore(s *crdt.Store) error {
	for _, d := range j.kept {
		if _, err := s.Merge(d); err != nil {
			return err
		}
	}
	s.SetLog(j)
	return nil
}

// Append implements [crdt.Log].
func (j *journal) Append(d crdt.Delta, _ bool) error {
	b, err := d.MarshalBinary()
	if err != nil {
		return err
	}
	return j.write(b)
}

// write adds a record, or nothing: what was written of one that failed is written over.
func (j *journal) write(record []byte) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(record)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(record))
	b = append(b, record...)
	if _, err := j.file.WriteAt(b, j.end); err != nil {
		return err
	}
	j.end += int64(len(b))
	return nil
}

// Close closes the file.
func (j *journal) Close() error { return j.file.Close() }
