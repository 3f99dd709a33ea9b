package crdt

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/go-calm/calm/internal/interval"
)

// Answer is what a [Question] leads to at the replica that is asked.
type Answer struct {
	// Patch is for the asker: what it lacks, as far as this question tells, in deltas that fit a message
	// each. They may be merged in any order.
	Patch []Delta
	// More tells that Patch is not all of it. What the asker asks when it has Patch leads to the rest.
	More bool
	// Over is for the replica that is asked, to be learned: events that live here and are over there.
	Over Delta
	// Questions are for the asker, to be answered by it: where the two differ in what is over.
	Questions []Question
	// Lacks tells that the asker has seen events that the replica asked has not. It should ask too.
	Lacks bool
}

// String says what is told, and what is asked in turn.
func (a Answer) String() string {
	told := 0
	for _, d := range a.Patch {
		told += d.Len()
	}
	more := ""
	if a.More {
		more = " and more"
	}
	return fmt.Sprintf("%s in %s%s, %s; over: %v", count(uint64(told), "byte"), count(uint64(len(a.Patch)), "delta"), more,
		count(uint64(len(a.Questions)), "question"), a.Over)
}

// between returns what a set has of lo…hi, at a cost of that: many small blocks of a set of many runs are
// looked at one by one.
func between(s interval.Set, lo, hi uint64) (b interval.Set) {
	runs := s.Runs()
	from := sort.Search(len(runs), func(i int) bool { return runs[i].Hi >= lo })
	for ; from < len(runs) && runs[from].Lo <= hi; from++ {
		b.AddRange(max(runs[from].Lo, lo), min(runs[from].Hi, hi))
	}
	return b
}

// print returns the fingerprint of the live events of a context. O(live events).
func (l *lane) print(ctx interval.Set) (h uint64) {
	at := 0
	for _, r := range ctx.Runs() {
		for at = l.find(r.Lo, at); at < len(l.seqs) && l.seqs[at] <= r.Hi; at++ {
			if l.slots[at] != noSlot {
				h += mix(uint64(l.id) ^ mix(l.seqs[at]))
			}
		}
	}
	return h
}

// liveOf returns the live events of a context, or false if they are more than so many runs.
func (l *lane) liveOf(ctx interval.Set, runs int) (live interval.Set, ok bool) {
	at := 0
	for _, r := range ctx.Runs() {
		for at = l.find(r.Lo, at); at < len(l.seqs) && l.seqs[at] <= r.Hi; at++ {
			if l.slots[at] != noSlot {
				if live.Add(l.seqs[at]); len(live.Runs()) > runs {
					return live, false
				}
			}
		}
	}
	return live, true
}

// compare asks what lives of a context: in n blocks, or one by one if that is short.
func (w *questioner) compare(l *lane, ctx interval.Set, n int) {
	for piece := range w.cut(ctx) {
		e := entry{ctx: piece}
		lo, hi := piece.Runs()[0].Lo, piece.Max()
		leaf := uint64(min(leafSpan, (w.size-questionHead-64)*4))
		small := hi-lo < leaf
		runs := max(1, min(leafRuns, (w.size-questionHead-64)/40))
		if small {
			runs = leafSpan
		}
		switch live, ok := l.liveOf(piece, runs); {
		case ok && (!small || len(live.Runs()) <= int(hi-lo)/32):
			e.form, e.live = formRuns, live
		case ok:
			e.form, e.live = formBitmap, live
		default:
			e.form = formBlocks
			if k := (hi-lo)/leaf + 1; n > 1 && k < 2*uint64(n) {
				n = int(k) // so that the next answer is the last
			}
			e.prints = make([]uint64, max(1, min(n, (w.size-questionHead-64)/16)))
			for i, width := uint64(0), e.width(); i < uint64(len(e.prints)); i++ {
				e.prints[i] = l.print(between(piece, lo+i*width, lo+(i+1)*width-1))
			}
		}
		w.add(l.id, e.append(nil))
	}
}

// cut cuts a set into pieces of few runs, so that each can be told in a question.
func (w *questioner) cut(ctx interval.Set) func(yield func(interval.Set) bool) {
	return func(yield func(interval.Set) bool) {
		for runs, most := ctx.Runs(), max(1, (w.size-questionHead)/40); len(runs) > 0; {
			k := min(most, len(runs))
			if !yield(interval.Of(runs[:k]...)) {
				return
			}
			runs = runs[k:]
		}
	}
}

// seen tells what was seen of a lane.
func (w *questioner) seen(l *lane) {
	lo := uint64(1)
	for piece := range w.cut(l.seen) {
		e := entry{form: formSeen, lo: lo, hi: piece.Max(), ctx: piece}
		if e.hi == l.seen.Max() {
			e.hi = maxSeq
		}
		if lo == 1 && e.hi == maxSeq {
			e.prints = []uint64{l.living}
		} else {
			e.prints = []uint64{l.print(piece)}
		}
		w.add(l.id, e.append(nil))
		lo = e.hi + 1
	}
}

