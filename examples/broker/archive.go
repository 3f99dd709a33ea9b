package main

import (
	"context"

	"github.com/go-calm/calm/crdt"
)

// archive follows the log and saves a snapshot for every so many deltas, so that a new node need not
// hear them all. It is no leader: any number may run, as each snapshot is the join of what the log has
// up to its position, and a state that is merged twice, or with deltas it holds already, stays the same.
func archive(ctx context.Context, log Log, every int) error {
	store := crdt.NewStore(crdt.NewReplicaID())
	heard := 0
	return log.Follow(ctx, "", func(b []byte, at position) error {
		d, err := crdt.ParseDelta(b, crdt.Limits{})
		if err != nil {
			return err
		}
		if _, err := store.Merge(d); err != nil {
			return err
		}
		if heard++; heard%every != 0 {
			return nil
		}
		state, err := store.State().MarshalBinary()
		if err != nil {
			return err
		}
		// The engine may be away; the next snapshot will do.
		_ = log.Save(ctx, state, at)
		return nil
	})
}
