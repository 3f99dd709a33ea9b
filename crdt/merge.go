package crdt

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/go-calm/calm/internal/interval"
)

// merger merges deltas. It is kept for its buffers.
type merger struct {
	view    view
	over    []located // events that live here and are over
	gained  []part    // what was new, filled only for Learn
	absorbs bool      // some of what is new has absorbed others
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
	defer m.shrink(s)
	if err := m.view.parse(d.b, false); err != nil {
		return Delta{}, false, err // cannot be: a Delta holds what was checked
	}
	if err := m.check(s); err != nil {
		return Delta{}, false, err
	}
	if err := m.log(s, d); err != nil {
		return Delta{}, false, err
	}
	if len(s.watch.observers) > 0 {
		m.look(s)
		defer s.tell(false)
	}
	return m.apply(s, learn)
}

// check compares the delta with the store, changes neither, and marks what is new.
func (m *merger) check(s *Store) error {
	v := &m.view
	if have := s.tree.at(rootSlot).shape; have != v.root {
		return &SchemaError{Path: "the root", Have: describe(have), Got: describe(v.root)}
	}
	for i := range v.defs {
		v.defs[i].slot = noSlot
	}
	v.defs[0].slot, v.defs[0].schema, v.defs[0].known = rootSlot, s.schema, true
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
	if i, ok := s.byID[vl.id]; ok {
		vl.local, l = i, &s.lanes[i]
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
	if n.leaf != 0 {
		payload = s.tree.dot(at, laneIndex, it.seq).payload
	}
	return string(it.payload) == payload && m.view.match(s.tree, it.def, at)
}

// match reports whether a node named by the delta is the node at a slot, and remembers it if so.
func (v *view) match(t *tree, i uint32, at slot) bool {
	for {
		d := &v.defs[i]
		if d.slot != noSlot || at == rootSlot {
			return d.slot == at
		}
		n := t.at(at)
		if d.shape != n.shape || string(d.key) != n.key {
			return false
		}
		// Remembered before the ancestors are compared: a mismatch ends the merge anyway.
		d.slot = at
		i, at = d.parent, n.parent
	}
}

// checkItem compares an event with the types that the store was opened with.
func (v *view) checkItem(it *item) error {
	if err := v.checkSchema(it.def); err != nil {
		return err
	}
	if sc := v.defs[it.def].schema; sc != nil {
		if err := sc.checkPayload(it.payload); err != nil {
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
	key := fmt.Sprintf("%q", d.key)
	if v.defs[d.parent].shape.kind == kindStruct {
		if tag, n := binary.Uvarint(d.key); n > 0 {
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
	up := v.defs[d.parent].schema
	if up == nil {
		return nil // nobody has opened it here: it is kept and passed on as it is
	}
	if err := up.checkKey(d.key); err != nil {
		return &SchemaError{Path: v.path(i), Have: describe(up.shape), Got: "key of another type (" + err.Error() + ")"}
	}
	d.schema = up.child(d.key)
	if d.schema != nil && d.schema.shape != d.shape {
		return &SchemaError{Path: v.path(i), Have: describe(d.schema.shape), Got: describe(d.shape)}
	}
	return nil
}

// apply takes in what check found to be new.
func (m *merger) apply(s *Store, learn bool) (fresh Delta, changed bool, err error) {
	v := &m.view
	var keys keeper
	for i := range v.items {
		if it := &v.items[i]; it.fresh {
			keys.want += len(v.defs[it.def].key) + len(it.payload)
		}
	}
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
		for k := vl.item0; k < vl.item1; k++ {
			if it := &v.items[k]; it.fresh {
				if vl.local == s.own {
					s.tallies.complete = false // its own past
				}
				s.attach(vl.local, it.seq, v.place(s.tree, it.def, &keys), keys.keep(it.payload))
			}
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
	return fresh, changed, nil
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
		var isNew bool
		if d.slot, isNew = ensure(t, up, d.shape, d.key); isNew {
			t.at(d.slot).key = keys.keep(d.key)
		}
	}
	return d.slot
}

// shrink lets go of the buffers of a delta that is big beside the state.
func (m *merger) shrink(s *Store) {
	keep := max(1<<12, int(s.tree.count))
	if cap(m.view.items) > keep || cap(m.view.defs) > keep {
		m.view = view{}
	}
	if cap(m.over) > keep {
		m.over = nil
	}
}

// keeper turns keys and payloads of a delta into strings. It copies them into common blocks, so
// that a hundred thousand keys are a handful of allocations.
type keeper struct {
	block strings.Builder
	want  int // bytes still to come
}

const blockSize = 64 << 10

func (k *keeper) keep(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if k.block.Cap()-k.block.Len() < len(b) {
		k.block = strings.Builder{}
		k.block.Grow(max(min(k.want, blockSize), len(b)))
	}
	k.want -= len(b)
	from := k.block.Len()
	k.block.Write(b)
	return k.block.String()[from:]
}