// Questions returns questions, of at most size bytes each, that together tell another replica all
// it needs to find what is missing here. Each may be answered by itself, in any order. A size below
// 128 counts as 128. O(replicas and gaps).
func (s *Store) Questions(size int) []Question {
	w := questioner{size: max(size, minQuestion), cover: true}
	ls := make([]*lane, 0, len(s.lanes))
	for i := range s.lanes {
		ls = append(ls, &s.lanes[i])
	}
	slices.SortFunc(ls, func(a, b *lane) int { return cmp.Compare(a.id, b.id) })
	for _, l := range ls {
		w.seen(l)
	}
	w.end(0)
	return w.out
}

// Answer answers a question of another replica: what of its state is missing there, what is over
// there, and what to compare next. Deltas and questions are of at most size bytes each (a delta may
// exceed it if it tells of one event), and there are no more deltas once they come to most bytes, so that
// a whole state is neither written nor held at once: who lacks it asks again. It changes nothing.
//
// Two replicas are equal after each has asked the other and all questions that followed were
// answered; for a million events these are at most five messages one after the other.
// O(what is told of what differs), and O(live events) of each replica of whose events the asker lacks some,
// or of which any is over at one side only.
func (s *Store) Answer(q Question, size, most int) (a Answer) {
	if q.IsZero() {
		return a
	}
	in, err := readQuestion(q.b)
	if err != nil {
		panic("crdt: internal error: a checked question is unreadable: " + err.Error())
	}
	w := questioner{size: max(size, minQuestion)}
	var fresh, gone, over []part
	for i := range in.lanes {
		j, ok := s.byID[in.lanes[i].id]
		if !ok {
			a.Lacks = true
			continue
		}
		f, g, o := part{lane: j}, part{lane: j}, part{lane: j}
		for k := range in.lanes[i].entries {
			s.lanes[j].answer(&a, &w, &in.lanes[i].entries[k], &f.seen, &g.seen, &o.seen)
		}
		s.leaveTallies(&w, &o)
		fresh, gone, over = append(fresh, f), append(gone, g), append(over, o)
	}
	if in.cover {
		for i := range s.lanes {
			if l := &s.lanes[i]; in.from <= l.id && l.id <= in.to && !in.has(l.id) {
				fresh = append(fresh, part{lane: i, seen: l.seen})
			}
		}
	}
	if w.n+w.count > 0 {
		w.end(0)
	}
	a.Over, a.Questions = s.encoder.encode(s, over), w.out
	if most <= 0 {
		a.More = slices.ContainsFunc(append(fresh, gone...), func(p part) bool { return !p.seen.IsEmpty() })
		return a
	}
	told := 0
	a.More = s.split(fresh, gone, size, func(d Delta) bool {
		a.Patch, told = append(a.Patch, d), told+d.Len()
		return told < most
	})
	return a
}

// leaveTallies leaves out of what is over the events of counters, which are to be told of by who
// knows what absorbed them (see Compact), and asks for that instead.
func (s *Store) leaveTallies(w *questioner, o *part) {
	l := &s.lanes[o.lane]
	var tallies interval.Set
	for _, r := range o.seen.Runs() {
		for i := l.find(r.Lo, 0); i < len(l.seqs) && l.seqs[i] <= r.Hi; i++ {
			if l.slots[i] != noSlot && s.tree.at(l.slots[i]).shape.kind.isTally() {
				tallies.Add(l.seqs[i])
			}
		}
	}
	o.seen = o.seen.Minus(tallies)
	for runs := range slices.Chunk(tallies.Runs(), max(1, (w.size-questionHead-16)/44)) {
		piece := interval.Of(runs...)
		e := entry{form: formRuns, ctx: piece, live: piece}
		w.add(l.id, e.append(nil))
	}
}

// answer answers one entry: fresh is what the asker has not seen, gone what it has seen and is over here,
// and over what it told of events that are over there.
func (l *lane) answer(a *Answer, w *questioner, e *entry, fresh, gone, over *interval.Set) {
	common := intersection(l.seen, e.ctx)
	all := common.Equal(e.ctx)
	a.Lacks = a.Lacks || !all
	switch e.form {
	case formSeen:
		mine := l.seen
		if e.lo > 1 || e.hi < maxSeq {
			mine = between(mine, e.lo, e.hi)
		}
		fresh.Merge(mine.Minus(e.ctx))
		switch {
		case common.IsEmpty():
		case !all:
			// What lives of the rest is in their fingerprint too: they compare.
			w.compare(l, common, 1)
		case e.ctx.Equal(l.seen) && e.prints[0] == l.living:
		case l.print(common) != e.prints[0]:
			w.compare(l, common, firstBlocks)
		}
	case formBlocks:
		if !all {
			return // cannot be compared; who lacks something asks anew
		}
		lo, n := e.ctx.Runs()[0].Lo, firstBlocks
		if len(e.prints) > 1 {
			n = moreBlocks
		}
		for i, width := uint64(0), e.width(); i < uint64(len(e.prints)); i++ {
			block := between(common, lo+i*width, lo+(i+1)*width-1)
			if l.print(block) != e.prints[i] {
				w.compare(l, block, n)
			}
		}
	case formRuns, formBitmap:
		live, _ := l.liveOf(common, int(^uint(0)>>1))
		over.Merge(live.Minus(e.live))
		theirs := intersection(e.live, common)
		gone.Merge(theirs.Minus(live))
	}
}
