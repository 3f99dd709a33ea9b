package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/go-calm/calm/crdt"
)

// ErrCorrupt is what every [*CorruptError] matches.
var ErrCorrupt = errors.New("journal: damaged files")

// CorruptError says that a file holds what the journal did not write there, or has lost what it did.
// It matches [ErrCorrupt].
type CorruptError struct {
	File   string
	Reason string
}

// Error names the file and what is wrong with it.
func (e *CorruptError) Error() string { return fmt.Sprintf("journal: %s: %s", e.File, e.Reason) }

// Is reports whether target is [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

const (
	snapshotMark = "calmsnp1"
	logMark      = "calmlog1"
	headLen      = 8 + 8 + 8 + 4
	recordLen    = 4 + 8 + 4 + 4 // before the delta
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// head is what both kinds of files begin with.
type head struct {
	generation uint64
	replica    crdt.ReplicaID
}

// append appends the head without its sum.
func (h head) append(b []byte, mark string) []byte {
	b = append(b, mark...)
	b = binary.BigEndian.AppendUint64(b, h.generation)
	return binary.BigEndian.AppendUint64(b, uint64(h.replica))
}

// readHead reads a head; rest is what comes after its sum.
func readHead(b []byte, mark string) (h head, total uint32, rest []byte, ok bool) {
	if len(b) < headLen || string(b[:len(mark)]) != mark {
		return head{}, 0, nil, false
	}
	h = head{binary.BigEndian.Uint64(b[8:]), crdt.ReplicaID(binary.BigEndian.Uint64(b[16:]))}
	return h, binary.BigEndian.Uint32(b[24:]), b[headLen:], h.replica != 0
}

func encodeSnapshot(h head, state crdt.Delta) []byte {
	b := h.append(make([]byte, 0, headLen+state.Len()), snapshotMark)
	b = append(b, 0, 0, 0, 0)
	b, _ = state.AppendBinary(b) // does not fail
	binary.BigEndian.PutUint32(b[headLen-4:], crc32.Update(sum(b[:headLen-4]), castagnoli, b[headLen:]))
	return b
}

// decodeSnapshot reads a snapshot, and keeps b.
func decodeSnapshot(name string, b []byte) (h head, state crdt.Delta, err error) {
	h, total, rest, ok := readHead(b, snapshotMark)
	switch {
	case !ok:
		return head{}, state, &CorruptError{name, "is no snapshot"}
	case crc32.Update(sum(b[:headLen-4]), castagnoli, rest) != total:
		return head{}, state, &CorruptError{name, "wrong checksum"}
	}
	if state, err = crdt.ParseDelta(rest, crdt.Limits{}); err != nil {
		return head{}, state, &CorruptError{name, err.Error()}
	}
	return h, state, nil
}

func encodeLog(h head) []byte {
	b := h.append(nil, logMark)
	return binary.BigEndian.AppendUint32(b, sum(b))
}

func appendRecord(b []byte, d crdt.Delta, synced int64) []byte {
	from := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(d.Len()))
	b = binary.BigEndian.AppendUint64(b, uint64(synced))
	b = binary.BigEndian.AppendUint32(b, sum(b[from:]))
	b = append(b, 0, 0, 0, 0)
	b, _ = d.AppendBinary(b) // does not fail
	binary.BigEndian.PutUint32(b[from+recordLen-4:], sum(b[from+recordLen:]))
	return b
}

// readRecord returns the delta's bytes at the start of b, and what was synced when it was written.
func readRecord(b []byte) (delta []byte, synced uint64, ok bool) {
	if len(b) < recordLen || sum(b[:12]) != binary.BigEndian.Uint32(b[12:]) {
		return nil, 0, false
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || uint64(n) > uint64(len(b)-recordLen) {
		return nil, 0, false
	}
	delta = b[recordLen : recordLen+int(n) : recordLen+int(n)]
	return delta, binary.BigEndian.Uint64(b[4:]), sum(delta) == binary.BigEndian.Uint32(b[16:])
}

// decodeLog reads a log, and keeps b. What begins at good and cannot be read was never synced.
func decodeLog(name string, b []byte) (h head, deltas []crdt.Delta, good int, err error) {
	h, total, rest, ok := readHead(b, logMark)
	if !ok || total != sum(b[:headLen-4]) {
		return head{}, nil, 0, &CorruptError{name, "is no log"}
	}
	good = headLen
	for len(rest) > 0 {
		raw, _, ok := readRecord(rest)
		if !ok {
			break
		}
		d, err := crdt.ParseDelta(raw, crdt.Limits{})
		if err != nil {
			return head{}, nil, 0, &CorruptError{name, fmt.Sprintf("record at byte %d: %v", good, err)}
		}
		deltas = append(deltas, d)
		good += recordLen + len(raw)
		rest = rest[recordLen+len(raw):]
	}
	if at, ok := syncedAfter(rest, uint64(good)); ok {
		return head{}, nil, 0, &CorruptError{name, fmt.Sprintf("what was synced at byte %d is damaged: the record at byte %d says so", good, good+at)}
	}
	return h, deltas, good, nil
}

// syncedAfter looks for a record which says that more than good bytes of the log were synced.
func syncedAfter(rest []byte, good uint64) (at int, ok bool) {
	for at = 1; at+recordLen <= len(rest); at++ {
		// Few places look like a record's head, so that few deltas are summed up.
		if synced := binary.BigEndian.Uint64(rest[at+4:]); synced <= good || synced > good+uint64(at) {
			continue
		}
		if _, _, ok := readRecord(rest[at:]); ok {
			return at, true
		}
	}
	return 0, false
}
