package main

import (
	"context"
	"errors"
	"fmt"
)

// Engine is what replicates. That it is so little is the point: no order between nodes, no exactly
// once, no leader to ask.
type Engine interface {
	fmt.Stringer
	// Open returns a log for one node.
	Open(ctx context.Context) (Log, error)
	// Restart stops the engine and starts it again later; false says that it is not ours to stop.
	Restart(during func()) bool
	Close()
}

// Log keeps batches and tells everybody of them.
type Log interface {
	// Append keeps the delta of a batch, and returns when it is safe. A batch is written once:
	// errTaken says that somebody wrote it before, a node that was taken for dead perhaps.
	Append(ctx context.Context, id batchID, delta []byte) error
	// Follow calls f with the deltas after a position, at least once each, and goes on until ctx
	// is done or f fails.
	Follow(ctx context.Context, after position, f func(delta []byte, at position) error) error
	// Last returns how many batches of a share are kept.
	Last(ctx context.Context, share int) (int, error)
	// Save replaces the snapshot: the join of all deltas up to a position.
	Save(ctx context.Context, state []byte, at position) error
	// Snapshot returns what Save saved last, and nothing at first.
	Snapshot(ctx context.Context) (state []byte, at position, err error)
	Close()
}

// batchID names a batch: number n of a share, from 1.
type batchID struct{ share, n int }

// position is how far somebody has followed a log; empty is the beginning. Only the log knows what
// it means.
type position string

var errTaken = errors.New("the batch is there already")
