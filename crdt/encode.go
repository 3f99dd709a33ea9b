package crdt

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/go-calm/calm/internal/interval"
)

// part is what a delta tells of one lane: the events, and which entries of the lane live of those.
type part struct {
	lane  int
	seen  interval.Set
	spans []span // ascending
}

// span is the entries from (included) to to (excluded) of lane.seqs; dead ones are passed over.
type span struct{ from, to int }

// encoder writes deltas. It is kept for its buffers.
type encoder struct {
	buf   []byte
	named []slot          // nodes named so far, in order: the number of named[i] is i+1
	block []byte          // what is left of where small deltas are put
	big   bool            // index is used instead of named
	index []uint32        // by slot, the number of a node, 0 if it is not named; nil if none can be named twice
	small map[slot]uint32 // is instead of index, if the delta is small beside the state; else nil
	keep  bool            // index is kept from one delta to the next, until free: see Store.split
	dirty []slot          // of index, if it is kept
	count uint32          // of nodes named
	width int             // bytes an event in the last big one
	chain []slot
	head  []byte
	past  []byte // what the next delta took the place of
}

// encode writes a delta. Parts need not be sorted; they are after it.
func (e *encoder) encode(s *Store, parts []part) Delta {
	if len(parts) > 1 {
		slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(s.lanes[a.lane].id, s.lanes[b.lane].id) })
	}
	for i := range parts {
		s.together(&parts[i])
	}
	parts = slices.DeleteFunc(parts, func(p part) bool { return p.seen.IsEmpty() })
	if len(parts) == 0 {
		return Delta{}
	}
	root := s.tree.at(rootSlot).shape
	b := append(e.buf[:0], magic0, magic1, version, byte(root.kind), root.codec)
	b = binary.AppendUvarint(b, uint64(len(parts)))
	live := 0
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(s.lanes[p.lane].id))
		for _, sp := range p.spans {
			live += sp.to - sp.from
		}
	}
	e.named, e.count, e.big = e.named[:0], 0, live > 32
	if e.big {
		// As wide as the last time, within reason: the values then may have been large ones.
		b = slices.Grow(b, int(min(uint64(live+2)*uint64(max(16, e.width)), uint64(16*live)+1<<20)))
	}
	if e.big && !e.keep && uint32(live) < s.tree.count/64 {
		e.small = map[slot]uint32{}
	}
	for i := range parts {
		b = e.part(b, s, &parts[i])
	}
	e.forget()
	if e.big {
		e.width = (len(b)+checksumLen)/live + 1
	}
	var d Delta
	e.finish(&d, b, e.past)
	return d
}

// finish ends a delta that was written into the buffer.
func (e *encoder) finish(d *Delta, b, past []byte) {
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if cap(b) > 1<<16 { // do not sit on the buffer of a rare big one
		e.buf = nil
		if cap(b)-len(b) > len(b)/4 {
			b = slices.Clone(b)
		}
		d.b, d.past = slices.Clip(b), slices.Clone(past)
		return
	}
	e.buf = spare(b, 1<<10)
	n := len(b) + len(past)
	var both []byte
	if n > smallDelta {
		both = make([]byte, n)
	} else {
		if n > len(e.block) {
			e.block = make([]byte, deltaBlock)
		}
		both, e.block = e.block[:n:n], e.block[n:]
	}
	copy(both[copy(both, b):], past)
	if d.b = both[:len(b):len(b)]; len(past) > 0 {
		d.past = both[len(b):]
	}
}

// Deltas of up to smallDelta bytes share blocks of deltaBlock: most are short and soon forgotten.
const smallDelta, deltaBlock = 128, 1 << 10

