package shard

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/go-calm/calm/internal/wire"
)

// ErrMalformed means that bytes are not the binary form of the value they were decoded into.
var ErrMalformed = errors.New("shard: malformed bytes")

// malformed is ErrMalformed with what a reader found.
func malformed(err error) error {
	return fmt.Errorf("%w%s", ErrMalformed, strings.TrimPrefix(err.Error(), wire.ErrMalformed.Error()))
}

const (
	mapVersion = 1
	flagStrict = 1
)

// AppendBinary appends the canonical binary form of the map: equal maps have equal bytes.
//
// Version 1: the version byte; a byte of flags (1: strict); log2 of the number of slots; log2 plus
// 1 of the number asked for, or 0; the replicas asked for; the bits of the slack and the seed, 8
// bytes each; the number of nodes; each node in the order of the IDs as ID, weight bits and zone;
// the table, rank by rank, each entry a node's index in 1 byte, or 2 if there are over 256 nodes.
// Numbers are varints and strings have their length before them, unless said otherwise; bytes of
// fixed-size numbers go from the most significant one.
func (m *Map) AppendBinary(b []byte) ([]byte, error) {
	flags := byte(0)
	if m.cfg.strict {
		flags |= flagStrict
	}
	b = append(b, mapVersion, flags, byte(bits.Len(uint(m.slots))-1), byte(bits.Len(uint(m.cfg.slots))), byte(m.cfg.replicas))
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(m.cfg.slack))
	b = binary.BigEndian.AppendUint64(b, m.cfg.seed)
	b = binary.AppendUvarint(b, uint64(len(m.nodes)))
	for i := range m.nodes {
		n := &m.nodes[i]
		b = wire.AppendString(b, n.ID)
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(n.Weight))
		b = wire.AppendString(b, n.Zone)
	}
	for _, o := range m.owners {
		if len(m.nodes) > 256 {
			b = append(b, byte(o>>8))
		}
		b = append(b, byte(o))
	}
	return b, nil
}

// MarshalBinary returns the canonical binary form; see [Map.AppendBinary].
func (m *Map) MarshalBinary() ([]byte, error) { return m.AppendBinary(nil) }

// UnmarshalBinary makes a new(Map) the map of a binary form; it must not be called on a map that
// is in use. Memory is in proportion to the input, from which nothing is kept. It accepts any
// valid table, not only those that [New] makes, as [Map.Rebalance] and [Map.Apply] make others.
// Errors match [ErrMalformed] and leave the map as it was.
func (m *Map) UnmarshalBinary(b []byte) error {
	r := wire.NewReader(b)
	decoded, err := decodeMap(&r)
	if err != nil {
		return malformed(err)
	}
	*m = *decoded
	return nil
}

func decodeMap(r *wire.Reader) (*Map, error) {
	if v := r.Byte(); v != mapVersion {
		r.Fail("version %d of a map is unknown", v)
	}
	flags := r.Byte()
	if flags&^flagStrict != 0 {
		r.Fail("flags %x are unknown", flags)
	}
	log, asked := r.Byte(), r.Byte()
	if log > 24 || asked > 25 {
		r.Fail("too many slots")
	}
	cfg := config{
		strict:   flags&flagStrict != 0,
		slots:    1 << asked >> 1,
		replicas: int(r.Byte()),
		slack:    math.Float64frombits(r.Uint64()),
		seed:     r.Uint64(),
	}
	nodes := make([]Node, r.Count(10)) // two lengths and a weight
	for i := range nodes {
		n := &nodes[i]
		n.ID = string(r.Bytes())
		n.Weight = math.Float64frombits(r.Uint64())
		n.Zone = string(r.Bytes())
		if r.Err() != nil {
			return nil, r.Err()
		}
		if n.ID == "" || i > 0 && nodes[i-1].ID >= n.ID {
			r.Fail("IDs must be present, unique and in order")
		}
		if !(n.Weight > 0) || math.IsInf(n.Weight, 0) {
			r.Fail("a weight is not positive and finite")
		}
	}
	if len(nodes) == 0 || len(nodes) > MaxNodes {
		r.Fail("a map of %d nodes", len(nodes))
	}
	if err := cfg.check(nodes); r.Err() == nil && (err != nil || math.Signbit(cfg.slack)) {
		r.Fail("bad options")
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	slots, replicas, width := 1<<log, min(cfg.replicas, len(nodes)), 1
	if cfg.slots > 0 && cfg.slots != slots {
		r.Fail("%d slots where %d were asked for", slots, cfg.slots)
	}
	if len(nodes) > 256 {
		width = 2
	}
	// In 64 bits, as the product may exceed an int.
	if size := uint64(slots) * uint64(replicas*width); size != uint64(r.Len()) {
		r.Fail("a table of %d bytes is due, %d are left", size, r.Len())
	}
	table := r.Take(r.Len())
	if r.Done() != nil {
		return nil, r.Err()
	}
	owners := make([]uint16, slots*replicas)
	for i := range owners {
		if width == 2 {
			owners[i] = binary.BigEndian.Uint16(table[2*i:])
		} else {
			owners[i] = uint16(table[i])
		}
		if int(owners[i]) >= len(nodes) {
			return nil, fmt.Errorf("%w: an owner that is not among the nodes", wire.ErrMalformed)
		}
		for j := i - slots; j >= 0; j -= slots {
			if owners[j] == owners[i] {
				return nil, fmt.Errorf("%w: a node twice among the owners of a slot", wire.ErrMalformed)
			}
		}
	}
	return newMap(nodes, cfg, slots, owners), nil
}
