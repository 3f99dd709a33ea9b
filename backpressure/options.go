package backpressure

import (
	"errors"
	"fmt"
)

// Option changes one thing about a [Queue].
type Option[T any] func(*config[T])

type config[T any] struct {
	policies []string // in the order given: more than one is a mistake
	full     policy
	onDrop   func(T, Reason)
}

// policy is what happens when there is no room.
type policy uint8

const (
	block policy = iota
	reject
	dropOldest
	dropNewest
)

func (c *config[T]) policy(p policy, name string) {
	c.full = p
	c.policies = append(c.policies, name)
}

func (c *config[T]) check(capacity int) error {
	switch {
	case capacity < 1:
		return fmt.Errorf("backpressure: NewQueue: capacity %d is not positive", capacity)
	case len(c.policies) > 1:
		return fmt.Errorf("backpressure: NewQueue: %s and %s exclude each other", c.policies[0], c.policies[1])
	}
	return nil
}

// RejectWhenFull makes Put answer an [*Overload] with reason [Full] at once instead of
// waiting. It allocates nothing.
func RejectWhenFull[T any]() Option[T] {
	return func(c *config[T]) { c.policy(reject, "RejectWhenFull") }
}

// DropOldest makes a full queue drop its oldest item for each new one: a sliding window
// over what was put last. Put then never waits. onDrop, if not nil, is called with each
// dropped item and the reason [Full], by the Put that displaced it and before that returns;
// it may use the queue.
//
// To drop and to put is one step under a lock, so a full queue stays exactly full. That
// engine is slower than the one of the other policies, about as fast as a channel.
func DropOldest[T any](onDrop func(v T, r Reason)) Option[T] {
	return func(c *config[T]) {
		c.policy(dropOldest, "DropOldest")
		c.onDrop = onDrop
	}
}

// DropNewest makes a full queue drop what is put into it. Put then never waits and reports
// no error. onDrop, if not nil, is called with each dropped item and the reason [Full], by
// the Put that brought it and before that returns; it may use the queue.
func DropNewest[T any](onDrop func(v T, r Reason)) Option[T] {
	return func(c *config[T]) {
		c.policy(dropNewest, "DropNewest")
		c.onDrop = onDrop
	}
}

var errNilOption = errors.New("backpressure: NewQueue: nil option")
