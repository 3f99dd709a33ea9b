package latticetest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/lattice"
	"github.com/go-calm/calm/lattice/latticetest"
)

// The kit is code too: each bug below is one that happened to someone, is planted in an
// otherwise right type, and has to be caught by the law that claims it. The right type, with
// no bug planted, has to pass.

// bugs is which of them a toy has.
type bug string

const (
	none            bug = ""
	tieKeepsOther   bug = "a tie is decided by >=, so each side keeps the other's value"
	narrows         bug = "the value passes through an int8 on its way"
	keepsMap        bug = "Join keeps its argument's map where its own is empty"
	keepsInnerMap   bug = "Join keeps a map inside its argument"
	changesArgument bug = "Join writes to its argument too"
	alwaysChanged   bug = "Join always reports a change"
	neverChanged    bug = "Join never reports a change"
	deltaIsAll      bug = "Delta returns all there is"
	deltaLacks      bug = "Delta forgets one key"
	deltaShares     bug = "Delta shares an inner map with the state"
	dropsKey        bug = "Join forgets a key when there are more than two"
	orderByLen      bug = "LessEq compares sizes"
	partsOverlap    bug = "Decompose yields the whole beside the parts"
	unsortedBytes   bug = "encoding follows the map's order"
	trustsLength    bug = "decoding allocates what a length says"
	panicsOnBytes   bug = "decoding indexes without looking"
	halfDecoded     bug = "decoding changes its receiver before it knows"
	forgetsInBytes  bug = "encoding drops values above 2"
	readCompacts    bug = "LessEq drops keys to save memory"
	bottomSpeaks    bug = "the zero value says something"
)

// toy is a map of sets of small numbers, with one of the bugs.
type toy struct {
	m   map[string]map[int]bool
	bug bug
}

func (a *toy) with(o *toy) bug {
	if a != nil && a.bug != none {
		return a.bug
	}
	if o != nil {
		return o.bug
	}
	return none
}

func (a *toy) get() map[string]map[int]bool {
	if a == nil {
		return nil
	}
	return a.m
}

func (a *toy) Join(o *toy) (*toy, bool) {
	bug := a.with(o)
	if o == nil {
		return a, bug == alwaysChanged
	}
	if a == nil {
		a = &toy{bug: bug}
	}
	if len(a.m) == 0 {
		a.m = map[string]map[int]bool{}
		if bug == keepsMap && len(o.m) > 0 {
			a.m = o.m
			return a, true
		}
	}
	grew := false
	for k, from := range o.m {
		if len(from) == 0 {
			continue
		}
		if bug == narrows {
			from = maps.Collect(func(yield func(int, bool) bool) {
				for v := range from {
					if !yield(int(int8(v)), true) {
						return
					}
				}
			})
		}
		into := a.m[k]
		if into == nil {
			if into = map[int]bool{}; bug == keepsInnerMap {
				into, grew = from, true
			}
			a.m[k] = into
		}
		for v := range from {
			grew = grew || !into[v]
			into[v] = true
		}
		if bug == changesArgument {
			from[0] = true
		}
	}
	if bug == dropsKey && len(a.m) > 2 {
		delete(a.m, slices.Max(slices.Collect(maps.Keys(a.m))))
	}
	return a, grew && bug != neverChanged || bug == alwaysChanged
}

func (a *toy) LessEq(o *toy) bool {
	switch a.with(o) {
	case orderByLen:
		return len(a.get()) <= len(o.get())
	case readCompacts:
		if a != nil && len(a.m) > 1 {
			delete(a.m, slices.Max(slices.Collect(maps.Keys(a.m))))
		}
	case bottomSpeaks:
		if a == nil && len(o.get()) == 0 {
			return o == nil
		}
		if a == nil {
			return o.m["a"] != nil
		}
	}
	for k, vs := range a.get() {
		for v := range vs {
			if !o.get()[k][v] {
				return false
			}
		}
	}
	return true
}

func (a *toy) Delta(have *toy) *toy {
	if a.bug == deltaIsAll {
		return lattice.Clone(a)
	}
	d := &toy{m: map[string]map[int]bool{}, bug: a.bug}
	for k, vs := range a.m {
		for v := range vs {
			if have.get()[k][v] {
				continue
			}
			if a.bug == deltaShares && len(have.get()[k]) == 0 {
				d.m[k] = vs
				break
			}
			if d.m[k] == nil {
				d.m[k] = map[int]bool{}
			}
			d.m[k][v] = true
		}
	}
	if a.bug == deltaLacks && len(d.m) > 1 {
		delete(d.m, slices.Max(slices.Collect(maps.Keys(d.m))))
	}
	return d
}

