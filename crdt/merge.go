package crdt

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/go-calm/calm/internal/interval"
)

// merger merges deltas. It is kept for its buffers.
type merger struct {
	view    view
	over    []located // events that live here and are over
	gained  []part    // what was new, filled only for Learn
	absorbs bool      // some of what is new has absorbed others
	keys    keeper
	known   known
	skimmer skimmer
	recent  int // index of the lane that was looked up last
}

// Merge takes in what a delta tells and reports whether anything was new. It is commutative,
// associative and idempotent; a delta that is refused changes nothing. Errors match [ErrSchema] or
// [ErrEquivocation]. Merge keeps the delta's bytes, which never change, for as long as it keeps
// keys of it.
func (s *Store) Merge(d Delta) (changed bool, err error) {
	_, changed, err = s.merge(d, false)
	return changed, err
}

// Learn is Merge, and returns what was new: the part of d that is worth forwarding to others.
func (s *Store) Learn(d Delta) (fresh Delta, err error) {
	fresh, _, err = s.merge(d, true)
	return fresh, err
}

func (s *Store) merge(d Delta, learn bool) (fresh Delta, changed bool, err error) {
	if d.IsZero() {
		return Delta{}, false, nil
	}
	if s.tx.depth > 0 {
		panic("crdt: Merge inside Update")
	}
	m := &s.merger
	h, known := m.known.find(s, d)
	if known {
		return Delta{}, false, nil
	}
	if len(d.b) >= big && m.skimmer.knows(s, d.b) {
		m.known.add(h)
		return Delta{}, false, nil
	}
	if err := m.view.read(d.b); err != nil {
		return Delta{}, false, err // cannot be: a Delta holds what was checked
	}
	if err = m.check(s); err == nil {
		err = m.log(s, d)
	}
	if err == nil {
		if len(s.watch.observers) > 0 {
			m.look(s)
		}
		fresh, changed = m.apply(s, learn)
		m.known.add(h)
	}
	m.shrink(s)
	if err == nil && len(s.watch.observers) > 0 {
		s.tell(false)
	}
	return fresh, changed, err
}

// known is the big deltas that were merged last. A state only grows, so merging one of them again
// changes nothing. They are known by a hash that is keyed by the store's own secret: nobody can make
// two deltas of one hash, and by chance it happens once in 2⁶⁴ times.
type known struct {
	hashes [4]uint64
	next   int
}

// big is how long a delta is, in bytes, if looking it up costs little beside reading it.
const big = 4 << 10

// find returns the hash of a delta, 0 if it is small, and whether the delta is known.
func (k *known) find(s *Store, d Delta) (h uint64, ok bool) {
	if len(d.b) < big {
		return 0, false
	}
	h = maphash.Bytes(s.tree.table.seed, d.b) | 1
	return h, slices.Contains(k.hashes[:], h)
}

func (k *known) add(h uint64) {
	if h != 0 {
		k.hashes[k.next%len(k.hashes)] = h
		k.next++
	}
}

