package lincheck

import (
	"fmt"
	"hash/fnv"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/go-calm/calm/internal/testenv"
)

// Model is a sequential specification: what one caller alone would see. S is the state, I
// an input, O an output.
type Model[S, I, O any] struct {
	// Init returns the first state; nil means the zero S.
	Init func() S
	// Step says whether out is a right answer to in in state s, and the state after it. It
	// must not change s.
	Step func(s S, in I, out O) (S, bool)
	// Equal compares states; nil means reflect.DeepEqual.
	Equal func(a, b S) bool
	// Hash agrees with Equal. It is what keeps the search short; nil means a hash of the
	// state printed with %v, which is right for plain data and slow.
	Hash func(S) uint64
	// Describe prints an operation; nil means %+v of both.
	Describe func(in I, out O) string
	// Key splits a history into independent ones, as a map's operations split by key; nil
	// means one object.
	Key func(in I) string
	// Timeout bounds the check of one history; 0 means one second.
	Timeout time.Duration
}

// Verdict is what a check found.
type Verdict string

// The verdicts.
const (
	Ok      Verdict = "linearizable"
	Illegal Verdict = "not linearizable"
	Unknown Verdict = "undecided"
)

// Check decides one history. Pending operations may have taken effect or not.
func (m Model[S, I, O]) Check(h History[I, O]) Verdict {
	return verdict(porcupine.CheckOperationsTimeout(m.porcupine(), operations(h), m.timeout()))
}

// Run records and checks n histories, scaled by [testenv.Checks], with seeds 0, 1, 2, … It stops at
// the first that is not linearizable: prints its smallest bad window, writes history.html
// and history.json into the artifact directory, and fails t. It fails, too, when more than
// one in a hundred could not be decided in time, and logs every count.
func (m Model[S, I, O]) Run(t testing.TB, n int, record func(seed uint64) History[I, O]) {
	t.Helper()
	n = testenv.Checks(n)
	unknown, ops := 0, 0
	for seed := range uint64(n) {
		h := record(seed)
		ops += len(h)
		switch m.Check(h) {
		case Illegal:
			m.report(t, seed, h)
			t.FailNow()
		case Unknown:
			unknown++
		}
	}
	t.Logf("lincheck: %d histories, %d operations, %d undecided", n, ops, unknown)
	if unknown*100 > n {
		t.Fatalf("lincheck: %d of %d histories undecided within %v: make them shorter", unknown, n, m.timeout())
	}
}

func (m Model[S, I, O]) report(t testing.TB, seed uint64, h History[I, O]) {
	t.Helper()
	short := m.Shrink(h)
	states, window := m.Window(short)
	var b strings.Builder
	fmt.Fprintf(&b, "lincheck: seed %d is not linearizable; smallest bad window (%d of %d operations)\n", seed, len(window), len(h))
	if len(states) > 0 {
		fmt.Fprintf(&b, "  possible states before it: %+v\n", states)
	}
	b.WriteString(window.describe(m.Describe))

	dir := t.ArtifactDir()
	page, replay := filepath.Join(dir, "history.html"), filepath.Join(dir, "history.json")
	if err := short.Save(replay); err != nil {
		fmt.Fprintln(&b, " ", err)
	}
	model := m.porcupine()
	_, info := porcupine.CheckOperationsVerbose(model, operations(short), m.timeout())
	if err := porcupine.VisualizePath(model, info, page); err != nil {
		fmt.Fprintln(&b, " ", err)
	}
	fmt.Fprintf(&b, "  picture: %s\n  replay:  %s\n", page, replay)
	t.Error(b.String())
}

// Shrink returns the shortest prefix of h that is not linearizable, with what had not
// returned by then as pending. It returns h itself if h is not known to be wrong.
func (m Model[S, I, O]) Shrink(h History[I, O]) History[I, O] {
	if m.Check(h) != Illegal {
		return h
	}
	var ends []int64
	for _, op := range h {
		if op.Return != Pending {
			ends = append(ends, op.Return)
		}
	}
	slices.Sort(ends)
	i := sort.Search(len(ends), func(i int) bool { return m.Check(prefix(h, ends[i])) == Illegal })
	if i == len(ends) { // only undecided prefixes
		return h
	}
	return prefix(h, ends[i])
}

func prefix[I, O any](h History[I, O], end int64) History[I, O] {
	var p History[I, O]
	for _, op := range h {
		if op.Call > end {
			continue
		}
		if op.Return > end {
			op.Return = Pending
		}
		p = append(p, op)
	}
	return p
}

// Window splits off what stands before the first moment of rest after which no state
// explains the rest of h, and returns the states in which the object can have been at that
// moment together with the operations after it. With a Key, only the operations of the bad
// key are looked at. If the states are too many to list, it returns all of h.
func (m Model[S, I, O]) Window(h History[I, O]) ([]S, History[I, O]) {
	if m.Key != nil {
		parts := map[string]History[I, O]{}
		for _, op := range h {
			parts[m.Key(op.Input)] = append(parts[m.Key(op.Input)], op)
		}
		alone := m
		alone.Key = nil
		for _, part := range parts {
			if alone.Check(part) == Illegal {
				return alone.Window(part)
			}
		}
		return nil, h
	}
	h = slices.Clone(h)
	slices.SortStableFunc(h, func(a, b Op[I, O]) int { return int(a.Call - b.Call) })
	states := []S{m.init()}
	for from := 0; from < len(h); {
		// The segment ends where everything called so far has returned.
		to, end := from, int64(0)
		for ; to < len(h) && (to == from || h[to].Call < end); to++ {
			end = max(end, h[to].Return)
		}
		next, ok := m.endStates(states, h[from:to])
		if !ok {
			return nil, h
		}
		if len(next) == 0 {
			return states, h[from:to]
		}
		states, from = next, to
	}
	return nil, h
}

