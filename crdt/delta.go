package crdt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"sort"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/internal/interval"
	"github.com/go-calm/calm/internal/wire"
)

// Delta is any part of any state: what one operation changed, what a peer lacks, or everything.
// It is a value in its wire form (FORMAT.md) and never changes. Deltas may be lost, doubled and
// reordered, merged one by one or joined first: replicas that got the same ones are equal.
//
// A delta names exactly the events whose fate it tells: those that live, with their content, and
// those that are over. The zero value tells nothing. Safe for concurrent use.
//
// A delta that a mutator returned also knows, beside its wire form, what it took the place of: see
// [Store.Invert].
type Delta struct {
	b    []byte
	past []byte // of remember
}

// IsZero reports whether the delta tells nothing.
func (d Delta) IsZero() bool { return len(d.b) == 0 }

// Len returns the length of the wire form in bytes.
func (d Delta) Len() int { return len(d.b) }

// String says what the delta tells, in numbers: "set of string: 3 events live, 2 over, 1 replica, 57 bytes".
// O(Len).
func (d Delta) String() string {
	if d.IsZero() {
		return "nothing"
	}
	s := bare(d)
	seen, live := s.Digest().count()
	return fmt.Sprintf("%s: %s live, %d over, %s, %s", describe(s.tree.at(rootSlot).shape),
		count(live, "event"), seen-live, count(uint64(len(s.lanes)), "replica"), count(uint64(d.Len()), "byte"))
}

// count is "1 event" or "2 events".
func count(n uint64, of string) string {
	if n != 1 {
		of += "s"
	}
	return fmt.Sprintf("%d %s", n, of)
}

// AppendBinary appends the wire form to b. It never fails. A zero Delta has no bytes.
func (d Delta) AppendBinary(b []byte) ([]byte, error) { return append(b, d.b...), nil }

// MarshalBinary returns a copy of the wire form.
func (d Delta) MarshalBinary() ([]byte, error) { return d.AppendBinary(nil) }

// UnmarshalBinary sets d to a copy of what [ParseDelta] reads from b without limits.
func (d *Delta) UnmarshalBinary(b []byte) error {
	p, err := ParseDelta(append([]byte(nil), b...), Limits{})
	if err == nil {
		*d = p
	}
	return err
}

// Limits bound what [ParseDelta] accepts; 0 is no limit. Reading never takes more memory than in
// proportion to the length of the input, limits or not.
type Limits struct {
	Bytes    int // length of the wire form
	Events   int // events that live
	Replicas int // replicas named
	// Latest returns the latest stamp that the writes of an [LWW] or [LWWSet] may have, most often
	// [clock.Clock]'s reading plus the drift that is tolerated: one replica hours ahead would otherwise win
	// over all others for hours. Nil is no limit.
	Latest func() clock.Timestamp
}

// ParseDelta checks that b is the wire form of a delta, at a cost of O(len(b)). The delta keeps b,
// which must not be changed any more. Errors match [ErrCorrupt], [ErrVersion] or [ErrLimit]; that of a
// stamp over the limit matches [clock.ErrDrift] too.
func ParseDelta(b []byte, lim Limits) (Delta, error) {
	if len(b) == 0 {
		return Delta{}, nil
	}
	if lim.Bytes > 0 && len(b) > lim.Bytes {
		return Delta{}, fmt.Errorf("%w: a delta of %d bytes, %d allowed", ErrLimit, len(b), lim.Bytes)
	}
	var c checker
	if err := c.check(b); err != nil {
		return Delta{}, err
	}
	if lim.Events > 0 && c.events > lim.Events {
		return Delta{}, fmt.Errorf("%w: a delta of %d events, %d allowed", ErrLimit, c.events, lim.Events)
	}
	if lim.Replicas > 0 && c.replicas > lim.Replicas {
		return Delta{}, fmt.Errorf("%w: a delta of %d replicas, %d allowed", ErrLimit, c.replicas, lim.Replicas)
	}
	if lim.Latest != nil {
		if at, latest := c.latest, lim.Latest(); at > latest {
			return Delta{}, fmt.Errorf("%w: %w: a write is stamped %v, the latest allowed is %v", ErrLimit, clock.ErrDrift, at, latest)
		}
	}
	return Delta{b: b}, nil
}

