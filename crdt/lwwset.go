package crdt

import (
	"encoding/binary"

	"github.com/go-calm/calm/clock"
)

// LWWSet is a set in which of all adds and removes of an element the one with the greatest stamp
// counts, and of equal stamps the one of the greater replica. A removed element leaves a tombstone.
// Use it where the time of a change is what decides; otherwise use [Set].
//
// Stamps are as for [LWW]; for E, the reads and concurrency see [Elements]. Adding and removing
// cost O(1) an element.
type LWWSet[E comparable] struct{ Elements[E] }

// NewLWWSet makes a replica that is a last-writer-wins set. It panics if E cannot be encoded.
func NewLWWSet[E comparable](id ReplicaID) *LWWSet[E] { return Open[*LWWSet[E]](id) }

func (*LWWSet[E]) fresh() *LWWSet[E] { return new(LWWSet[E]) }

func (s *LWWSet[E]) put(h Handle) { s.putElements(h, kindLWWElem, lastAdded) }

func (*LWWSet[E]) schema(cs codecs, _ bool) *schema { return setSchema[E](cs, kindLWWSet, kindLWWElem) }

// Add adds elements with the stamp at, or with the one after the greatest seen of the element here
// if at is not greater.
func (s *LWWSet[E]) Add(at clock.Timestamp, es ...E) Delta { return s.stamp(at, es, added) }

// Remove removes elements, be they in the set or not, with a stamp as [LWWSet.Add]
// takes one.
func (s *LWWSet[E]) Remove(at clock.Timestamp, es ...E) Delta { return s.stamp(at, es, removed) }

func (s *LWWSet[E]) stamp(at clock.Timestamp, es []E, what string) Delta {
	return s.writeEach(es, func(node slot, there bool) (string, bool) {
		stamp := at
		if there {
			if last, ok := s.store.last(node); ok {
				stamp = after(last, at)
			}
		}
		return string(binary.BigEndian.AppendUint64(nil, uint64(stamp))) + what, true
	})
}

func lastAdded(s *Store, at slot) bool {
	last, _ := s.last(at)
	return last.payload[stampLen:] == added
}
