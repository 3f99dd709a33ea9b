package entity

import (
	"context"
	"errors"

	"github.com/go-calm/calm/shard"
)

// Sender sends in batches: a mailbox is entered once for each batch. Messages reach their
// entities when a lane's batch is full or by [Sender.Flush], in the order they were sent.
// It is for one goroutine; make one for each with [Entities.Sender].
type Sender[S, M any] struct {
	e       *Entities[S, M]
	batches [][]envelope[S, M] // by lane
}

// Sender returns a sender with batches of a size, at least 1.
func (e *Entities[S, M]) Sender(batch int) *Sender[S, M] {
	s := &Sender[S, M]{e: e, batches: make([][]envelope[S, M], len(e.lanes))}
	for i := range s.batches {
		s.batches[i] = make([]envelope[S, M], 0, max(batch, 1))
	}
	return s
}

// Send adds a message to a batch and sends the batch if that makes it full.
// An error, [ErrClosed] or [ErrNotOwned], is about this message, which was then not accepted, save
// for ctx.Err(): then the batch stays, with this message, and Flush may be tried again.
func (s *Sender[S, M]) Send(ctx context.Context, key string, m M) error {
	h := shard.Hash(key, s.e.cfg.seed)
	slot := s.e.cfg.slot(h)
	if err := s.e.admit(slot); err != nil {
		return err
	}
	lane := slot * len(s.e.lanes) / len(s.e.slots)
	b := append(s.batches[lane], envelope[S, M]{key: key, hash: h, msg: m})
	s.batches[lane] = b
	if len(b) < cap(b) {
		return nil
	}
	return s.flush(ctx, lane)
}

// Flush sends what is in the batches. A message counts as accepted from [Sender.Send] on, so
// [Entities.Handoff] of its slot and [Entities.Close] wait for it: do not leave messages unflushed.
// Errors: ctx.Err(); what was not sent stays in the batches.
func (s *Sender[S, M]) Flush(ctx context.Context) error {
	var errs error
	for lane := range s.batches {
		if len(s.batches[lane]) > 0 {
			errs = errors.Join(errs, s.flush(ctx, lane))
		}
	}
	return errs
}

func (s *Sender[S, M]) flush(ctx context.Context, lane int) error {
	b := s.batches[lane]
	n, err := s.e.lanes[lane].box.PutAll(ctx, b)
	rest := copy(b, b[n:])
	clear(b[rest:])
	s.batches[lane] = b[:rest]
	return err
}