// Join returns the delta that tells all that the given ones tell: merging it is merging them all.
// It fails with [ErrSchema] if they are of stores with other types at the root, and with
// [ErrEquivocation].
func Join(ds ...Delta) (Delta, error) {
	var s *Store
	var only Delta
	n := 0
	for _, d := range ds {
		if d.IsZero() {
			continue
		}
		if n++; n == 1 {
			only = d
			continue
		}
		if s == nil {
			s = bare(only)
		}
		if _, err := s.Merge(d); err != nil {
			return Delta{}, err
		}
	}
	if n < 2 {
		return only, nil
	}
	return s.State(), nil
}

// Split yields deltas that together tell what d tells, none of them longer than size bytes unless
// it holds a single event (or, of events that are over, a single gap-free run). What is new comes
// before what is over, so that a reader of the pieces never misses what the whole keeps.
func (d Delta) Split(size int) iter.Seq[Delta] {
	return func(yield func(Delta) bool) {
		if d.IsZero() || len(d.b) <= size {
			if !d.IsZero() {
				yield(Delta{b: d.b}) // pieces are for others
			}
			return
		}
		s := bare(d)
		live, over := s.halves(s.fullParts())
		s.split(live, over, size, yield)
	}
}

// bare returns a store without an own name that holds what d tells.
func bare(d Delta) *Store {
	s := newStore(0, shape{kind(d.b[3]), d.b[4]})
	if _, err := s.Merge(d); err != nil {
		panic("crdt: internal error: a checked delta is refused by an empty store: " + err.Error())
	}
	return s
}

// ---- wire form ----------------------------------------------------------------------------------

// The wire form, in short (FORMAT.md tells all): a header, the replicas, then for each of them the
// events told, those that live, and groups of live events' content in the order of events. Nodes
// are numbered as they are first named; 0 is the root.
const (
	magic0, magic1 = 0xCA, 0x1D
	version        = 1
	headerLen      = 5 // magic, version, root shape
	checksumLen    = 4
)

// A group starts with count<<2|form, or with count<<2|form and formInner for nodes without events.
const (
	formNew   = 0 // events at nodes not named before: parent, shape, keys
	formRef   = 1 // events at nodes named before
	formInner = 2 // no events: names nodes that others stand below
	// formFlag tells that each event has a payload.
	formFlag = 4
	formBits = 3
)

// maxDepth bounds how deep places nest.
const maxDepth = 64

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// readRuns appends ascending runs that neither overlap nor touch.
func readRuns(r *wire.Reader, runs []interval.Range) []interval.Range {
	next := uint64(1) // the least number that the next run may start with
	for n := r.Count(2); n > 0; n-- {
		gap, more := r.Uvarint(), r.Uvarint()
		if gap > maxSeq || more > maxSeq || next+gap+more > maxSeq {
			r.Fail("an event number over the limit")
			return runs
		}
		lo := next + gap
		runs = append(runs, interval.Range{Lo: lo, Hi: lo + more})
		next = lo + more + 2
	}
	return runs
}

// within reports whether one of the runs holds n.
func within(runs []interval.Range, n uint64) bool {
	i := sort.Search(len(runs), func(i int) bool { return runs[i].Hi >= n })
	return i < len(runs) && runs[i].Lo <= n
}

func appendRuns(b []byte, runs []interval.Range) []byte {
	b = binary.AppendUvarint(b, uint64(len(runs)))
	next := uint64(1)
	for _, run := range runs {
		b = binary.AppendUvarint(b, run.Lo-next)
		b = binary.AppendUvarint(b, run.Hi-run.Lo)
		next = run.Hi + 2
	}
	return b
}
