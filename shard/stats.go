package shard

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
)

// Stats describes how evenly a [Map] spreads its slots. It is a plain value.
type Stats struct {
	Nodes    int
	Slots    int
	Replicas int
	Peak     float64   // the highest load of a node relative to its fair share; 1 is perfect
	Trough   float64   // the lowest
	ByNode   []Holding // in the order of the IDs
	ByZone   []Holding // by the first level of the zones, in their order
	Bytes    int       // of the table
}

// Holding is what a node or a zone holds.
type Holding struct {
	Name     string  // the node's ID or the zone
	Primary  int     // slots that it is the first owner of
	Replicas int     // slots that it is an owner of, at any rank
	Fair     float64 // how many that would be in proportion to the weights, as far as the zones allow
}

// Load is what is held relative to the fair share.
func (h Holding) Load() float64 {
	if h.Fair == 0 {
		return 0
	}
	return float64(h.Replicas) / h.Fair
}

// String says in one line how even the map is.
func (s Stats) String() string {
	return fmt.Sprintf("%d slots on %d nodes, replicas: %d, in %d bytes: fullest node %.3f of its share, emptiest %.3f",
		s.Slots, s.Nodes, s.Replicas, s.Bytes, s.Peak, s.Trough)
}

// LogValue logs what String says.
func (s Stats) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("slots", s.Slots), slog.Int("nodes", s.Nodes), slog.Int("replicas", s.Replicas),
		slog.Int("bytes", s.Bytes), slog.Float64("peak", s.Peak), slog.Float64("trough", s.Trough))
}

// Stats counts the map's slots. It takes time in proportion to the table.
func (m *Map) Stats() Stats {
	s := Stats{
		Nodes: len(m.nodes), Slots: m.slots, Replicas: m.replicas,
		ByNode: make([]Holding, len(m.nodes)),
		Bytes:  len(m.owners) * 2,
	}
	for i, share := range m.shares() {
		s.ByNode[i] = Holding{Name: m.nodes[i].ID, Fair: float64(share) / (1 << grain)}
	}
	for i, o := range m.owners {
		s.ByNode[o].Replicas++
		if i < m.slots {
			s.ByNode[o].Primary++
		}
	}
	zones := map[string]*Holding{}
	for i, h := range s.ByNode {
		if load := h.Load(); i == 0 {
			s.Peak, s.Trough = load, load
		} else {
			s.Peak, s.Trough = max(s.Peak, load), min(s.Trough, load)
		}
		top := topZone(m.nodes[i].Zone)
		z := zones[top]
		if z == nil {
			z = &Holding{Name: top}
			zones[top] = z
		}
		z.Primary += h.Primary
		z.Replicas += h.Replicas
		z.Fair += h.Fair
	}
	for _, z := range zones {
		s.ByZone = append(s.ByZone, *z)
	}
	slices.SortFunc(s.ByZone, func(a, b Holding) int { return cmp.Compare(a.Name, b.Name) })
	return s
}
