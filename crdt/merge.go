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
	return s.merge(&d, nil)
}

// Learn is Merge, and returns what was new: the part of d that is worth forwarding to others.
func (s *Store) Learn(d Delta) (fresh Delta, err error) {
	_, err = s.merge(&d, &fresh)
	return fresh, err
}

// merge takes in a delta and, if fresh is given, sets it to what was new.
func (s *Store) merge(d, fresh *Delta) (changed bool, err error) {
	if d.IsZero() {
		return false, nil
	}
	if s.tx.depth > 0 {
		panic("crdt: Merge inside Update")
	}
	m := &s.merger
	h, known := m.known.find(s, d.b)
	if known {
		return false, nil
	}
	if len(d.b) >= big && m.skimmer.knows(s, d.b) {
		m.known.add(h)
		return false, nil
	}
	if err := m.view.read(d.b); err != nil {
		return false, err // cannot be: a Delta holds what was checked
	}
	if err = m.check(s); err == nil {
		err = m.log(s, d.b)
	}
	if err == nil {
		if len(s.watch.observers) > 0 {
			m.look(s)
		}
		changed = m.apply(s, fresh)
		m.known.add(h)
	}
	m.shrink()
	if err == nil && len(s.watch.observers) > 0 {
		s.tell(false)
	}
	return changed, err
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
func (k *known) find(s *Store, b []byte) (h uint64, ok bool) {
	if len(b) < big {
		return 0, false
	}
	h = maphash.Bytes(s.tree.table.seed, b) | 1
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
	v.defs[0].slot, v.families[0].known, v.families[0].schema = rootSlot, true, s.schema
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
	vl.fresh0 = len(v.fresh)
	at := 0
	k, done := 0, uint32(0) // items before k, and so many events of the k-th, were looked at
	for _, r := range ranges {
		for at = l.find(r.Lo, at); ; {
			var it *item
			var seq uint64 // of it, where done is
			if k < len(items) {
				it = &items[k]
				if seq = it.seq + uint64(done); seq > r.Hi {
					it = nil
				}
			}
			here, step := at < len(l.seqs) && l.seqs[at] <= r.Hi, uint32(0)
			switch {
			case here && l.slots[at] == noSlot:
				at++
			case here && (it == nil || l.seqs[at] < seq):
				m.over = append(m.over, located{vl.local, l.seqs[at]})
				at++
			case here && l.seqs[at] == seq:
				if !m.same(s, uint32(vl.local), it.part(done, 1), l.slots[at]) {
					return &EquivocationError{Dot: Dot{Node: vl.id, N: seq}}
				}
				at++
				step = 1
			case it != nil:
				// All that neither lives here nor differs in whether it was seen.
				seen, last := l.seen.Until(seq)
				if here {
					last = min(last, l.seqs[at]-1)
				}
				step = uint32(min(uint64(it.n-done-1), last-seq)) + 1
				if !seen {
					v.expect(vl.item0 + k)
					if err := m.gain(l, it.part(done, step)); err != nil {
						return err
					}
				}
			}
			if it == nil && !here {
				break
			}
			if done += step; it != nil && done == it.n {
				k, done = k+1, 0
			}
		}
		// What absorbed an event goes with it, if who tells that it is over did not know: see Compact.
		if len(l.fused.list) > 0 {
			l.absorbers(r.Lo, r.Hi, func(upto, by uint64) {
				if !vl.tells(v, by) && !vl.lives(v, upto) {
					m.over = append(m.over, located{vl.local, by})
				}
			})
		}
	}
	vl.fresh1 = len(v.fresh)
	return nil
}

// gain checks events that were not seen here before and counts them as fresh.
func (m *merger) gain(l *lane, it *item) error {
	v := &m.view
	f := v.family(it.def)
	if !f.known {
		if err := v.open(f); err != nil {
			return err
		}
	}
	if f.strict {
		if err := v.checkItem(f, it); err != nil {
			return err
		}
	}
	if it.payload != 0 {
		if took := v.absorbed(it); took.Hi > 0 {
			m.absorbs = true
			if _, lives := l.lookup(took.Hi); !lives && l.seen.Has(took.Hi) {
				return nil // what it absorbed was reset: see Compact
			}
		}
	}
	v.fresh = append(v.fresh, *it)
	return nil
}

// same reports whether an event that lives on both sides is told in the same way.
func (m *merger) same(s *Store, laneIndex uint32, it *item, at slot) bool {
	n := s.tree.at(at)
	payload := ""
	if n.leaf() != 0 {
		payload = s.tree.dot(at, laneIndex, it.seq).payload
	}
	return string(m.view.payload(it)) == payload && m.view.match(s.tree, it.def, at)
}

// match reports whether a node named by the delta is the node at a slot, and remembers it if so.
func (v *view) match(t *tree, i uint32, at slot) bool {
	for {
		d := &v.defs[i]
		if d.slot != noSlot || at == rootSlot {
			return d.slot == at
		}
		n, f := t.at(at), v.family(i)
		if f.shape != n.shape || string(v.key(i)) != n.key {
			return false
		}
		// Remembered before the ancestors are compared: a mismatch ends the merge anyway.
		d.slot = at
		i, at = f.parent, n.parent
	}
}

// open compares the shape of a family, and all of the nodes above it, with the types that the store was
// opened with.
func (v *view) open(f *family) error {
	up := v.family(f.parent)
	if !up.known {
		if err := v.open(up); err != nil {
			return err
		}
	}
	if up.strict {
		if err := v.checkKey(up, f.parent); err != nil {
			return err
		}
	}
	f.known = true
	if up.schema == nil {
		return nil // nobody has opened it here: it is kept and passed on as it is
	}
	f.keys, f.schema = up.schema, up.schema.child(v.key(f.first))
	if sc := f.schema; sc != nil && sc.shape != f.shape {
		return &SchemaError{Path: v.path(f.first), Have: describe(sc.shape), Got: describe(f.shape)}
	}
	f.strict = f.keys.key.check != nil || f.schema != nil && f.schema.value.check != nil
	return nil
}

// checkItem compares events of a family with the types that the store was opened with.
func (v *view) checkItem(f *family, it *item) error {
	for i := range it.n {
		if err := v.checkKey(f, it.def+i); err != nil {
			return err
		}
	}
	if f.schema != nil {
		if err := f.schema.checkPayload(v.payload(it)); err != nil {
			return &SchemaError{Path: v.path(it.def), Have: describe(f.shape), Got: "value of another type (" + err.Error() + ")"}
		}
	}
	return nil
}

func (v *view) checkKey(f *family, i uint32) error {
	if f.keys == nil {
		return nil
	}
	if err := f.keys.checkKey(v.key(i)); err != nil {
		return &SchemaError{Path: v.path(i), Have: describe(f.keys.shape), Got: "key of another type (" + err.Error() + ")"}
	}
	return nil
}

// path tells where a node is, for people.
func (v *view) path(i uint32) string {
	if i == 0 {
		return "the root"
	}
	up := v.family(i).parent
	key := fmt.Sprintf("%q", v.key(i))
	if v.shape(up).kind == kindStruct {
		if tag, n := binary.Uvarint(v.key(i)); n > 0 {
			key = fmt.Sprintf("field %d", tag)
		}
	}
	if up == 0 {
		return key
	}
	return v.path(up) + " › " + key
}

// apply takes in what check found to be new.
func (m *merger) apply(s *Store, fresh *Delta) (changed bool) {
	v := &m.view
	m.keys.begin(v)
	defer m.keys.end()
	s.tree.coming = 0
	for i := range v.fresh {
		s.tree.coming += int(v.fresh[i].n)
	}
	m.gained = m.gained[:0]
	for i := range v.lanes {
		vl := &v.lanes[i]
		ranges := v.ranges[vl.range0:vl.range1]
		if vl.local < 0 {
			vl.local = s.lane(vl.id)
		}
		news := vl.fresh0 < vl.fresh1
		for _, r := range ranges {
			news = news || !s.lanes[vl.local].seen.ContainsRange(r.Lo, r.Hi)
		}
		if !news {
			continue
		}
		changed = true
		if fresh != nil {
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
	if fresh != nil {
		*fresh = m.fresh(s)
	}
	return changed
}

// attach puts the new events of a lane where they live, and reports whether there are any.
func (m *merger) attach(s *Store, vl *viewLane) bool {
	v, l := &m.view, &s.lanes[vl.local]
	fresh := v.fresh[vl.fresh0:vl.fresh1]
	s.version++
	for i := range fresh {
		it := &fresh[i]
		d := dot{lane: uint32(vl.local), seq: it.seq}
		if it.payload != 0 {
			d.payload = m.keys.keep(v.text(it.payload))
		}
		for k := range it.n {
			l.living += mix(uint64(l.id) ^ mix(d.seq))
			s.tree.attach(v.place(s.tree, it.def+k, &m.keys), d)
			d.seq++
		}
	}
	l.insertFresh(v, fresh)
	if m.absorbs {
		for i := range fresh {
			if took := v.absorbed(&fresh[i]); took.Hi > 0 {
				l.absorb(took.Hi, fresh[i].seq)
			}
		}
	}
	return len(fresh) > 0
}

// insertFresh records where the new events live.
func (l *lane) insertFresh(v *view, fresh []item) {
	n := 0
	for i := range fresh {
		n += int(fresh[i].n)
	}
	old := len(l.seqs)
	if old > 32 && n > 0 && l.last(fresh[len(fresh)-1].seq) < old/2 {
		l.insertBefore(v, fresh, n)
		return
	}
	l.grow(n)
	l.seqs, l.slots = l.seqs[:old+n], l.slots[:old+n]
	// From the end on, so that what is there moves once.
	i, to := old, old+n
	for k := len(fresh) - 1; k >= 0; k-- {
		it := &fresh[k]
		for ; i > 0 && l.seqs[i-1] > it.seq; i-- { // nothing lives between them
			to--
			l.seqs[to], l.slots[to] = l.seqs[i-1], l.slots[i-1]
		}
		to -= int(it.n)
		l.putRun(to, v, it)
	}
}

// insertBefore is insertFresh where most of what is there comes after what is new: what comes before the
// last of that moves to the front.
func (l *lane) insertBefore(v *view, fresh []item, n int) {
	l.retreat(n)
	to, from := 0, n
	for k := range fresh {
		it := &fresh[k]
		before := l.find(it.seq, from)
		copy(l.slots[to:], l.slots[from:before])
		to, from = to+copy(l.seqs[to:], l.seqs[from:before]), before
		to += l.putRun(to, v, it)
	}
}

// putRun writes the entries of events and returns how many they are.
func (l *lane) putRun(at int, v *view, it *item) int {
	for k, d := range v.defs[it.def : it.def+it.n] {
		l.seqs[at+k], l.slots[at+k] = it.seq+uint64(k), d.slot
	}
	return int(it.n)
}

// absorb ends what the new events have absorbed, where the delta did not tell of it.
func (m *merger) absorb(s *Store) {
	v := &m.view
	mark := len(m.over)
	for i := range v.lanes {
		vl := &v.lanes[i]
		for k := vl.fresh0; k < vl.fresh1; k++ {
			it := &v.fresh[k]
			took := v.absorbed(it)
			if took.Hi == 0 {
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
		f := v.family(i)
		up := v.defs[f.parent].slot
		if up == noSlot {
			up = v.place(t, f.parent, keys)
		}
		key := v.text(d.key)
		h := t.table.hashBytes(up, f.shape, v.bytes(key))
		var known bool
		if d.slot, known = find(t, h, up, f.shape, v.bytes(key)); !known {
			d.slot = t.create(h, up, f.shape, keys.keep(key))
		}
	}
	return d.slot
}

// shrink lets go of buffers that are long beside what was merged.
func (m *merger) shrink() {
	m.view.b = nil
	if m.view.isLong() {
		m.view = view{}
	}
	m.over, m.gained = spare(m.over, 64), spare(m.gained, 64)
}

// isLong reports whether one of the slices is longer than spare would keep.
func (v *view) isLong() bool {
	return isLong(v.items, 64) || isLong(v.defs, 64) || isLong(v.families, 64) ||
		isLong(v.lanes, 64) || isLong(v.ranges, 64) || isLong(v.fresh, 64)
}

// spare returns a buffer for the next time, unless it has become a long one: an idle store keeps little,
// and never more than in proportion to what it did last.
func spare[T any](s []T, little int) []T {
	if isLong(s, little) {
		return nil
	}
	return s[:0]
}

func isLong[T any](s []T, little int) bool {
	return cap(s) > little && (cap(s) > 4*len(s) || cap(s) > 64*little)
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

// begin makes ready for the keys and payloads of what is fresh.
func (k *keeper) begin(v *view) {
	if k.b, k.want = v.b, 0; len(v.b) <= minBlock {
		return // one block will do
	}
	for i := range v.fresh {
		it := &v.fresh[i]
		k.want += len(v.payload(it))
		if it.def != 0 { // keys of several stand one after the other, each with its length before it
			last := v.text(v.defs[it.def+it.n-1].key)
			k.want += int(last.from+last.len-v.defs[it.def].key) - int(it.n)
		}
	}
}

func (k *keeper) end() {
	if k.b, k.want, k.stretch = nil, 0, ""; k.block.Cap() > minBlock {
		k.block = strings.Builder{} // it is full, or nearly
	}
}

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
