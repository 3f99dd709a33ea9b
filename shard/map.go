package shard

import (
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/bits"
	"slices"
	"sort"
	"sync/atomic"
)

// Slot is one of the equal parts into which keys are hashed: the unit of ownership, of load and
// of moves. The slots of a [Map] are numbered from 0.
type Slot uint32

// Map is an immutable snapshot of which node owns which slot.
//
// A Map made by [New] is a pure function of the node set and the options: the order of the nodes
// and the history do not matter, and every process, platform and release computes the same table.
// It places by bounded rendezvous: each (slot, node) pair has a random score; slots prefer the
// nodes, and nodes the slots, of the highest score, and the table is the stable matching between
// them (Gale and Shapley 1962), which is unique because both sides go by the same score.
//
// The zero value is not usable. A Map is safe for concurrent use; its lookups take constant time,
// no lock and no allocation. It takes 2 bytes for each slot and replica, and the nodes.
type Map struct {
	first  []uint16 // the first owner of each slot; of a single slot twice, as one bit of a hash chooses
	shift  uint8    // of a hash, to keep the bits that make the slot number, but at least one
	last   Slot
	seed   uint64 // as hash wants it
	number uint64 // the same for hashNumber
	nodes  []Node // in the order of their IDs

	owners      []uint16 // first, then the second owners, and so on
	cfg         config
	slots       int
	replicas    int            // at most len(nodes)
	fingerprint *atomic.Uint64 // 0 until it is asked for
	past        *past          // nil if the map was not placed, or has replicas
	held        []int32        // by node, how many slots it owns; nil if nobody has counted, or there are replicas
}

// New places slots on nodes. The options default to one replica, a slack of 5 % and a number of
// slots that suits the number of nodes.
//
// Cost: one score, a multiplication, for each slot and node and replica, spread over the processors.
//
// Errors: [ErrNoNodes]; [*NodeError] for an empty or repeated ID or a bad weight; [*OptionError];
// [ErrReplicas] with [Strict].
func New(nodes []Node, opts ...Option) (*Map, error) {
	return build(slices.Clone(nodes), newConfig(opts))
}

// build places nodes, which it keeps.
func build(nodes []Node, cfg config) (*Map, error) {
	if err := accept(nodes, cfg); err != nil {
		return nil, err
	}
	p := newPlacement(nodes, cfg)
	table, held, kept := p.place()
	m := newMap(nodes, cfg, p.slots, table)
	if cfg.replicas == 1 {
		m.past, m.held = kept, p.byNode(held)
	}
	return m, nil
}

// accept sorts and checks nodes, and the options for them.
func accept(nodes []Node, cfg config) error {
	if _, err := arrange(nodes); err != nil {
		return err
	}
	return cfg.check(nodes)
}

// newMap puts a map together from its parts, which it keeps.
func newMap(nodes []Node, cfg config, slots int, owners []uint16) *Map {
	first, log := owners[:slots:slots], bits.Len(uint(slots-1))
	if slots == 1 {
		first, log = []uint16{owners[0], owners[0]}, 1
	}
	return &Map{
		first:       first,
		shift:       uint8(64 - log),
		last:        Slot(slots - 1),
		seed:        cfg.seed ^ k3,
		number:      cfg.seed ^ k3 ^ k1,
		nodes:       nodes,
		owners:      owners,
		cfg:         cfg,
		slots:       slots,
		replicas:    len(owners) / slots,
		fingerprint: new(atomic.Uint64),
	}
}

// The lookups are written out, each in one expression, so that the compiler inlines them and a lookup
// by string is one call, of hash.

// Owner returns the first owner of key. The Node belongs to the map and must not be changed.
func (m *Map) Owner(key string) *Node { return &m.nodes[m.first[hash(key, m.seed)>>(m.shift&63)]] }

// OwnerBytes is [Map.Owner] of the same bytes.
func (m *Map) OwnerBytes(key []byte) *Node {
	return &m.nodes[m.first[hash(key, m.seed)>>(m.shift&63)]]
}

// OwnerUint64 returns the first owner of a numeric key. Numeric keys are hashed in their own way:
// the owner is not that of any string.
func (m *Map) OwnerUint64(key uint64) *Node {
	return &m.nodes[m.first[hashNumber(key, m.number)>>(m.shift&63)]]
}

// Slot returns the slot of key: the leading bits of [Hash] under the map's seed.
func (m *Map) Slot(key string) Slot { return Slot(hash(key, m.seed)>>(m.shift&63)) & m.last }

// SlotBytes is [Map.Slot] of the same bytes.
func (m *Map) SlotBytes(key []byte) Slot { return Slot(hash(key, m.seed)>>(m.shift&63)) & m.last }

// SlotUint64 returns the slot of a numeric key.
func (m *Map) SlotUint64(key uint64) Slot {
	return Slot(hashNumber(key, m.number)>>(m.shift&63)) & m.last
}

// Owners yields the owners of a slot, the first owner first. The Nodes belong to the map.
// It yields nothing for a slot that the map does not have.
func (m *Map) Owners(s Slot) iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for i := int(s); uint64(s) < uint64(m.slots) && i < len(m.owners); i += m.slots {
			if !yield(&m.nodes[m.owners[i]]) {
				return
			}
		}
	}
}

