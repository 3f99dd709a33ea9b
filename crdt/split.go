package crdt

import (
	"cmp"
	"slices"

	"github.com/go-calm/calm/internal/interval"
)

// split yields deltas of at most size bytes, or of one event, that together tell of the events of which
// first tells and then of those of then, none of which lives. It reports whether it was stopped before
// the end. It changes nothing of the lists but their order.
func (s *Store) split(first, then []part, size int, yield func(Delta) bool) (more bool) {
	size = min(size, 1<<30)
	s.encoder.free() // of what an earlier delta has named
	s.encoder.keep = true
	defer s.encoder.free()
	c := cutter{store: s, lists: [2][]part{first, then}}
	for _, parts := range c.lists {
		slices.SortFunc(parts, func(a, b part) int { return cmp.Compare(s.lanes[a.lane].id, s.lanes[b.lane].id) })
	}
	c.skip()
	// The length of a delta is known only once it is written. What was written tells by how much it
	// is longer than what its events hold, which is known before.
	room := float64(size) * 3 / 4 // a first guess: to write too much costs more than a short frame
	for c.more() {
		start := c.place
		pieces, holds, atoms := c.cut(int(room))
		d := s.encoder.encode(s, pieces)
		fits := float64(size) / float64(max(1, d.Len())) * float64(holds) * 31 / 32 // of what is like this
		if d.Len() > size && atoms > 1 {
			c.place, room = start, fits // less than holds: something is left out
			continue
		}
		room = min(fits, 2*max(room, 32), 1<<30)
		if !d.IsZero() && !yield(d) {
			return c.more()
		}
	}
	return false
}

// halves returns two lists of parts: of the events that parts tell those that live, and those that
// are over. Who got the first ones lacks nothing that lives if it gets no more.
func (s *Store) halves(parts []part) (live, over []part) {
	for i := range parts {
		p := part{lane: parts[i].lane}
		l := &s.lanes[p.lane]
		for _, sp := range parts[i].spans {
			for j := sp.from; j < sp.to; j++ {
				if l.slots[j] != noSlot {
					p.seen.Add(l.seqs[j])
				}
			}
		}
		live = append(live, p)
		over = append(over, part{lane: p.lane, seen: parts[i].seen.Minus(p.seen)})
	}
	return live, over
}

// cutter cuts lists of parts into pieces, from the beginning to the end.
type cutter struct {
	store *Store
	lists [2][]part
	place
	pieces []part // of the last cut
}

// place is where a cutter is: at an event that lists[list][part].seen.Runs()[run] holds.
type place struct {
	list, part, run int
	next            uint64 // the event, or one before the run
	entry           int    // an entry of the lane that is not after the event
}

func (c *cutter) more() bool { return c.list < len(c.lists) }

// skip goes on to where there is something to cut.
func (c *cutter) skip() {
	for ; c.list < len(c.lists); c.list, c.part = c.list+1, 0 {
		for ; c.part < len(c.lists[c.list]); c.part, c.run, c.next, c.entry = c.part+1, 0, 0, 0 {
			if c.run < len(c.lists[c.list][c.part].seen.Runs()) {
				return
			}
		}
	}
}

// What a lane and a run take in a delta, roughly.
const laneBytes, runBytes = 12, 3

// cut cuts off what holds about so many bytes, or one atom: an event that lives, with those after it
// that are over, or events that are over and before any that lives.
func (c *cutter) cut(room int) (pieces []part, holds, atoms int) {
	c.pieces = c.pieces[:0]
	list := c.list
	for ; c.more(); c.skip() {
		if atoms > 0 && holds+laneBytes+runBytes > room {
			break
		}
		p := &c.lists[c.list][c.part]
		c.pieces = append(c.pieces, part{lane: p.lane})
		holds += laneBytes
		if !c.cutPart(&c.pieces[len(c.pieces)-1], p.seen.Runs(), room, &holds, &atoms) {
			break
		}
	}
	if c.list > list { // a lane may be in both lists
		slices.SortStableFunc(c.pieces, func(a, b part) int { return cmp.Compare(a.lane, b.lane) })
		n := 0
		for _, p := range c.pieces {
			if n > 0 && c.pieces[n-1].lane == p.lane {
				c.pieces[n-1].seen.Merge(p.seen)
				continue // nothing of the second list lives
			}
			c.pieces[n], n = p, n+1
		}
		c.pieces = c.pieces[:n]
	}
	return c.pieces, holds, atoms
}

// cutPart cuts off a part with these runs, and reports whether all of it.
func (c *cutter) cutPart(piece *part, runs []interval.Range, room int, holds, atoms *int) bool {
	l := &c.store.lanes[piece.lane]
	for ; c.run < len(runs); c.run++ {
		if *atoms > 0 && *holds+runBytes > room {
			return false
		}
		*holds += runBytes
		r := runs[c.run]
		lo := max(r.Lo, c.next)
		c.entry = l.find(lo, c.entry)
		from, told, lives := c.entry, false, false
		for ; c.entry < len(l.seqs) && l.seqs[c.entry] <= r.Hi; c.entry++ {
			seq, at := l.seqs[c.entry], l.slots[c.entry]
			if at == noSlot {
				continue
			}
			if !told && seq > lo {
				*atoms++ // what is over before it
			}
			n := c.store.tree.at(at)
			size := 1 + len(n.key)
			if n.leaf() != 0 {
				size += 1 + len(c.store.tree.dot(at, uint32(piece.lane), seq).payload)
			}
			if *atoms > 0 && *holds+size > room {
				piece.take(lo, seq-1, span{from, c.entry}, lives)
				c.next = seq
				return false
			}
			told, lives = true, true
			*atoms++
			*holds += size
		}
		if !told {
			*atoms++
		}
		piece.take(lo, r.Hi, span{from, c.entry}, lives)
		c.next = r.Hi + 1
	}
	return true
}

// take adds events to a piece, after all that it has, and the entries of their lane if any of them lives.
func (p *part) take(lo, hi uint64, sp span, lives bool) {
	p.seen.AddRange(lo, hi)
	switch last := len(p.spans) - 1; {
	case !lives:
	case last >= 0 && p.spans[last].to == sp.from:
		p.spans[last].to = sp.to
	default:
		p.spans = append(p.spans, sp)
	}
}
