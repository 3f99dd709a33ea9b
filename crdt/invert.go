package crdt

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/go-calm/calm/internal/wire"
)

// Invert undoes a delta: it makes a change that gives back the values from before d, and returns its
// delta. With nothing else changed since, all values are what they were; inverting the returned delta
// does d again.
//
// What others did meanwhile survives, seen here or not: undoing says that d's events are over and
// makes anew those that d took the place of, as if d had not been.
//   - Elements that d added are out of the set, unless somebody else added them too; those it removed
//     are in. Flags alike.
//   - What d added to a [Counter] is off it, and what it removed of one is back, beside what others added.
//   - A register has its former values, with the stamps they had, unless it holds a write that d had
//     not seen: then that one stays alone. If it comes later, a multi-value register holds both.
//   - Of what d added to a counter and [Store.Compact] has fused since, the opposite is added, which is
//     an addition like any other: a removal that has not seen it leaves it. This is done for d of this
//     replica, if what it made is among the last 4096 events that this process fused; else nothing happens.
//   - Where d was overtaken, because somebody who saw it wrote, removed or added again there, nothing
//     happens.
//
// What only grows does not go back: a [GSet] or [GCounter] at the root, a removal from a
// [TwoPhaseSet] at the root, rights that were transferred; a [BoundedCounter] gives back as much as
// this replica has rights to.
//
// d is a delta of this store. What it took the place of is known if it is what a mutator, Update or
// Invert of this process returned; it is no part of the wire form. Of another delta only what it made
// is undone, and of a counter at the root nothing; of a delta that Merge would refuse for its type at
// the root, nothing either. Invert costs what d did.
func (s *Store) Invert(d Delta) Delta {
	if d.IsZero() {
		return Delta{}
	}
	var v view
	if err := v.read(d.b); err != nil || v.root != s.tree.at(rootSlot).shape {
		return Delta{} // nothing of it can be here
	}
	s.begin()
	for _, u := range s.undoings(&v, d.past) {
		s.undo(&u)
	}
	return s.end()
}

// undoing is what is to be undone at one leaf.
type undoing struct {
	steps []step
	made  []event
	ended []event
	seen  []located // what it saw there and let live
	gap   bool      // it ended more than is known
}

// event is an event with what it brought.
type event struct {
	located
	payload string
}

// undoings returns what a delta did at each leaf, ascending.
func (s *Store) undoings(v *view, past []byte) []undoing {
	var us []undoing
	index := map[string]int{}
	at := func(steps []step) *undoing {
		key := string(appendSteps(nil, steps))
		i, ok := index[key]
		if !ok {
			i = len(us)
			index[key] = i
			us = append(us, undoing{steps: steps})
		}
		return &us[i]
	}
	told, known := uint64(0), 0
	for i := range v.lanes {
		vl := &v.lanes[i]
		for _, r := range v.ranges[vl.range0:vl.range1] {
			told += r.Hi - r.Lo + 1
		}
		local, ok := s.byID[vl.id]
		if !ok {
			local = -1 // it was never merged here
		}
		for _, it := range v.items[vl.item0:vl.item1] {
			for i := range it.n {
				u := at(v.steps(it.def + i))
				u.made = append(u.made, event{located{local, it.seq + uint64(i)}, string(v.payload(&it))})
			}
			known += int(it.n)
		}
	}
	eachPast(past, func(steps []step, e event, lives bool) {
		u := at(steps)
		if lives {
			u.seen = append(u.seen, e.located)
			return
		}
		u.ended = append(u.ended, e)
		known++
	})
	for i := range us {
		us[i].gap = uint64(known) < told
	}
	slices.SortFunc(us, func(a, b undoing) int { return slices.CompareFunc(a.steps, b.steps, compareSteps) })
	return us
}

func (s *Store) undo(u *undoing) {
	kind := s.tree.at(rootSlot).shape.kind
	if len(u.steps) > 0 {
		kind = u.steps[len(u.steps)-1].shape.kind
	}
	switch {
	case !kind.isLeaf() || !s.fits(u.steps):
		return
	case kind == kindTotal || kind == kindBounded:
		s.undoTotal(u, kind)
		return
	case kind == kindGTotal:
		return
	case len(u.steps) == 1 && kind == kindGElem,
		len(u.steps) == 1 && kind == kindTwoPhaseElem && slices.ContainsFunc(u.made, func(e event) bool { return e.payload == removed }):
		return
	}
	at, there := s.tree.findSteps(u.steps)
	var live []located // of those made
	others := false
	if there {
		s.tree.dots(at, func(d dot) {
			l := located{int(d.lane), d.seq}
			switch {
			case slices.ContainsFunc(u.made, func(e event) bool { return e.located == l }):
				live = append(live, l)
			case !slices.Contains(u.seen, l):
				others = true
			}
		})
	}
	tally := kind.isTally()
	if there && kind == kindCounter && len(live) < len(u.made) {
		s.takeOff(at, u.made)
	}
	if len(u.made) > 0 && len(live) == 0 {
		return // overtaken
	}
	mark := len(s.tx.removed)
	if len(live) > 0 {
		s.touch(at)
		s.tree.dots(at, func(d dot) {
			if ends := slices.Contains(live, located{int(d.lane), d.seq}); ends || !tally {
				s.rememberDot(at, d, !ends)
			}
		})
		s.tx.removed = append(s.tx.removed, live...)
	}
	if tally || !others {
		// First the new ones, so that the leaf does not vanish in between.
		slices.SortFunc(u.ended, func(a, b event) int { return cmp.Compare(a.payload, b.payload) })
		if kind == kindLWW || kind == kindLWWElem {
			u.ended = s.winner(u.ended) // made by one replica, the others could win a tie that they lost
		}
		for i, e := range u.ended {
			switch {
			case tally:
				_, n := binary.Uvarint([]byte(e.payload))
				e.payload = e.payload[:max(n, 0)] // the number alone
			case i > 0 && e.payload == u.ended[i-1].payload:
				continue
			}
			s.mint(s.tree.ensureSteps(u.steps), e.payload)
		}
	}
	s.over(mark)
}

