package shard

import (
	"fmt"
	"math/bits"
)

const (
	maxSlots     = 1 << 24
	maxReplicas  = 255
	defaultSlack = 0.05
)

// config is what the options of a map come to.
type config struct {
	slots    int  // as asked for; 0 chooses by the number of nodes
	none     bool // 0 slots were asked for
	replicas int
	slack    float64
	seed     uint64
	strict   bool
	isNil    int // which option is nil, counted from 1
}

// Option changes how a [Map] is placed. Members that are to agree must use the same options.
type Option func(*config)

// Slots sets the number of slots, a power of two up to 1<<24. More slots mean finer balance and
// fewer surplus moves when the nodes change; up to 1<<18 the table stays in a second-level cache.
//
// By default it is the power of two at or above 512 for each node, but between 4096 and 65536,
// and at least 20 for each node. It then changes with the number of nodes, and a change of the
// number of slots moves keys: clusters that grow a lot should fix it.
func Slots(n int) Option { return func(c *config) { c.slots, c.none = n, n == 0 } }

// Replicas sets how many nodes own each slot, from 1, the default, to 255. They are distinct nodes, spread over
// the zones as evenly as the zones allow, level by level. Where there are fewer nodes than
// replicas, each slot is owned by all the nodes; see [Strict].
func Replicas(r int) Option { return func(c *config) { c.replicas = r } }

// Strict makes it an error, [ErrReplicas], to have fewer nodes, or fewer zones on the first
// level, than replicas.
func Strict() Option { return func(c *config) { c.strict = true } }

// Slack sets how far from its fair share of the slots a node may be, from 0 to 1, 0.05 by default: no
// node holds more than 1+eps times its share, nor less than 1-2·eps times its share. Both are rounded
// down to whole slots, but a share that is no whole number may be rounded up. 0 is perfectly even, at
// the cost of about 40 % more moves when nodes change.
func Slack(eps float64) Option { return func(c *config) { c.slack = eps } }

// Seed sets the seed of all hashing, 0 by default.
func Seed(s uint64) Option { return func(c *config) { c.seed = s } }

// newConfig applies the options, unchecked.
func newConfig(opts []Option) config {
	c := config{replicas: 1, slack: defaultSlack}
	c.apply(opts)
	return c
}

func (c *config) apply(opts []Option) {
	for i, o := range opts {
		if o == nil {
			c.isNil = i + 1
			return
		}
		o(c)
	}
}

// check refuses options that are out of range, or too strict for the nodes.
func (c *config) check(nodes []Node) error {
	switch {
	case c.isNil > 0:
		return &OptionError{"Option", float64(c.isNil), "is nil"}
	case c.none || c.slots < 0 || c.slots > maxSlots || c.slots&(c.slots-1) != 0:
		return &OptionError{"Slots", float64(c.slots), "must be a power of two from 1 to 1<<24; leave the option out to have it chosen"}
	case c.replicas < 1 || c.replicas > maxReplicas:
		return &OptionError{"Replicas", float64(c.replicas), "must be from 1 to 255"}
	case !(c.slack >= 0 && c.slack <= 1): // the negation catches NaN as well
		return &OptionError{"Slack", c.slack, "must be from 0 to 1"}
	case c.strict && c.replicas > len(nodes):
		return fmt.Errorf("%w: replicas %d, nodes %d", ErrReplicas, c.replicas, len(nodes))
	case c.strict && c.replicas > topZones(nodes):
		return fmt.Errorf("%w: replicas %d, zones %d", ErrReplicas, c.replicas, topZones(nodes))
	}
	return nil
}

// slotsFor returns the number of slots for n nodes. 20 slots a node keep rounding to whole slots
// within the default slack.
func (c *config) slotsFor(n int) int {
	if c.slots > 0 {
		return c.slots
	}
	return max(min(ceilPow2(512*n), 1<<16), 1<<12, ceilPow2(20*n))
}

func ceilPow2(n int) int { return 1 << bits.Len(uint(n-1)) }
