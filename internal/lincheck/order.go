package lincheck

import (
	"fmt"
	"math"
	"slices"
)

// Increasing decides in O(n log n) whether outputs grow along real time, as stamps of a
// clock must: compare orders the operations by what they returned, no two may be equal, and
// none may have returned before one that sorts earlier was called. It returns nil, or an
// error that names the two operations.
func Increasing[I, O any](h History[I, O], compare func(a, b O) int) error {
	return ordered(h, compare, true)
}

// NonDecreasing is [Increasing] with equal outputs allowed: reads of a value that only
// grows.
func NonDecreasing[I, O any](h History[I, O], compare func(a, b O) int) error {
	return ordered(h, compare, false)
}

func ordered[I, O any](h History[I, O], compare func(a, b O) int, strict bool) error {
	ops := slices.Clone(h)
	slices.SortFunc(ops, func(a, b Op[I, O]) int { return compare(a.Output, b.Output) })
	last := -1 // of the operations that sort strictly before i, the one called last
	for i, end := 0, 0; i < len(ops); i = end {
		for end = i; end < len(ops) && compare(ops[i].Output, ops[end].Output) == 0; end++ {
			if strict && end > i {
				return fmt.Errorf("lincheck: two operations returned the same:\n%v", History[I, O]{ops[i], ops[end]})
			}
			if last >= 0 && ops[end].Return < ops[last].Call {
				return fmt.Errorf("lincheck: the later operation returned the smaller value:\n%v", History[I, O]{ops[end], ops[last]})
			}
		}
		for j := i; j < end; j++ {
			if last < 0 || ops[j].Call > ops[last].Call {
				last = j
			}
		}
	}
	return nil
}

// Role is what an operation means to a FIFO queue.
type Role uint8

// The roles.
const (
	None  Role = iota // says nothing about the order: a refusal, a cancelled wait
	Put               // put the value in
	Got               // took the value out
	Empty             // saw the queue empty
)

// FIFO decides in O(n log n) whether a long history of a queue, each value put at most
// once, shows one of the patterns that every wrong FIFO history shows (Henzinger, Sezgin &
// Vafeiadis, "Aspect-Oriented Linearizability Proofs", CONCUR 2013): a value that was never
// put, or taken before it was put; a value taken twice; two values put one after the other
// and taken the other way round, or only the second taken; an empty queue seen while some
// value was in it for certain all the time. It returns nil or an error that names the
// operations. role says what an operation means and which value it moved. Capacity is not
// looked at.
func FIFO[I, O any, V comparable](h History[I, O], role func(in I, out O) (Role, V)) error {
	type life struct {
		v        V
		put, got int // indices in h, -1 if never
	}
	lives := map[V]*life{}
	var empties []int
	find := func(v V) *life {
		l := lives[v]
		if l == nil {
			l = &life{v, -1, -1}
			lives[v] = l
		}
		return l
	}
	show := func(is ...int) History[I, O] {
		var out History[I, O]
		for _, i := range is {
			if i >= 0 {
				out = append(out, h[i])
			}
		}
		return out
	}
	for i, op := range h {
		switch r, v := role(op.Input, op.Output); r {
		case Put:
			l := find(v)
			if l.put >= 0 {
				return fmt.Errorf("lincheck: value %v put twice, so the history cannot be judged:\n%v", v, show(l.put, i))
			}
			l.put = i
		case Got:
			l := find(v)
			if l.got >= 0 {
				return fmt.Errorf("lincheck: value %v taken twice:\n%v", v, show(l.got, i))
			}
			l.got = i
		case Empty:
			empties = append(empties, i)
		}
	}

	all := make([]*life, 0, len(lives))
	for _, l := range lives {
		if l.put < 0 {
			return fmt.Errorf("lincheck: value %v was never put:\n%v", l.v, show(l.got))
		}
		if l.got >= 0 && h[l.got].Return < h[l.put].Call {
			return fmt.Errorf("lincheck: value %v taken before it was put:\n%v", l.v, show(l.got, l.put))
		}
		all = append(all, l)
	}
	gotCall := func(l *life) int64 {
		if l.got < 0 {
			return math.MaxInt64
		}
		return h[l.got].Call
	}

	// Sweep by the call of the second put; of the values whose put had returned by then,
	// only the one taken last can be overtaken.
	byCall := slices.Clone(all)
	slices.SortFunc(byCall, func(a, b *life) int { return int(h[a.put].Call - h[b.put].Call) })
	byReturn := slices.Clone(all)
	slices.SortFunc(byReturn, func(a, b *life) int { return int(h[a.put].Return - h[b.put].Return) })
	var first *life
	i := 0
	for _, second := range byCall {
		for ; i < len(byReturn) && h[byReturn[i].put].Return < h[second.put].Call; i++ {
			if first == nil || gotCall(byReturn[i]) > gotCall(first) {
				first = byReturn[i]
			}
		}
		if first != nil && second.got >= 0 && h[second.got].Return < gotCall(first) {
			return fmt.Errorf("lincheck: value %v overtook %v:\n%v", second.v, first.v,
				show(first.put, second.put, second.got, first.got))
		}
	}

	// Merge the times during which some value was in the queue for certain: from the
	// return of its put to the call of its get.
	type span struct{ from, to int64 }
	var spans []span
	for _, l := range byReturn {
		s := span{h[l.put].Return, gotCall(l)}
		if s.to <= s.from {
			continue
		}
		if n := len(spans); n > 0 && s.from <= spans[n-1].to {
			spans[n-1].to = max(spans[n-1].to, s.to)
		} else {
			spans = append(spans, s)
		}
	}
	for _, e := range empties {
		n, _ := slices.BinarySearchFunc(spans, h[e].Call, func(s span, at int64) int {
			if s.from <= at {
				return -1
			}
			return 1
		})
		if n > 0 && h[e].Return <= spans[n-1].to {
			return fmt.Errorf("lincheck: seen empty although it was never empty between %d and %d:\n%v",
				spans[n-1].from, spans[n-1].to, show(e))
		}
	}
	return nil
}