// Slots returns the number of slots.
func (m *Map) Slots() int { return m.slots }

// Seed returns the seed that keys are hashed with.
func (m *Map) Seed() uint64 { return m.cfg.seed }

// Replicas returns the number of owners of each slot: as asked for, or fewer where there are
// fewer nodes.
func (m *Map) Replicas() int { return m.replicas }

// Nodes yields the nodes in the order of their IDs. They belong to the map.
func (m *Map) Nodes() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for i := range m.nodes {
			if !yield(&m.nodes[i]) {
				return
			}
		}
	}
}

// Node returns the node of an ID, or nil.
func (m *Map) Node(id string) *Node {
	if i, ok := m.find(id); ok {
		return &m.nodes[i]
	}
	return nil
}

func (m *Map) find(id string) (int, bool) {
	return sort.Find(len(m.nodes), func(i int) int {
		switch {
		case id == m.nodes[i].ID:
			return 0
		case id < m.nodes[i].ID:
			return -1
		}
		return 1
	})
}

// Fingerprint identifies the map: two members with the same fingerprint agree on every key.
// It covers the nodes with their weights and zones, the options and the whole table, which the first
// call reads and the later ones need not.
func (m *Map) Fingerprint() uint64 {
	f := m.fingerprint.Load()
	if f == 0 {
		f = m.sum() // whoever else is at it comes to the same
		m.fingerprint.Store(f)
	}
	return f
}

// With returns the map of the same options over the set with nodes added; a node whose ID is
// there already takes the other's place. It equals [New] of that set. Errors are those of New.
//
// With one replica it goes on from the matching that m is, and costs a few looks at each slot and
// some more where slots move: for one of 1000 nodes a twentieth of New. It allocates little but the
// new map; what else it needs, a quarter as much, it leaves to the next call on either map. With replicas, and on maps
// that were not placed but decoded, rebalanced or moved, it costs what New costs.
func (m *Map) With(nodes ...Node) (*Map, error) {
	fresh := slices.SortedFunc(slices.Values(nodes), byID)
	set := make([]Node, 0, len(m.nodes)+len(nodes))
	for _, n := range m.nodes {
		if _, replaced := slices.BinarySearchFunc(fresh, n, byID); !replaced {
			set = append(set, n)
		}
	}
	return m.over(append(set, nodes...))
}

// over is build that goes on from m if it can.
func (m *Map) over(set []Node) (*Map, error) {
	if m.past == nil {
		return build(set, m.cfg)
	}
	if err := accept(set, m.cfg); err != nil {
		return nil, err
	}
	if next := m.vary(set); next != nil {
		return next, nil
	}
	return build(set, m.cfg)
}

// Without returns the map of the same options over the set with some nodes removed.
// It equals [New] of that set, and costs what [Map.With] does.
//
// Errors: a [*NodeError] with [ErrUnknown] for an ID that is not there, and those of New.
func (m *Map) Without(ids ...string) (*Map, error) {
	gone := make([]bool, len(m.nodes))
	for _, id := range ids {
		i, ok := m.find(id)
		if !ok {
			return nil, &NodeError{ID: id, Err: ErrUnknown}
		}
		gone[i] = true
	}
	set := make([]Node, 0, len(m.nodes))
	for i, n := range m.nodes {
		if !gone[i] {
			set = append(set, n)
		}
	}
	return m.over(set)
}

// String says how large the map is, and which one, by its fingerprint.
func (m *Map) String() string {
	return fmt.Sprintf("%d slots on %d nodes, replicas: %d, fingerprint %016x", m.slots, len(m.nodes), m.replicas, m.Fingerprint())
}

// LogValue logs what String says.
func (m *Map) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("slots", m.slots), slog.Int("nodes", len(m.nodes)), slog.Int("replicas", m.replicas),
		slog.String("fingerprint", fmt.Sprintf("%016x", m.Fingerprint())))
}

// sum computes the fingerprint.
func (m *Map) sum() uint64 {
	h := mix(m.seed, uint64(m.slots)<<8|uint64(m.replicas))
	for i := range m.nodes {
		n := &m.nodes[i]
		h = fold(hash(n.ID, h)^k1, math.Float64bits(n.Weight)^h)
		h = hash(n.Zone, h)
	}
	// Eight entries a step; what is left one by one.
	t := m.owners
	for ; len(t) >= 8; t = t[8:] {
		a := uint64(t[0]) | uint64(t[1])<<16 | uint64(t[2])<<32 | uint64(t[3])<<48
		b := uint64(t[4]) | uint64(t[5])<<16 | uint64(t[6])<<32 | uint64(t[7])<<48
		h = fold(h^a^k0, bits.RotateLeft64(h, 32)^b^k1)
	}
	for _, o := range t {
		h = fold(h^uint64(o), k2)
	}
	return mix(h, math.Float64bits(m.cfg.slack)^uint64(m.cfg.slots)<<8^uint64(m.cfg.replicas))
}