func (a *toy) Decompose() iter.Seq[*toy] {
	return func(yield func(*toy) bool) {
		if a.bug == partsOverlap && !yield(lattice.Clone(a)) {
			return
		}
		for k, vs := range a.m {
			for v := range vs {
				if !yield(&toy{map[string]map[int]bool{k: {v: true}}, a.bug}) {
					return
				}
			}
		}
	}
}

func (a *toy) String() string { return fmt.Sprint(a.get()) }

func (a *toy) MarshalBinary() ([]byte, error) {
	out := []byte{0}
	keys := slices.Collect(maps.Keys(a.get()))
	if a.with(nil) != unsortedBytes {
		slices.Sort(keys)
	}
	for _, k := range keys {
		vs := slices.Sorted(maps.Keys(a.m[k]))
		for _, v := range vs {
			if a.bug == forgetsInBytes && v > 2 {
				continue
			}
			out = append(out, k[0], byte(v>>8), byte(v))
			out[0]++
		}
	}
	return out, nil
}

var errToy = errors.New("malformed")

func (a *toy) UnmarshalBinary(b []byte) error {
	if a.bug == panicsOnBytes {
		_ = b[3*int(b[0])]
	}
	if len(b) == 0 {
		return errToy
	}
	if a.bug == trustsLength && len(b) >= 5 {
		_ = bytes.Repeat([]byte{0}, int(binary.LittleEndian.Uint32(b[1:5])>>7))
	}
	x := map[string]map[int]bool{}
	if a.bug == halfDecoded {
		a.m = x
	}
	if len(b) != 1+3*int(b[0]) {
		return errToy
	}
	var last []byte
	for e := b[1:]; len(e) > 0; e = e[3:] {
		if bytes.Compare(last, e[:3]) >= 0 {
			return errToy
		}
		last = e[:3]
		k, v := string(e[:1]), int(e[1])<<8|int(e[2])
		if x[k] == nil {
			x[k] = map[int]bool{}
		}
		x[k][v] = true
	}
	a.m = x
	return nil
}

func toys(b bug) latticetest.Lattice[*toy] {
	return latticetest.Lattice[*toy]{
		Gen: func(t *rapid.T) *toy {
			a := &toy{map[string]map[int]bool{}, b}
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				k := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
				if a.m[k] == nil {
					a.m[k] = map[int]bool{}
				}
				a.m[k][rapid.SampledFrom([]int{1, 2, 3, 300}).Draw(t, "value")] = true
			}
			return a
		},
	}
}

// stamped is a value with a time: the newest wins.
type stamped struct {
	time  int
	value string
}

func (a stamped) Join(o stamped) (stamped, bool) {
	if o.time >= a.time {
		return o, o != a
	}
	return a, false
}

func (a stamped) LessEq(o stamped) bool { return a.time < o.time || a == o }

// domPair is a pair of which the greater first part wins, and where neither is greater all is
// joined: Hydro's DomPair, which is not associative.
type domPair struct{ x, y, value int }

func (a domPair) Join(o domPair) (domPair, bool) {
	aBelow := a.x <= o.x && a.y <= o.y
	oBelow := o.x <= a.x && o.y <= a.y
	switch {
	case aBelow && oBelow:
		r := domPair{a.x, a.y, max(a.value, o.value)}
		return r, r != a
	case aBelow:
		return o, true
	case oBelow:
		return a, false
	}
	return domPair{max(a.x, o.x), max(a.y, o.y), max(a.value, o.value)}, true
}

func (a domPair) LessEq(o domPair) bool { j, _ := a.Join(o); return j == o }