// takeOff takes off a counter what own events brought that Compact has fused since, as far as it
// still counts.
func (s *Store) takeOff(at slot, made []event) {
	sum := int64(0)
	for _, e := range made {
		if e.lane != s.own {
			continue
		}
		by, fused := s.tallies.fates.of(e.seq)
		if !fused {
			continue
		}
		if _, counts := s.lanes[s.own].lookup(by); counts {
			n, _ := binary.Varint([]byte(e.payload))
			sum += n
			s.tallies.fates.takeOff(e.seq, s.tx.first)
		}
	}
	if sum != 0 {
		s.mint(at, string(binary.AppendVarint(nil, -sum)))
	}
}

// winner returns the write that counted of several.
func (s *Store) winner(es []event) []event {
	for i := range es {
		if e, w := es[i], es[0]; s.before(dot{uint32(w.lane), w.seq, w.payload}, dot{uint32(e.lane), e.seq, e.payload}) {
			es[0] = e
		}
	}
	return es[:min(1, len(es))]
}

// undoTotal undoes what a replica added to its total at the root.
func (s *Store) undoTotal(u *undoing, kind kind) {
	made, ended := newestOf(u.made), newestOf(u.ended)
	if made.lane != s.own || u.gap {
		return
	}
	h := Handle{store: s, types: s.schema}
	if kind == kindTotal {
		now, _ := binary.Varint([]byte(made.payload))
		was, _ := binary.Varint([]byte(ended.payload))
		(&Counter{Handle: h}).Add(was - now)
		return
	}
	now, _ := parseEscrow([]byte(made.payload))
	was := escrow{}
	if ended.payload != "" {
		was, _ = parseEscrow([]byte(ended.payload))
	}
	c := &BoundedCounter{h}
	c.Add(now.taken - was.taken)
	_, _ = c.Sub(min(now.added-was.added, c.Rights())) // what it has rights to is not refused
}

func newestOf(es []event) (newest event) {
	newest.lane = -1
	for _, e := range es {
		if e.seq > newest.seq {
			newest = e
		}
	}
	return newest
}

// fits reports whether what the steps lead to is, as far as it is open, what stands there.
func (s *Store) fits(steps []step) bool {
	types := s.schema
	for _, st := range steps {
		if types == nil {
			return true
		}
		if types = types.child([]byte(st.key)); types != nil && types.shape != st.shape {
			return false
		}
	}
	return true
}

func (t *tree) findSteps(steps []step) (at slot, ok bool) {
	for _, st := range steps {
		if at, ok = t.find(at, st.shape, st.key); !ok {
			return 0, false
		}
	}
	return at, true
}

func (t *tree) ensureSteps(steps []step) (at slot) {
	for _, st := range steps {
		at = t.ensure(at, st.shape, st.key)
	}
	return at
}

// ---- the past -----------------------------------------------------------------------------------

// remember notes the events at a leaf that are about to end, so that they can be made again: those
// that which selects, and that were there before the running update.
func (s *Store) remember(at slot, which func(dot) bool) {
	s.tree.dots(at, func(d dot) {
		if which == nil || which(d) {
			s.rememberDot(at, d, false)
		}
	})
}

// rememberDot notes an event that is about to end; or one that is seen and lives on beside what ends,
// so that the latter is known to be no news when it is to be made again.
func (s *Store) rememberDot(at slot, d dot, lives bool) {
	tx := &s.tx
	if !lives && int(d.lane) == s.own && d.seq >= tx.first {
		return // made in this update
	}
	tx.steps = s.tree.steps(tx.steps[:0], at)
	tx.past = appendSteps(tx.past, tx.steps)
	tx.past = binary.AppendUvarint(tx.past, uint64(d.lane))
	tx.past = binary.AppendUvarint(tx.past, d.seq)
	if lives {
		tx.past = append(tx.past, 1, 0)
		return
	}
	tx.past = append(tx.past, 0)
	tx.past = binary.AppendUvarint(tx.past, uint64(len(d.payload)))
	tx.past = append(tx.past, d.payload...)
}

// eachPast calls f for each event that was noted.
func eachPast(past []byte, f func(steps []step, e event, lives bool)) {
	r := wire.NewReader(past)
	for r.Len() > 0 {
		steps := make([]step, 0, r.Uvarint())
		for range cap(steps) {
			sh := shape{kind(r.Byte()), r.Byte()}
			steps = append(steps, step{sh, string(r.Bytes())})
		}
		e := event{located: located{int(r.Uvarint()), r.Uvarint()}}
		lives := r.Byte() == 1
		e.payload = string(r.Bytes())
		f(steps, e, lives)
	}
}