// endStates lists the states in which a segment can end, or reports that the search became
// too long. A pending operation need not be used.
func (m Model[S, I, O]) endStates(starts []S, seg History[I, O]) ([]S, bool) {
	const budget = 200_000
	if len(seg) > 62 {
		return nil, false
	}
	type node struct {
		done uint64
		s    S
	}
	var ends []S
	seen := map[uint64][]node{}
	steps := 0
	var visit func(n node) bool
	visit = func(n node) bool {
		if steps++; steps > budget {
			return false
		}
		hash := m.hash(n.s) ^ n.done*0x9e3779b97f4a7c15
		for _, o := range seen[hash] {
			if o.done == n.done && m.equal(o.s, n.s) {
				return true
			}
		}
		seen[hash] = append(seen[hash], n)
		first, complete := int64(Pending), true // an operation called after first must wait
		for i, op := range seg {
			if n.done>>i&1 == 0 && op.Return != Pending {
				complete = false
				first = min(first, op.Return)
			}
		}
		if complete && !slices.ContainsFunc(ends, func(s S) bool { return m.equal(s, n.s) }) {
			ends = append(ends, n.s)
		}
		for i, op := range seg {
			if n.done>>i&1 != 0 || op.Call > first {
				continue
			}
			if s, ok := m.Step(n.s, op.Input, op.Output); ok {
				if !visit(node{n.done | 1<<i, s}) {
					return false
				}
			}
		}
		return true
	}
	for _, s := range starts {
		if !visit(node{0, s}) {
			return nil, false
		}
	}
	return ends, true
}

func (m Model[S, I, O]) init() (s S) {
	if m.Init != nil {
		s = m.Init()
	}
	return s
}

func (m Model[S, I, O]) equal(a, b S) bool {
	if m.Equal != nil {
		return m.Equal(a, b)
	}
	return reflect.DeepEqual(a, b)
}

func (m Model[S, I, O]) hash(s S) uint64 {
	if m.Hash != nil {
		return m.Hash(s)
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%v", s)
	return h.Sum64()
}

func (m Model[S, I, O]) timeout() time.Duration {
	if m.Timeout > 0 {
		return m.Timeout
	}
	return time.Second
}

// call is Porcupine's input: the operation and whether it is pending.
type call[I any] struct {
	in      I
	pending bool
}

// state is Porcupine's state. A pending operation can always be put last, where over says
// that it never took effect: from there only other pending ones may follow.
type state[S any] struct {
	s    S
	over bool
}

func operations[I, O any](h History[I, O]) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(h))
	for i, op := range h {
		ops[i] = porcupine.Operation{
			ClientId: op.Client,
			Input:    call[I]{op.Input, op.Return == Pending},
			Call:     op.Call,
			Output:   op.Output,
			Return:   op.Return,
		}
	}
	return ops
}

func (m Model[S, I, O]) porcupine() porcupine.Model {
	p := porcupine.Model{
		Init: func() any { return state[S]{s: m.init()} },
		Step: func(st, in, out any) (bool, any) {
			now, c := st.(state[S]), in.(call[I])
			if now.over {
				return c.pending, now
			}
			next, ok := m.Step(now.s, c.in, out.(O))
			switch {
			case ok:
				return true, state[S]{s: next}
			case c.pending:
				return true, state[S]{s: now.s, over: true}
			}
			return false, now
		},
		Equal: func(a, b any) bool {
			x, y := a.(state[S]), b.(state[S])
			return x.over == y.over && m.equal(x.s, y.s)
		},
		Hash: func(a any) uint64 { return m.hash(a.(state[S]).s) },
		DescribeOperation: func(in, out any) string {
			c := in.(call[I])
			what := ""
			if m.Describe != nil {
				what = m.Describe(c.in, out.(O))
			} else {
				what = fmt.Sprintf("%+v -> %+v", c.in, out)
			}
			if c.pending {
				what += " (pending)"
			}
			return what
		},
		DescribeState: func(st any) string { return fmt.Sprintf("%+v", st.(state[S]).s) },
	}
	if m.Key != nil {
		p.Partition = func(h []porcupine.Operation) [][]porcupine.Operation {
			index := map[string]int{}
			var parts [][]porcupine.Operation
			for _, op := range h {
				k := m.Key(op.Input.(call[I]).in)
				i, ok := index[k]
				if !ok {
					i = len(parts)
					index[k] = i
					parts = append(parts, nil)
				}
				parts[i] = append(parts[i], op)
			}
			return parts
		}
	}
	return p
}

func verdict(r porcupine.CheckResult) Verdict {
	switch r {
	case porcupine.Ok:
		return Ok
	case porcupine.Illegal:
		return Illegal
	}
	return Unknown
}
