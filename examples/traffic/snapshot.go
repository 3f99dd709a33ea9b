package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/atomicfile"
	"github.com/go-calm/calm/lattice"
)

// snapshot is what a node keeps on disk: what it knows, and how far it has read its input, written
// together so that no crash can put one of them ahead of the other.
//
// The file is a magic number, a CRC-32C of all that follows, and three parts, each after its
// length: the header as JSON, the site's state, the visitors.
type snapshot struct {
	header   snapshotHeader
	site     crdt.Delta
	visitors *lattice.Set[string]
}

// snapshotHeader is what a person may want to read of a snapshot.
type snapshotHeader struct {
	Input     string           `json:"input"`
	Offset    int64            `json:"offset"` // into the unpacked input
	Head      uint32           `json:"head"`   // checksum of the input's first bytes
	Lines     int64            `json:"lines"`
	Malformed int64            `json:"malformed"`
	Dropped   int64            `json:"dropped"`
	Replicas  []crdt.ReplicaID `json:"replicas"` // all names that this node has had, the present one last
}

const (
	snapshotName  = "traffic.snapshot"
	snapshotMagic = "calm-traffic-1\n"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errSnapshot is what a snapshot that is damaged fails with.
var errSnapshot = errors.New("damaged snapshot")

// encode returns the file's content.
func (s snapshot) encode() ([]byte, error) {
	header, err := json.Marshal(s.header)
	if err != nil {
		return nil, err
	}
	site, err := s.site.MarshalBinary()
	if err != nil {
		return nil, err
	}
	visitors, err := s.visitors.MarshalBinary()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(snapshotMagic)+4+len(header)+len(site)+len(visitors)+3*binary.MaxVarintLen64)
	b = append(b, snapshotMagic...)
	b = append(b, 0, 0, 0, 0)
	for _, part := range [][]byte{header, site, visitors} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	body := b[len(snapshotMagic)+4:]
	binary.BigEndian.PutUint32(b[len(snapshotMagic):], crc32.Checksum(body, castagnoli))
	return b, nil
}

// decodeSnapshot reads a file's content. Errors match errSnapshot.
func decodeSnapshot(b []byte) (s snapshot, err error) {
	if len(b) < len(snapshotMagic)+4 || string(b[:len(snapshotMagic)]) != snapshotMagic {
		return s, fmt.Errorf("%w: it does not begin as one", errSnapshot)
	}
	sum, body := binary.BigEndian.Uint32(b[len(snapshotMagic):]), b[len(snapshotMagic)+4:]
	if crc32.Checksum(body, castagnoli) != sum {
		return s, fmt.Errorf("%w: its checksum does not match", errSnapshot)
	}
	var parts [3][]byte
	for i := range parts {
		size, n := binary.Uvarint(body)
		if n <= 0 || size > uint64(len(body)-n) {
			return s, fmt.Errorf("%w: it is cut off", errSnapshot)
		}
		parts[i], body = body[n:n+int(size)], body[n+int(size):]
	}
	s.visitors = &lattice.Set[string]{}
	if err := json.Unmarshal(parts[0], &s.header); err != nil {
		return s, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if err := s.site.UnmarshalBinary(parts[1]); err != nil {
		return s, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if err := s.visitors.UnmarshalBinary(parts[2]); err != nil {
		return s, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	return s, nil
}

// saveSnapshot replaces the snapshot in dir.
func saveSnapshot(dir string, content []byte) error {
	return atomicfile.Write(filepath.Join(dir, snapshotName), content)
}

// loadSnapshot reads the snapshot in dir; ok is false if there is none.
func loadSnapshot(dir string) (s snapshot, ok bool, err error) {
	path := filepath.Join(dir, snapshotName)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	if s, err = decodeSnapshot(b); err != nil {
		return s, false, fmt.Errorf("%s: %w", path, err)
	}
	return s, true, nil
}

// image returns the content of a snapshot of the node, which has read its input up to end. n.mu is
// held.
func (n *node) image(end position) ([]byte, error) {
	return snapshot{
		header: snapshotHeader{
			Input: n.cfg.input, Offset: end.offset, Head: end.head,
			Lines: end.lines, Malformed: end.malformed, Dropped: end.dropped,
			Replicas: append(n.former[:len(n.former):len(n.former)], n.id),
		},
		site:     n.store.State(),
		visitors: n.visitors,
	}.encode()
}

// restore sets a node that has just been made to what its snapshot says. A damaged snapshot is an
// error and not a fresh start: the others know what this node counted, so that counting the same
// input again would count it twice.
func (n *node) restore() error {
	if err := os.MkdirAll(n.cfg.dir, 0o755); err != nil {
		return err
	}
	s, ok, err := loadSnapshot(n.cfg.dir)
	if err != nil || !ok {
		return err
	}
	if _, err := n.store.Merge(s.site); err != nil {
		return fmt.Errorf("%s: %w", n.cfg.dir, err)
	}
	n.visitors = s.visitors
	n.former = s.header.Replicas
	n.known = n.site.span()
	n.saved = position{s.header.Offset, s.header.Head, s.header.Lines, s.header.Malformed, s.header.Dropped}
	if s.header.Input != n.cfg.input {
		n.saved = position{}
	}
	n.in.pos = n.saved
	n.in.lines.Store(n.saved.lines)
	n.in.malformed.Store(n.saved.malformed)
	n.in.dropped.n.Store(n.saved.dropped)
	n.in.lost = n.saved.dropped
	return nil
}
