package main

import (
	"errors"

	"github.com/go-calm/calm/crdt"
)

// stock is the pieces that are left, of which this node may sell those that it holds rights to. It is
// not safe for concurrent use.
type stock struct {
	left  *crdt.BoundedCounter
	heard bool // of how much there was
}

// sell sells one piece. It fails with crdt.ErrBound if there is no right to it here.
func (s *stock) sell() error {
	s.soldOut() // looks how much there is, before it may be nothing
	_, err := s.left.Sub(1)
	return err
}

// few is how many rights are so few that a node asks for more before it has none.
const few = 8

// short reports whether it is time to ask others.
func (s *stock) short() bool { return s.left.Rights() < few && s.left.Value() > s.left.Rights() }

// soldOut reports whether there is nothing left anywhere. A node that has heard of sales, and not of
// what there was to sell, would think so too soon; but pieces are added only once, so from when there
// were some it is a monotone read: once it is true, it stays true.
func (s *stock) soldOut() bool {
	value := s.left.Value()
	s.heard = s.heard || value > 0
	return s.heard && value == 0
}

// give gives half of the rights to another node, which has them as soon as it hears of it.
func (s *stock) give(to crdt.ReplicaID) error {
	_, err := s.left.Transfer(to, s.left.Rights()/2)
	if errors.Is(err, crdt.ErrBound) {
		return nil // a journal that refuses is another matter
	}
	return err
}
