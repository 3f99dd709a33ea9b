package main

import (
	"fmt"

	"github.com/go-calm/calm/shard"
)

// routes says which of a node's workers owns a visitor. All requests of a visitor go to one worker,
// so that this one alone knows whether it has seen the visitor before.
type routes struct {
	placed *shard.Map
	owners []uint8 // by slot: the number of the worker
}

// maxWorkers is how many workers a node may have.
const maxWorkers = 64

func newRoutes(workers int) (*routes, error) {
	if workers < 1 || workers > maxWorkers {
		return nil, fmt.Errorf("a node has 1 to %d workers, not %d", maxWorkers, workers)
	}
	names := make([]shard.Node, workers)
	number := make(map[string]uint8, workers)
	for i := range names {
		names[i].ID = fmt.Sprintf("worker-%02d", i)
		number[names[i].ID] = uint8(i)
	}
	placed, err := shard.New(names)
	if err != nil {
		return nil, err
	}
	r := &routes{placed: placed, owners: make([]uint8, placed.Slots())}
	for slot := range r.owners {
		for owner := range placed.Owners(shard.Slot(slot)) {
			r.owners[slot] = number[owner.ID]
		}
	}
	return r, nil
}

// worker returns the number of the worker that owns a visitor.
func (r *routes) worker(visitor string) int { return int(r.owners[r.placed.Slot(visitor)]) }
