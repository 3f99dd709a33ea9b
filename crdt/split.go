package crdt

import "github.com/go-calm/calm/internal/interval"

// split yields deltas of at most about size bytes that together tell what parts tell: first what
// lives, then what is over.
func (s *Store) split(parts []part, size int, yield func(Delta) bool) {
	s.encoder.keep = true
	defer s.encoder.free()
	// The length of a delta is known only once it is written: write as many events as will likely
	// do, halve while it is too long, and go on with twice as many after a short one.
	guess := max(1, size/16)
	for i := range parts {
		p := &parts[i]
		l := &s.lanes[p.lane]
		var lives []interval.Range
		told := 0
		for _, sp := range p.spans {
			for from := sp.from; from < sp.to; {
				to := min(from+guess, sp.to)
				piece := part{lane: p.lane, spans: []span{{from, to}}}
				for j := from; j < to; j++ {
					if l.slots[j] != noSlot {
						piece.seen.Add(l.seqs[j])
					}
				}
				lives = append(lives[:told], piece.seen.Runs()...)
				d := s.encoder.encode(s, []part{piece})
				if d.Len() > size && to-from > 1 {
					guess = max(1, (to-from)/2)
					continue
				}
				told = len(lives)
				if !d.IsZero() && !yield(d) {
					return
				}
				if d.Len() < size/2 {
					guess = min(2*guess, size) // no frame holds more: an event takes a byte
				}
				from = to
			}
		}
		p.seen = p.seen.Minus(interval.Of(lives...))
	}
	guess = max(1, size/20)
	for _, p := range parts {
		for runs := p.seen.Runs(); len(runs) > 0; {
			k := min(guess, len(runs))
			d := s.encoder.encode(s, []part{{lane: p.lane, seen: interval.Of(runs[:k]...)}})
			if d.Len() > size && k > 1 {
				guess = max(1, k/2)
				continue
			}
			if !yield(d) {
				return
			}
			runs = runs[k:]
		}
	}
}
