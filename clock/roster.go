package clock

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// ErrRoster is matched by the error of [Roster.Parse] for bytes that were written with
// another roster.
var ErrRoster = errors.New("clock: another roster")

// Roster is a fixed group of nodes that many vectors are about. The vectors that come from
// one roster share its ids, so that comparing and merging them looks at counters alone, and
// they can be written without ids: one number a node, and four bytes by which a different
// roster is recognized.
//
// Create one with [NewRoster]. It never changes and may be shared by any number of
// goroutines.
type Roster[ID cmp.Ordered] struct {
	ids []ID
	sum uint32
}

// NewRoster returns the roster of the given nodes.
func NewRoster[ID cmp.Ordered](nodes ...ID) *Roster[ID] {
	r := &Roster[ID]{ids: slices.CompactFunc(slices.Sorted(slices.Values(nodes)), func(a, b ID) bool { return cmp.Compare(a, b) == 0 })}
	var b []byte
	for _, id := range r.ids {
		b = appendID(b, id)
	}
	r.sum = crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return r
}

// Vector returns an empty vector that shares the roster's ids.
func (r *Roster[ID]) Vector() Vector[ID] { return Vector[ID]{r.ids, make([]uint64, len(r.ids))} }

// Share makes v share the roster's ids, and reports whether it could: v must count no
// other nodes.
func (r *Roster[ID]) Share(v *Vector[ID]) bool {
	if v.sameIDs(Vector[ID]{ids: r.ids}) {
		return true
	}
	n := make([]uint64, len(r.ids))
	for id, k := range v.All() {
		i, ok := slices.BinarySearch(r.ids, id)
		if !ok {
			return false
		}
		n[i] = k
	}
	*v = Vector[ID]{r.ids, n}
	return true
}

// Append appends the short form of a vector: a version byte, the roster's checksum, and a
// counter for each node. It fails if v counts a node that is not in the roster, and for
// counters above 2⁶³-1.
func (r *Roster[ID]) Append(dst []byte, v Vector[ID]) ([]byte, error) {
	if !r.Share(&v) {
		return dst, fmt.Errorf("%w: %v counts nodes that are not in it", ErrRoster, v)
	}
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(append(dst, version), r.sum)
	for i, n := range v.n {
		if n > maxCount {
			return dst[:start], errCount("vector", v.ids[i], n)
		}
		dst = binary.AppendUvarint(dst, n)
	}
	return dst, nil
}

// Parse reads what Append wrote with an equal roster; the vector shares the ids of this
// one. Its errors match [ErrMalformed] or [ErrRoster].
func (r *Roster[ID]) Parse(b []byte) (Vector[ID], error) {
	rd := wire.NewReader(b)
	readVersion(&rd)
	sum := rd.Take(4)
	if sum != nil && binary.BigEndian.Uint32(sum) != r.sum {
		return Vector[ID]{}, ErrRoster
	}
	if rd.Len() < len(r.ids) {
		rd.Fail("%d counters announced, but only %d bytes are left", len(r.ids), rd.Len())
		return Vector[ID]{}, fmt.Errorf("clock: vector: %w", rd.Err())
	}
	v := r.Vector()
	for i := range v.n {
		if v.n[i] = rd.Uvarint(); v.n[i] > maxCount {
			rd.Fail("event number %d out of range", v.n[i])
		}
	}
	if err := rd.Done(); err != nil {
		return Vector[ID]{}, fmt.Errorf("clock: vector: %w", err)
	}
	return v, nil
}