// one writes to d what encode would write, quicker, of an update that made one event, if all that it tells
// is of the own lane: what was told of it, and that its newest event lives. It may decline.
func (e *encoder) one(d *Delta, s *Store, told []interval.Range, past []byte) bool {
	l := &s.lanes[s.own]
	last := len(l.seqs) - 1
	if last < 0 || l.slots[last] == noSlot || l.seqs[last] != told[len(told)-1].Hi || len(l.fused.list) > 0 {
		return false
	}
	seq, at := l.seqs[last], l.slots[last]
	root := s.tree.at(rootSlot).shape
	b := append(e.buf[:0], magic0, magic1, version, byte(root.kind), root.codec, 1)
	b = binary.BigEndian.AppendUint64(b, uint64(l.id))
	from := len(b)
	if b = appendRuns(b, told); told[0].Lo == seq {
		b = append(b, b[from:]...) // what is told is what lives
	} else {
		b = append(binary.AppendUvarint(append(b, 1), seq-1), 0)
	}

	n := s.tree.at(at)
	payload := ""
	if n.leaf() != 0 {
		payload = s.tree.dot(at, uint32(s.own), seq).payload
	}
	head := byte(1 << formBits)
	if payload != "" {
		head |= formFlag
	}
	if at == rootSlot {
		b = append(b, head|formRef, 0)
	} else {
		var up uint64
		b, up = appendPath(b, s.tree, n.parent)
		b = appendNode(b, head|formNew, up, n)
	}
	if payload != "" {
		b = binary.AppendUvarint(b, uint64(len(payload)))
		b = append(b, payload...)
	}
	e.finish(d, b, past)
	return true
}

// appendPath names a node and its ancestors in a delta that has named none, and returns its number.
func appendPath(b []byte, t *tree, s slot) (_ []byte, number uint64) {
	if s == rootSlot {
		return b, 0
	}
	n := t.at(s)
	b, up := appendPath(b, t, n.parent)
	return appendNode(b, 1<<formBits|formInner, up, n), up + 1
}

// appendNode names one node, in a group of its own.
func appendNode(b []byte, head byte, up uint64, n *node) []byte {
	b = binary.AppendUvarint(append(b, head), up)
	b = append(b, byte(n.shape.kind), n.shape.codec)
	b = binary.AppendUvarint(b, uint64(len(n.key)))
	return append(b, n.key...)
}

func (e *encoder) part(b []byte, s *Store, p *part) []byte {
	l := &s.lanes[p.lane]
	b = appendRuns(b, p.seen.Runs())
	b = e.liveRuns(b, l, p.spans)
	w := groupWriter{encoder: e, tree: s.tree, b: b}
	for _, sp := range p.spans {
		for i := sp.from; i < sp.to; i++ {
			if i = w.elements(l.slots, i, sp.to); i < sp.to && l.slots[i] != noSlot {
				w.event(uint32(p.lane), l.seqs[i], l.slots[i])
			}
		}
	}
	w.flush()
	return w.b
}

// liveRuns writes the runs of the live events of spans.
func (e *encoder) liveRuns(b []byte, l *lane, spans []span) []byte {
	if len(spans) == 1 && spans[0].to-spans[0].from == 1 && l.slots[spans[0].from] != noSlot {
		return append(binary.AppendUvarint(append(b, 1), l.seqs[spans[0].from]-1), 0)
	}
	// Two passes, to write the number of runs before them: one to count, one to write.
	count := uint64(0)
	for pass := range 2 {
		if pass == 1 {
			b = binary.AppendUvarint(b, count)
		}
		next, run := uint64(1), interval.Range{}
		end := func() {
			switch {
			case run.Lo == 0:
			case pass == 0:
				count++
			default:
				b = binary.AppendUvarint(b, run.Lo-next)
				b = binary.AppendUvarint(b, run.Hi-run.Lo)
				next = run.Hi + 2
			}
		}
		for _, sp := range spans {
			for i := sp.from; i < sp.to; {
				if l.slots[i] == noSlot {
					i++
					continue
				}
				from := i
				i = l.dense(i, sp.to)
				if run.Lo == 0 || l.seqs[from] != run.Hi+1 {
					end()
					run.Lo = l.seqs[from]
				}
				run.Hi = l.seqs[i-1]
			}
		}
		end()
	}
	return b
}

// number returns a node's number in the delta, if it was named.
func (e *encoder) number(s slot) (uint64, bool) {
	if s == rootSlot {
		return 0, true
	}
	if e.big {
		n := uint32(0)
		if e.small != nil {
			n = e.small[s]
		} else if e.index != nil {
			n = e.index[s]
		}
		return uint64(n), n != 0
	}
	i := slices.Index(e.named, s)
	return uint64(i + 1), i >= 0
}

// name numbers a node, of so many.
func (e *encoder) name(s slot, n *node, nodes uint32) {
	e.count++
	switch {
	case !e.big:
		e.named = append(e.named, s)
	case n.alone: // one event and nothing below: it is not named again
	case e.small != nil:
		e.small[s] = e.count
	default:
		if e.index == nil {
			e.index = make([]uint32, nodes)
		}
		e.index[s] = e.count
		if e.keep {
			e.dirty = append(e.dirty, s)
		}
	}
}