// check compares the delta with the store, changes neither, and marks what is new.
func (m *merger) check(s *Store) error {
	v := &m.view
	if have := s.tree.at(rootSlot).shape; have != v.root {
		return &SchemaError{Path: "the root", Have: describe(have), Got: describe(v.root)}
	}
	v.defs[0].slot, v.defs[0].known = rootSlot, true
	v.setSchema(&v.defs[0], s.schema)
	m.over, m.absorbs = m.over[:0], false
	for i := range v.lanes {
		if err := m.checkLane(s, &v.lanes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) checkLane(s *Store, vl *viewLane) error {
	v := &m.view
	var none lane
	l := &none
	if m.recent < len(s.lanes) && s.lanes[m.recent].id == vl.id { // one change follows the other
		vl.local, l = m.recent, &s.lanes[m.recent]
	} else if i, ok := s.byID[vl.id]; ok {
		vl.local, l = i, &s.lanes[i]
		m.recent = i
	}
	ranges := v.ranges[vl.range0:vl.range1]
	// A store knows all that it has made: more can come only from a namesake. A store that has made
	// nothing and knows nothing may be reading its own past.
	if vl.id == s.self && s.own >= 0 && !l.seen.IsEmpty() {
		for _, r := range ranges {
			if !l.seen.ContainsRange(r.Lo, r.Hi) {
				rest := interval.Of(r)
				rest = rest.Minus(l.seen)
				return &EquivocationError{Dot: Dot{Node: vl.id, N: rest.Runs()[0].Lo}, Reused: true}
			}
		}
	}
	// Walk along what lives there and what lives here, range by range of what is told.
	items := v.items[vl.item0:vl.item1]
	at, k := 0, 0
	for _, r := range ranges {
		for at = l.find(r.Lo, at); ; {
			here, there := at < len(l.seqs) && l.seqs[at] <= r.Hi, k < len(items) && items[k].seq <= r.Hi
			switch {
			case here && l.slots[at] == noSlot:
				at++
			case here && (!there || l.seqs[at] < items[k].seq):
				m.over = append(m.over, located{vl.local, l.seqs[at]})
				at++
			case here && l.seqs[at] == items[k].seq:
				if !m.same(s, uint32(vl.local), &items[k], l.slots[at]) {
					return &EquivocationError{Dot: Dot{Node: vl.id, N: items[k].seq}}
				}
				at++
				k++
			case there:
				if !l.seen.Has(items[k].seq) {
					took := v.absorbed(&items[k])
					items[k].fresh = true
					if took.Hi > 0 {
						// Was what it absorbed reset? See Compact.
						_, lives := l.lookup(took.Hi)
						items[k].fresh = lives || !l.seen.Has(took.Hi)
						m.absorbs = true
					}
					if err := v.checkItem(&items[k]); err != nil {
						return err
					}
				}
				k++
			}
			if !here && !there {
				break
			}
		}
		// What absorbed an event goes with it, if who tells that it is over did not know: see Compact.
		l.absorbers(r.Lo, r.Hi, func(upto, by uint64) {
			if !vl.tells(v, by) && !vl.lives(v, upto) {
				m.over = append(m.over, located{vl.local, by})
			}
		})
	}
	return nil
}

// same reports whether an event that lives on both sides is told in the same way.
func (m *merger) same(s *Store, laneIndex uint32, it *item, at slot) bool {
	n := s.tree.at(at)
	payload := ""
	if n.leaf() != 0 {
		payload = s.tree.dot(at, laneIndex, it.seq).payload
	}
	return string(m.view.bytes(it.payload)) == payload && m.view.match(s.tree, it.def, at)
}

// match reports whether a node named by the delta is the node at a slot, and remembers it if so.
func (v *view) match(t *tree, i uint32, at slot) bool {
	for {
		d := &v.defs[i]
		if d.slot != noSlot || at == rootSlot {
			return d.slot == at
		}
		n := t.at(at)
		if d.shape != n.shape || string(v.bytes(d.key)) != n.key {
			return false
		}
		// Remembered before the ancestors are compared: a mismatch ends the merge anyway.
		d.slot = at
		i, at = d.parent, n.parent
	}
}

// schema returns the type that a node was opened as, nil if it was not.
func (v *view) schema(d *def) *schema {
	if d.schema == 0 {
		return nil
	}
	return v.schemas[d.schema-1]
}

func (v *view) setSchema(d *def, sc *schema) {
	if sc == nil {
		return
	}
	if n := len(v.schemas); n == 0 || v.schemas[n-1] != sc {
		v.schemas = append(v.schemas, sc)
	}
	d.schema = uint32(len(v.schemas))
}

// checkItem compares an event with the types that the store was opened with.
func (v *view) checkItem(it *item) error {
	if err := v.checkSchema(it.def); err != nil {
		return err
	}
	if sc := v.schema(&v.defs[it.def]); sc != nil {
		if err := sc.checkPayload(v.bytes(it.payload)); err != nil {
			return &SchemaError{Path: v.path(it.def), Have: describe(sc.shape), Got: "value of another type (" + err.Error() + ")"}
		}
	}
	return nil
}

// path tells where a node is, for people.
func (v *view) path(i uint32) string {
	if i == 0 {
		return "the root"
	}
	d := &v.defs[i]
	key := fmt.Sprintf("%q", v.bytes(d.key))
	if v.defs[d.parent].shape.kind == kindStruct {
		if tag, n := binary.Uvarint(v.bytes(d.key)); n > 0 {
			key = fmt.Sprintf("field %d", tag)
		}
	}
	if d.parent == 0 {
		return key
	}
	return v.path(d.parent) + " › " + key
}

// checkSchema compares a node and its ancestors with the types that the store was opened with.
func (v *view) checkSchema(i uint32) error {
	d := &v.defs[i]
	if d.known {
		return nil
	}
	if err := v.checkSchema(d.parent); err != nil {
		return err
	}
	d.known = true
	up := v.schema(&v.defs[d.parent])
	if up == nil {
		return nil // nobody has opened it here: it is kept and passed on as it is
	}
	key := v.bytes(d.key)
	if err := up.checkKey(key); err != nil {
		return &SchemaError{Path: v.path(i), Have: describe(up.shape), Got: "key of another type (" + err.Error() + ")"}
	}
	sc := up.child(key)
	v.setSchema(d, sc)
	if sc != nil && sc.shape != d.shape {
		return &SchemaError{Path: v.path(i), Have: describe(sc.shape), Got: describe(d.shape)}
	}
	return nil
}

// apply takes in what check found to be new.
func (m *merger) apply(s *Store, learn bool) (fresh Delta, changed bool) {
	v := &m.view
	m.keys.begin(v.b)
	s.tree.coming = 0
	for i := range v.items {
		if it := &v.items[i]; it.fresh {
			m.keys.want += int(v.defs[it.def].key.len + it.payload.len)
			s.tree.coming++
		}
	}
	defer m.keys.end()
	m.gained = m.gained[:0]
	for i := range v.lanes {
		vl := &v.lanes[i]
		ranges := v.ranges[vl.range0:vl.range1]
		if vl.local < 0 {
			vl.local = s.lane(vl.id)
		}
		news := false
		for _, r := range ranges {
			news = news || !s.lanes[vl.local].seen.ContainsRange(r.Lo, r.Hi)
		}
		if !news {
			continue
		}
		changed = true
		if learn {
			told := interval.Of(ranges...)
			m.gained = append(m.gained, part{lane: vl.local, seen: told.Minus(s.lanes[vl.local].seen)})
		}
		if m.attach(s, vl) && vl.local == s.own {
			s.tallies.complete = false // its own past
		}
		for _, r := range ranges {
			s.lanes[vl.local].seen.AddRange(r.Lo, r.Hi)
		}
	}
	for _, o := range m.over {
		s.detach(o.lane, o.seq)
		changed = true
	}
	if m.absorbs {
		m.absorb(s)
	}
	if learn {
		fresh = m.fresh(s)
	}
	return fresh, changed
}

// attach puts the new events of a lane where they live, and reports whether there are any.
func (m *merger) attach(s *Store, vl *viewLane) bool {
	v, l := &m.view, &s.lanes[vl.local]
	items := v.items[vl.item0:vl.item1]
	fresh := 0
	s.version++
	for i := range items {
		it := &items[i]
		if !it.fresh {
			continue
		}
		fresh++
		at := v.place(s.tree, it.def, &m.keys)
		l.living += mix(uint64(l.id) ^ mix(it.seq))
		s.tree.attach(at, dot{lane: uint32(vl.local), seq: it.seq, payload: m.keys.keep(it.payload)})
	}
	if fresh > 0 {
		l.insertFresh(v, items, fresh)
	}
	if m.absorbs {
		for i := range items {
			if took := v.absorbed(&items[i]); items[i].fresh && took.Hi > 0 {
				l.absorb(took.Hi, items[i].seq)
			}
		}
	}
	return fresh > 0
}

// insertFresh records where the new events live, n of them.
func (l *lane) insertFresh(v *view, items []item, n int) {
	old := len(l.seqs)
	l.grow(n)
	l.seqs, l.slots = l.seqs[:old+n], l.slots[:old+n]
	// From the end on, so that what is there moves once.
	for i, k, to := old-1, len(items)-1, old+n-1; to > i; to-- {
		for !items[k].fresh {
			k--
		}
		if i >= 0 && l.seqs[i] > items[k].seq {
			l.seqs[to], l.slots[to] = l.seqs[i], l.slots[i]
			i--
			continue
		}
		l.seqs[to], l.slots[to] = items[k].seq, v.defs[items[k].def].slot
		k--
	}
}

// absorb ends what the new events have absorbed, where the delta did not tell of it.
func (m *merger) absorb(s *Store) {
	v := &m.view
	mark := len(m.over)
	for i := range v.lanes {
		vl := &v.lanes[i]
		for k := vl.item0; k < vl.item1; k++ {
			it := &v.items[k]
			took := v.absorbed(it)
			if took.Hi == 0 || !it.fresh {
				continue
			}
			s.tree.dots(v.defs[it.def].slot, func(d dot) {
				if int(d.lane) == vl.local && took.Lo <= d.seq && d.seq <= took.Hi {
					m.over = append(m.over, located{vl.local, d.seq})
				}
			})
		}
	}
	for _, o := range m.over[mark:] {
		s.detach(o.lane, o.seq)
	}
}

// fresh tells what was gained and what is over.
func (m *merger) fresh(s *Store) Delta {
	for i := range m.gained {
		p := &m.gained[i]
		l := &s.lanes[p.lane]
		for _, r := range p.seen.Runs() {
			if sp := (span{l.find(r.Lo, 0), l.find(r.Hi+1, 0)}); sp.from < sp.to {
				p.spans = append(p.spans, sp)
			}
		}
	}
	for _, p := range s.parts(m.over) {
		known := false
		for i := range m.gained {
			if g := &m.gained[i]; g.lane == p.lane {
				g.seen.Merge(p.seen)
				known = true
			}
		}
		if !known {
			m.gained = append(m.gained, part{lane: p.lane, seen: p.seen.Clone()})
		}
	}
	return s.encoder.encode(s, m.gained)
}

// place returns the slot of a node that the delta names, and makes it if need be.
func (v *view) place(t *tree, i uint32, keys *keeper) slot {
	d := &v.defs[i]
	if d.slot == noSlot {
		up := v.place(t, d.parent, keys)
		key := v.bytes(d.key)
		h := t.table.hashBytes(up, d.shape, key)
		var known bool
		if d.slot, known = find(t, h, up, d.shape, key); !known {
			d.slot = t.create(h, up, d.shape)
			t.at(d.slot).key = keys.keep(d.key)
		}
	}
	return d.slot
}

// shrink lets go of the buffers of a delta that is big beside the state.
func (m *merger) shrink(s *Store) {
	m.view.b = nil
	keep := max(1<<12, int(s.tree.count))
	if cap(m.view.items) > keep || cap(m.view.defs) > keep {
		m.view = view{}
	}
	if cap(m.over) > keep {
		m.over = nil
	}
}

// keeper turns keys and payloads of a delta into strings, so that a hundred thousand of them are a
// handful of allocations.
type keeper struct {
	b     []byte // the delta
	want  int    // bytes of it that are still to come
	block strings.Builder

	// If most of the delta is wanted, stretches of it become strings, and keys are parts of them.
	stretch string
	from    uint32 // where it starts
}

const minBlock, maxBlock = 1 << 10, 512 << 10

func (k *keeper) begin(b []byte) { k.b, k.want = b, 0 }

func (k *keeper) end() { k.b, k.want, k.stretch = nil, 0, "" }

func (k *keeper) keep(t text) string {
	if t.len == 0 {
		return ""
	}
	if t.from >= k.from && int(t.from-k.from)+int(t.len) <= len(k.stretch) {
		k.want -= int(t.len)
		return k.stretch[t.from-k.from:][:t.len]
	}
	if rest := len(k.b) - int(t.from); k.want > minBlock && k.want > rest-rest/4 && k.want <= rest {
		k.stretch, k.from = string(k.b[t.from:][:min(rest, max(maxBlock, int(t.len)))]), t.from
		return k.keep(t)
	}
	k.want -= int(t.len)
	return k.add(k.b[t.from:][:t.len])
}

// add copies a text into a common block.
func (k *keeper) add(b []byte) string {
	if k.block.Cap()-k.block.Len() < len(b) {
		k.block = strings.Builder{}
		k.block.Grow(max(min(k.want+len(b), maxBlock), len(b), minBlock))
	}
	from := k.block.Len()
	k.block.Write(b)
	return k.block.String()[from:]
}
