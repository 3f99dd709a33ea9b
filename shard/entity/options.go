package entity

import (
	"math/bits"
	"runtime"

	"github.com/go-calm/calm/shard"
)

type config struct {
	lanes   int
	depth   int
	slots   int
	seed    uint64
	owns    func(shard.Slot) bool
	onError func(key string, err error)
	stray   func(key string, m any)
	log     uint8 // log2 of slots
	shift   uint8 // that leaves log bits of 63
}

// Option changes one thing about [Entities].
type Option func(*config)

// Lanes sets the number of lanes, GOMAXPROCS by default. Each is a goroutine with a mailbox that
// serves a range of slots. New panics if it is below 1.
func Lanes(n int) Option { return func(c *config) { c.lanes = n } }

// Depth sets how many messages the mailbox of each lane holds, 4096 by default.
// New panics if it is below 1.
func Depth(n int) Option { return func(c *config) { c.depth = n } }

// Like makes the slots of keys those of a map, so that [Entities.Handoff] and [Entities.Adopt]
// speak of the map's slots. By default there are 4096 slots and the seed is 0. It panics if m is nil.
func Like(m *shard.Map) Option {
	if m == nil {
		panic("entity: Like: nil map")
	}
	return func(c *config) { c.slots, c.seed = m.Slots(), m.Seed() }
}

// Owns says which slots are owned from the start, all by default. Others can be adopted.
func Owns(f func(shard.Slot) bool) Option { return func(c *config) { c.owns = f } }

// OnError sets a function that is called with every error of a handler and every panic, as a
// [*PanicError]. It runs on the lane and must not wait for the entities. Without it errors are
// only counted.
func OnError(f func(key string, err error)) Option { return func(c *config) { c.onError = f } }

// OnStray sets a function that is called with messages from turns and timers to keys whose slots
// are not owned here (or no longer), to send them on. It must not wait for the entities. Without
// it they are only counted.
func OnStray(f func(key string, m any)) Option { return func(c *config) { c.stray = f } }

func newConfig(opts []Option) config {
	c := config{lanes: runtime.GOMAXPROCS(0), depth: 4096, slots: 4096}
	for _, o := range opts {
		if o == nil {
			panic("entity: nil option")
		}
		o(&c)
	}
	if c.lanes < 1 || c.depth < 1 {
		panic("entity: there must be at least one lane, with room for one message")
	}
	c.lanes = min(c.lanes, c.slots)
	c.log = uint8(bits.Len(uint(c.slots)) - 1)
	c.shift = 63 - c.log
	return c
}

// slot is [shard.Map.Slot] of a hash: its leading bits.
func (c *config) slot(hash uint64) int { return int(hash >> 1 >> (c.shift & 63)) }

// lane is the number of the lane of a slot: lanes serve ranges of nearly equal size. Slots are a
// power of two, so this is a division.
func (c *config) lane(slot int) int { return int(uint64(slot) * uint64(c.lanes) >> (c.log & 63)) }
