package crdt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"math"
	"slices"
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
	var v view
	if err := v.parse(b, true); err != nil {
		return Delta{}, err
	}
	if lim.Events > 0 && len(v.items) > lim.Events {
		return Delta{}, fmt.Errorf("%w: a delta of %d events, %d allowed", ErrLimit, len(v.items), lim.Events)
	}
	if lim.Replicas > 0 && len(v.lanes) > lim.Replicas {
		return Delta{}, fmt.Errorf("%w: a delta of %d replicas, %d allowed", ErrLimit, len(v.lanes), lim.Replicas)
	}
	if lim.Latest != nil {
		if at, latest := v.latest(), lim.Latest(); at > latest {
			return Delta{}, fmt.Errorf("%w: %w: a write is stamped %v, the latest allowed is %v", ErrLimit, clock.ErrDrift, at, latest)
		}
	}
	return Delta{b: b}, nil
}

// latest returns the greatest stamp, or the least there is if there is none.
func (v *view) latest() clock.Timestamp {
	at := clock.Timestamp(math.MinInt64)
	for i := range v.items {
		if k := v.defs[v.items[i].def].shape.kind; k == kindLWW || k == kindLWWElem {
			at = max(at, timeOf(string(v.bytes(v.items[i].payload)[:stampLen])))
		}
	}
	return at
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
		s.split(s.fullParts(), size, yield)
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

// view is a delta, read. Its slices are reused from one reading to the next.
type view struct {
	b       []byte // what was read
	trusted bool   // it was checked before
	root    shape
	lanes   []viewLane
	ranges  []interval.Range
	items   []item
	defs    []def
	schemas []*schema // set by a merge
}

// text is a part of what was read. Items and defs hold no pointers, so that a hundred thousand of
// them cost the garbage collector nothing.
type text struct{ from, len uint32 }

func (v *view) bytes(t text) []byte { return v.b[t.from : t.from+t.len] }

// text reads a length and that many bytes.
func (v *view) text(r *wire.Reader) text {
	p := r.Bytes()
	return text{uint32(headerLen + r.Offset() - len(p)), uint32(len(p))}
}

type viewLane struct {
	id             ReplicaID
	range0, range1 int // of view.ranges: the events told
	item0, item1   int // of view.items: those that live
	local          int // index of the store's lane, or -1
}

type item struct {
	seq     uint64
	payload text
	def     uint32
	fresh   bool // set by a merge: not yet seen here
}

// def is a node that a delta names. defs[0] is the root.
type def struct {
	key    text
	parent uint32
	slot   slot   // set by a merge
	schema uint32 // set by a merge: index into view.schemas plus 1, 0 if nobody has opened the place
	shape  shape
	depth  uint8
	known  bool // schema is set
}

// parse reads and checks a delta. Bytes that are trusted (made or checked here before) are only read.
func (v *view) parse(b []byte, check bool) error {
	v.b, v.trusted = b, !check
	v.lanes, v.ranges, v.items, v.defs, v.schemas = v.lanes[:0], v.ranges[:0], v.items[:0], v.defs[:0], v.schemas[:0]
	if uint64(len(b)) > math.MaxUint32 {
		return fmt.Errorf("%w: a delta of %d bytes, at most 4 GiB can be read", ErrLimit, len(b))
	}
	if len(b) < headerLen+checksumLen || b[0] != magic0 || b[1] != magic1 {
		return fmt.Errorf("%w: not a delta (%d bytes)", ErrCorrupt, len(b))
	}
	if b[2] != version {
		return fmt.Errorf("%w: %d, this package reads %d", ErrVersion, b[2], version)
	}
	body, sum := b[:len(b)-checksumLen], binary.BigEndian.Uint32(b[len(b)-checksumLen:])
	if check && crc32.Checksum(body, castagnoli) != sum {
		return fmt.Errorf("%w: the checksum does not match", ErrCorrupt)
	}
	v.root = shape{kind(b[3]), b[4]}
	v.defs = append(v.defs, def{shape: v.root, slot: noSlot})
	r := wire.NewReader(body[headerLen:])
	n := r.Count(8)
	ids := r.Take(8 * n)
	last := ReplicaID(0)
	for i := 0; i < n && r.Err() == nil; i++ {
		id := ReplicaID(binary.BigEndian.Uint64(ids[8*i:]))
		if id <= last {
			r.Fail("replicas are not ascending")
		}
		last = id
		v.lane(&r, id)
	}
	if n == 0 {
		r.Fail("no replicas")
	}
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

func (v *view) lane(r *wire.Reader, id ReplicaID) {
	l := viewLane{id: id, local: -1, range0: len(v.ranges), item0: len(v.items)}
	v.ranges = readRuns(r, v.ranges)
	l.range1 = len(v.ranges)
	if l.range0 == l.range1 {
		r.Fail("a replica of which nothing is told")
	}
	// The live ones: a run each, all within the ranges.
	at := l.range0
	total := 0
	all := readRuns(r, v.ranges)
	v.ranges = all[:l.range1]
	for _, run := range all[l.range1:] {
		for at < l.range1 && v.ranges[at].Hi < run.Lo {
			at++
		}
		if at == l.range1 || run.Lo < v.ranges[at].Lo || run.Hi > v.ranges[at].Hi {
			r.Fail("an event lives that is not told")
			return
		}
		// Each live event has at least one byte of content.
		if run.Hi-run.Lo >= uint64(r.Len()) {
			r.Fail("more live events than bytes")
			return
		}
		n := int(run.Hi - run.Lo + 1)
		if total += n; total > r.Len() {
			r.Fail("more live events than bytes")
			return
		}
		at := len(v.items)
		v.items = slices.Grow(v.items, n)[:at+n]
		for i := range v.items[at:] {
			v.items[at+i] = item{seq: run.Lo + uint64(i)}
		}
	}
	l.item1 = len(v.items)
	for i := l.item0; i < l.item1 && r.Err() == nil; {
		i = v.group(r, i, l.item1)
	}
	for k := l.item0; k < l.item1 && !v.trusted && r.Err() == nil; k++ {
		it := &v.items[k]
		if took := v.absorbed(it); took.Hi > 0 && (took.Hi >= it.seq || !l.tells(v, took.Hi) || l.lives(v, took.Hi)) {
			r.Fail("an event that absorbed one that is not over")
		}
	}
	v.lanes = append(v.lanes, l)
}

// group reads the content of events from items[i] on and returns the index of the next one.
func (v *view) group(r *wire.Reader, i, end int) int {
	head := r.Uvarint()
	form, count := head&(1<<formBits-1), head>>formBits
	if count == 0 || count > uint64(r.Len()) || (form&^formFlag != formInner && count > uint64(end-i)) {
		r.Fail("a group of %d", count)
		return end
	}
	payload := form&formFlag != 0
	switch form &^ formFlag {
	case formRef:
		for ; count > 0; count-- {
			ref := r.Uvarint()
			if ref >= uint64(len(v.defs)) {
				r.Fail("a node not named before")
				return end
			}
			v.items[i].def = uint32(ref)
			i = v.content(r, i, payload)
		}
	case formNew, formInner:
		ref := r.Uvarint()
		sh := shape{kind(r.Byte()), r.Byte()}
		if ref >= uint64(len(v.defs)) || v.defs[ref].depth >= maxDepth {
			r.Fail("a parent not named before, or too deep")
			return end
		}
		parent := v.defs[ref]
		inner := form == formInner
		if form == formInner|formFlag || inner && sh.kind.isLeaf() || parent.shape.kind.isLeaf() {
			r.Fail("a %v below a %v", sh.kind, parent.shape.kind)
			return end
		}
		v.defs = slices.Grow(v.defs, int(count))
		for ; count > 0 && r.Err() == nil; count-- {
			d := def{key: v.text(r), parent: uint32(ref), depth: parent.depth + 1, shape: sh, slot: noSlot}
			if !v.trusted && r.Err() == nil {
				if err := checkChild(parent.shape, sh, v.bytes(d.key)); err != nil {
					r.Fail("%v", err)
				}
			}
			v.defs = append(v.defs, d)
			if !inner {
				v.items[i].def = uint32(len(v.defs) - 1)
				i = v.content(r, i, payload)
			}
		}
	default:
		r.Fail("an unknown form of group")
	}
	return i
}

// absorbed returns the first and the last event that an event has absorbed, empty if there is none.
func (v *view) absorbed(it *item) interval.Range {
	if it.payload.len == 0 {
		return interval.Range{}
	}
	return absorbed(v.defs[it.def].shape.kind, v.bytes(it.payload))
}

// tells reports whether the delta tells of an event.
func (l *viewLane) tells(v *view, seq uint64) bool {
	ranges := v.ranges[l.range0:l.range1]
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].Hi >= seq })
	return i < len(ranges) && ranges[i].Lo <= seq
}

// lives reports whether the delta tells that an event lives.
func (l *viewLane) lives(v *view, seq uint64) bool {
	items := v.items[l.item0:l.item1]
	i := sort.Search(len(items), func(i int) bool { return items[i].seq >= seq })
	return i < len(items) && items[i].seq == seq
}

func (v *view) content(r *wire.Reader, i int, payload bool) int {
	it := &v.items[i]
	if payload {
		if it.payload = v.text(r); it.payload.len == 0 {
			r.Fail("an empty payload")
		}
	}
	if !v.trusted && r.Err() == nil {
		if err := checkPayload(v.defs[it.def].shape, v.bytes(it.payload)); err != nil {
			r.Fail("%v", err)
		}
	}
	return i + 1
}

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