func TestEachMutantIsCaughtByTheLawThatClaimsIt(t *testing.T) {
	check := func(b bug) error { return latticetest.Check(toys(b)) }
	for _, mutant := range []struct {
		bug bug
		law string
		err error
	}{
		{narrows, "bottom-is-identity", check(narrows)},
		{keepsMap, "argument-is-not-kept", check(keepsMap)},
		{keepsInnerMap, "argument-is-not-kept", check(keepsInnerMap)},
		{changesArgument, "argument-is-not-changed", check(changesArgument)},
		{alwaysChanged, "change-is-reported", check(alwaysChanged)},
		{neverChanged, "change-is-reported", check(neverChanged)},
		{deltaIsAll, "delta-is-minimal", check(deltaIsAll)},
		{deltaLacks, "delta-suffices", check(deltaLacks)},
		{deltaShares, "delta-is-not-kept", check(deltaShares)},
		{dropsKey, "join-is-least-upper-bound", check(dropsKey)},
		{orderByLen, "order-agrees-with-join", check(orderByLen)},
		{partsOverlap, "decomposition", check(partsOverlap)},
		{unsortedBytes, "binary-is-canonical", check(unsortedBytes)},
		{trustsLength, "binary-is-strict", check(trustsLength)},
		{panicsOnBytes, "binary-is-strict", check(panicsOnBytes)},
		{halfDecoded, "binary-is-strict", check(halfDecoded)},
		{forgetsInBytes, "binary-round-trip", check(forgetsInBytes)},
		{readCompacts, "reads-change-nothing", check(readCompacts)},
		{bottomSpeaks, "bottom-is-identity", check(bottomSpeaks)},
		{tieKeepsOther, "commutative", latticetest.Check(latticetest.Lattice[stamped]{
			Gen: func(t *rapid.T) stamped {
				return stamped{rapid.IntRange(1, 2).Draw(t, "time"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "value")}
			},
		})},
		{"a pair whose first part is only partly ordered is taken for a lattice", "associative", latticetest.Check(latticetest.Lattice[domPair]{
			Gen: func(t *rapid.T) domPair {
				small := rapid.IntRange(0, 2)
				return domPair{small.Draw(t, "x"), small.Draw(t, "y"), small.Draw(t, "value")}
			},
		})},
		{"a size is taken for a morphism", "keeps-joins", latticetest.CheckMorphism(genTags, func(s *lattice.Set[string]) lattice.Pair[lattice.Max[int], lattice.Max[int]] {
			return lattice.PairOf(lattice.MaxOf(s.Len(), -s.Len()), lattice.Max[int]{})
		})},
		{"a constant is taken for a morphism", "keeps-bottom", latticetest.CheckMorphism(genTags, func(*lattice.Set[string]) lattice.Any { return lattice.AnyOf(true) })},
		{"what is missing is taken for monotone", "monotone", latticetest.CheckMonotone(genTags, func(s *lattice.Set[string]) lattice.Any { return lattice.AnyOf(!s.Has("a")) })},
		{"a union is taken for a bimorphism", "keeps-bottom", latticetest.CheckBimorphism(genTags, genTags, func(a, b *lattice.Set[string]) *lattice.Set[string] {
			return lattice.Fold(slices.Values([]*lattice.Set[string]{a, b}))
		})},
		{"a difference is taken for a bimorphism", "keeps-joins-on-the-right", latticetest.CheckBimorphism(genTags, genTags, func(a, b *lattice.Set[string]) *lattice.Set[string] {
			return lattice.Intersect(a, a.Delta(b))
		})},
		{"an exact count is waited for", "upward-closed", latticetest.CheckThreshold(genTags, func(s *lattice.Set[string]) bool { return s.Len() == 1 })},
		{"a test changes what it looks at", "reads-only", latticetest.CheckThreshold(genTags, func(s *lattice.Set[string]) bool { return s.Add("x") || true })},
	} {
		t.Run(string(mutant.bug), func(t *testing.T) {
			require.Error(t, mutant.err)
			caught := map[string]bool{}
			for _, err := range mutant.err.(interface{ Unwrap() []error }).Unwrap() {
				var broken *latticetest.LawError
				require.ErrorAs(t, err, &broken)
				caught[broken.Law] = true
			}
			require.Contains(t, caught, mutant.law, "caught by %v only", slices.Sorted(maps.Keys(caught)))
			t.Logf("caught by %v", slices.Sorted(maps.Keys(caught)))
		})
	}
}

func genTags(t *rapid.T) *lattice.Set[string] {
	return lattice.SetOf(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3).Draw(t, "tags")...)
}

func TestTheRightTwinsPass(t *testing.T) {
	require.NoError(t, latticetest.Check(toys(none)))
	latticetest.Run(t, toys(none))
	latticetest.Monotone(t, genTags, func(s *lattice.Set[string]) lattice.Max[int] { return lattice.MaxOf(s.Len()) })
	latticetest.Morphism(t, genTags, func(s *lattice.Set[string]) lattice.Any { return lattice.AnyOf(s.Has("a")) })
	latticetest.Bimorphism(t, genTags, genTags, lattice.Intersect[string])
	latticetest.Threshold(t, genTags, func(s *lattice.Set[string]) bool { return s.Len() >= 2 })
}
