package clock

import (
	"cmp"
	"fmt"

	"github.com/go-calm/calm/internal/wire"
)

// Stamp is a [Timestamp] with the node that made it: a total order over the events of all nodes,
// which is what a last-writer-wins rule needs (Lamport 1978, §"Ordering the events totally").
// The zero value is before every stamp that a clock makes.
type Stamp[N cmp.Ordered] struct {
	Time Timestamp
	Node N
}

// Compare orders stamps by time and, where that is equal, by node; it returns -1, 0 or 1.
func (s Stamp[N]) Compare(o Stamp[N]) int {
	if c := cmp.Compare(s.Time, o.Time); c != 0 {
		return c
	}
	return cmp.Compare(s.Node, o.Node)
}

// Before reports whether s comes before o in the total order.
func (s Stamp[N]) Before(o Stamp[N]) bool { return s.Compare(o) < 0 }

// String returns the stamp as time@node.
func (s Stamp[N]) String() string { return fmt.Sprintf("%v@%v", s.Time, s.Node) }

// AppendBinary implements [encoding.BinaryAppender]: the 8 bytes of the time, then the node.
// It never fails.
func (s Stamp[N]) AppendBinary(dst []byte) ([]byte, error) {
	dst, _ = s.Time.AppendBinary(dst)
	return appendID(dst, s.Node), nil
}

// MarshalBinary implements [encoding.BinaryMarshaler]. It never fails.
func (s Stamp[N]) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. Its errors match [ErrMalformed]
// and leave s as it was.
func (s *Stamp[N]) UnmarshalBinary(b []byte) error {
	r := wire.NewReader(b)
	u := Stamp[N]{Time: Timestamp(r.Uint64()), Node: readID[N](&r)}
	if err := r.Done(); err != nil {
		return fmt.Errorf("clock: stamp: %w", err)
	}
	*s = u
	return nil
}