// forget makes the index that of a delta which has named nothing.
func (e *encoder) forget() {
	if e.small = nil; !e.keep {
		e.index = nil
	}
	for _, s := range e.dirty {
		e.index[s] = 0
	}
	e.dirty = e.dirty[:0]
}

// free ends what keep began.
func (e *encoder) free() { e.keep, e.index, e.dirty = false, nil, nil }

// groupWriter collects events into groups that are as long as they can be, so that equal states
// have equal bytes.
type groupWriter struct {
	*encoder
	tree *tree
	b    []byte

	form   uint64
	parent slot
	shape  shape
	n      uint64 // events in the group
	body   int    // where the group's entries start in b; its head is put before them at the end
}

// elements adds to the current group for as long as events are those of plain elements, as nearly all
// of a big set's are, and returns where it stopped.
func (w *groupWriter) elements(slots []slot, i, to int) int {
	if w.n == 0 || w.form != formNew || !w.big {
		return i
	}
	b, written := w.b, 0
elements:
	for i < to {
		if slots[i] == noSlot {
			i++
			continue
		}
		row := w.tree.row(slots[i:to])
		for k := range row {
			n := &row[k]
			if !n.alone || n.parent != w.parent || n.shape != w.shape || len(n.key) >= 0x80 {
				break elements
			}
			b = append(append(b, byte(len(n.key))), n.key...)
			written++
			i++
		}
	}
	w.b = b
	w.n += uint64(written)
	w.encoder.count += uint32(written)
	return i
}

func (w *groupWriter) event(laneIndex uint32, seq uint64, s slot) {
	payload := ""
	n := w.tree.at(s)
	if n.leaf() != 0 {
		payload = w.tree.dot(s, laneIndex, seq).payload
	}
	form := uint64(formNew)
	ref, named := w.number(s)
	if named {
		form = formRef
	}
	if payload != "" {
		form |= formFlag
	}
	if w.n == 0 || w.form != form || !named && (w.parent != n.parent || w.shape != n.shape) {
		w.flush()
		w.form, w.parent, w.shape = form, n.parent, n.shape
		if !named {
			w.path(n.parent)
		}
		w.body = len(w.b)
	}
	w.n++
	if named {
		w.b = binary.AppendUvarint(w.b, ref)
	} else {
		w.b = binary.AppendUvarint(w.b, uint64(len(n.key)))
		w.b = append(w.b, n.key...)
		w.name(s, n, w.tree.count)
	}
	if payload != "" {
		w.b = binary.AppendUvarint(w.b, uint64(len(payload)))
		w.b = append(w.b, payload...)
	}
}

// path names the nodes from the root to s that are not named yet.
func (w *groupWriter) path(s slot) {
	w.chain = w.chain[:0]
	for ; ; s = w.tree.at(s).parent {
		if _, ok := w.number(s); ok {
			break
		}
		w.chain = append(w.chain, s)
	}
	for _, s := range slices.Backward(w.chain) {
		n := w.tree.at(s)
		ref, _ := w.number(n.parent)
		w.b = binary.AppendUvarint(w.b, 1<<formBits|formInner)
		w.b = binary.AppendUvarint(w.b, ref)
		w.b = append(w.b, byte(n.shape.kind), n.shape.codec)
		w.b = binary.AppendUvarint(w.b, uint64(len(n.key)))
		w.b = append(w.b, n.key...)
		w.name(s, n, w.tree.count)
	}
}

// flush puts the head of the current group before its entries.
func (w *groupWriter) flush() {
	if w.n == 0 {
		return
	}
	w.head = binary.AppendUvarint(w.head[:0], w.n<<formBits|w.form)
	if w.form&^formFlag == formNew {
		ref, _ := w.number(w.parent)
		w.head = binary.AppendUvarint(w.head, ref)
		w.head = append(w.head, byte(w.shape.kind), w.shape.codec)
	}
	end := len(w.b)
	w.b = append(w.b, w.head...)
	copy(w.b[w.body+len(w.head):], w.b[w.body:end])
	copy(w.b[w.body:], w.head)
	w.n = 0
}
