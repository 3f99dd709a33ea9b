package entity

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-calm/calm/shard"
)

// Sender sends in batches: a mailbox is entered once for each batch. Messages reach their
// entities when a lane's batch is full or by [Sender.Flush], in the order they were sent.
// It is for one goroutine; make one for each with [Entities.Sender].
type Sender[S, M any] struct {
	e       *Entities[S, M]
	size    int
	batches []batch[S, M] // by lane
}

type batch[S, M any] struct {
	items []envelope[S, M]
	since uint64 // the refusals when the first was added
}

// Sender returns a sender with batches of that size, at least 1.
func (e *Entities[S, M]) Sender(size int) *Sender[S, M] {
	s := &Sender[S, M]{e: e, size: max(size, 1), batches: make([]batch[S, M], len(e.lanes))}
	for i := range s.batches {
		s.batches[i].items = make([]envelope[S, M], 0, s.size)
	}
	return s
}

// Send adds a message to a batch and sends the batch if that makes it full; the message is then
// accepted, and not before. Errors are those of [Sender.Flush], of the batch that was sent, and
// ErrClosed and ErrNotOwned of this message, which is then not added.
func (s *Sender[S, M]) Send(ctx context.Context, key string, m M) error {
	h := shard.Hash(key, s.e.cfg.seed)
	slot := s.e.cfg.slot(h)
	lane := s.e.cfg.lane(slot)
	b := &s.batches[lane]
	n := len(b.items)
	if n == 0 {
		b.since = s.e.refusals.Load()
	}
	if !s.e.admits(slot) {
		return s.e.refusal()
	}
	if n == cap(b.items) { // the last flush was cut short
		b.items = slices.Grow(b.items, 1)
	}
	b.items = b.items[:n+1]
	v := &b.items[n] // made in place: to copy an envelope that was just made takes as long as all the rest
	v.key, v.hash, v.msg = key, h, m
	if len(b.items) < s.size {
		return nil
	}
	return s.flush(ctx, lane)
}

// Flush sends what is in the batches. Only then are messages accepted: neither [Entities.Handoff]
// nor [Entities.Close] waits for those in a batch.
//
// Errors: a [*Unsent] with the messages whose slots are not owned any more, or all of them if the
// entities are closed; they have left the batch, and the others are sent. ctx.Err(): what was not
// sent stays in the batches, and Flush may be tried again.
func (s *Sender[S, M]) Flush(ctx context.Context) error {
	var errs error
	for lane := range s.batches {
		if len(s.batches[lane].items) > 0 {
			errs = errors.Join(errs, s.flush(ctx, lane))
		}
	}
	return errs
}

func (s *Sender[S, M]) flush(ctx context.Context, lane int) (err error) {
	l, b := s.e.lanes[lane], &s.batches[lane]
	var unsent *Unsent[M]
	left := b.items
	for len(left) > 0 {
		box := l.box.Load() // before it looks, see mailbox
		if n := s.e.refusals.Load(); n != b.since {
			b.since = n
			left, unsent = s.sift(left, unsent)
		} // else what was admitted still is
		var n int
		n, err = box.PutAll(ctx, left)
		left = left[n:]
		if !replaced(err) {
			break
		}
		err = nil
	}
	rest := copy(b.items, left)
	clear(b.items[rest:])
	b.items = b.items[:rest]
	if unsent != nil {
		return errors.Join(unsent, err)
	}
	return err
}

// sift takes out of a batch what is not admitted any more.
func (s *Sender[S, M]) sift(b []envelope[S, M], unsent *Unsent[M]) ([]envelope[S, M], *Unsent[M]) {
	kept := b[:0]
	for _, v := range b {
		if s.e.admits(s.e.cfg.slot(v.hash)) {
			kept = append(kept, v)
			continue
		}
		if unsent == nil {
			unsent = &Unsent[M]{Err: s.e.refusal()}
		}
		unsent.Messages = append(unsent.Messages, Message[M]{v.key, v.msg})
	}
	return kept, unsent
}

// Message is a message with its key.
type Message[M any] struct {
	Key string
	Msg M
}

// Unsent is the error of [Sender.Flush] about messages that were not accepted, in their order: send
// them to the owners of their slots. It unwraps to [ErrNotOwned] or [ErrClosed].
type Unsent[M any] struct {
	Messages []Message[M]
	Err      error // of the first of them
}

// Error implements error.
func (u *Unsent[M]) Error() string {
	return fmt.Sprintf("%d of a batch not sent: %v", len(u.Messages), u.Err)
}

// Unwrap returns the reason.
func (u *Unsent[M]) Unwrap() error { return u.Err }
