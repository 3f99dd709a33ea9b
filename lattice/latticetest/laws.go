package latticetest

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"runtime"
	"slices"

	"pgregory.net/rapid"

	"github.com/go-calm/calm/lattice"
)

func laws[L lattice.Lattice[L]](l Lattice[L]) []law {
	k := kit[L]{l}
	all := []law{
		{"idempotent", "a ⊔ a = a: what arrives twice counts once", k.idempotent},
		{"commutative", "a ⊔ b = b ⊔ a: the order of arrival does not matter", k.commutative},
		{"associative", "(a ⊔ b) ⊔ c = a ⊔ (b ⊔ c): grouping does not matter", k.associative},
		{"bottom-is-identity", "⊥ ⊔ a = a = a ⊔ ⊥, and ⊥ ≤ a: the zero value says nothing", k.bottom},
		{"order-is-partial", "a ≤ a; a ≤ b ≤ c ⇒ a ≤ c: LessEq is an order", k.order},
		{"order-agrees-with-join", "a ≤ b ⇔ a ⊔ b = b: LessEq is the order that Join makes", k.agrees},
		{"join-is-least-upper-bound", "a ≤ a ⊔ b, b ≤ a ⊔ b, and a ⊔ b is below all else that is above both", k.least},
		{"change-is-reported", "Join's second result is true exactly if the result is not ≤ the receiver", k.change},
		{"argument-is-not-changed", "Join changes only its receiver", k.unchanged},
		{"argument-is-not-kept", "after a ⊔ b, changing either the result or b leaves the other as it was", k.unaliased},
		{"reads-change-nothing", "LessEq, Delta, Decompose, encoding and printing change no state", k.reads},
		{"decomposition", "the parts of a join to a, and none can be left out or taken apart further", k.decomposition},
		{"delta-suffices", "have ⊔ Delta(have, want) = have ⊔ want, and the delta is ≤ want", k.delta},
		{"delta-is-minimal", "no part of Delta(have, want) can be left out", k.minimal},
		{"delta-is-not-kept", "changing a delta changes neither of the states it was made of", k.deltaUnaliased},
	}
	if l.Top != nil {
		all = append(all, law{"top-absorbs", "⊤ ⊔ a = ⊤ = a ⊔ ⊤, and a ≤ ⊤", k.top})
	}
	for _, name := range slices.Sorted(maps.Keys(l.Mutators)) {
		f := l.Mutators[name]
		all = append(all, law{"inflates/" + name, "a ≤ mutate(a): a mutator only adds", func(t *rapid.T) error { return k.inflates(t, f) }})
	}
	for _, name := range slices.Sorted(maps.Keys(l.DeltaMutators)) {
		f := l.DeltaMutators[name]
		all = append(all,
			law{"inflates/" + name, "a ≤ mutate(a): a mutator only adds", func(t *rapid.T) error {
				return k.inflates(t, func(t *rapid.T, s L) L { after, _ := f(t, s); return after })
			}},
			law{"delta-of/" + name, "mutate(a) = a ⊔ its delta", func(t *rapid.T) error { return k.deltaOf(t, f) }})
	}
	if _, _, ok := k.binary(); ok {
		all = append(all,
			law{"binary-round-trip", "decode(encode(a)) = a", k.roundTrip},
			law{"binary-is-canonical", "a = b ⇔ encode(a) = encode(b), however a and b came about", k.canonical},
			law{"binary-is-strict", "what decodes from changed bytes encodes to just these bytes; the rest is refused, leaving the receiver as it was, without a panic or much memory", k.hostile})
	}
	if _, _, ok := k.json(); ok && !l.NoJSON {
		all = append(all, law{"json-round-trip", "a goes to JSON and back", k.jsonRoundTrip})
	}
	return all
}

// kit is the laws of one lattice.
type kit[L lattice.Lattice[L]] struct{ l Lattice[L] }

// draw draws a state: from the generator, or now and then a join of what was drawn before,
// because unrelated states seldom meet on a law about order.
func (k kit[L]) draw(t *rapid.T, name string, before ...L) L {
	x := k.l.Gen(t)
	if len(before) > 0 {
		switch pick := rapid.IntRange(0, 3*len(before)).Draw(t, name+" stands on"); {
		case pick == 0:
		case pick <= len(before):
			x = join(x, before[pick-1])
		case pick <= 2*len(before):
			x = clone(before[pick-len(before)-1])
		}
	}
	return x
}

// clone copies by the one way that every lattice has. A Join that keeps its argument breaks
// this, and the law that says so.
func clone[L lattice.Lattice[L]](x L) L { return lattice.Clone(x) }

// join joins copies.
func join[L lattice.Lattice[L]](a, b L) L {
	sum, _ := clone(a).Join(clone(b))
	return sum
}

// same reports whether two states are equal: each ≤ the other and, where L is plain data
// without pointers, ==. The latter finds an order that takes different states for one.
func (k kit[L]) same(a, b L) bool {
	if k.l.Equal != nil {
		return k.l.Equal(a, b)
	}
	return lattice.Equal(a, b) && (!isPlain(reflect.TypeFor[L]()) || any(a) == any(b))
}

func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return isPlain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !isPlain(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return t.Kind() <= reflect.Complex128 || t.Kind() == reflect.String
}

func differ(format string, args ...any) error { return fmt.Errorf("  "+format, args...) }

func (k kit[L]) idempotent(t *rapid.T) error {
	a := k.draw(t, "a")
	if aa := join(a, a); !k.same(aa, a) {
		return differ("a = %v\n  a ⊔ a = %v", a, aa)
	}
	return nil
}

func (k kit[L]) commutative(t *rapid.T) error {
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	if ab, ba := join(a, b), join(b, a); !k.same(ab, ba) {
		return differ("a = %v\n  b = %v\n  a ⊔ b = %v\n  b ⊔ a = %v", a, b, ab, ba)
	}
	return nil
}

func (k kit[L]) associative(t *rapid.T) error {
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	c := k.draw(t, "c", a, b)
	if l, r := join(join(a, b), c), join(a, join(b, c)); !k.same(l, r) {
		return differ("a = %v\n  b = %v\n  c = %v\n  (a ⊔ b) ⊔ c = %v\n  a ⊔ (b ⊔ c) = %v", a, b, c, l, r)
	}
	return nil
}

func (k kit[L]) bottom(t *rapid.T) error {
	a := k.draw(t, "a")
	var bottom L
	if !bottom.LessEq(a) {
		return differ("a = %v\n  ⊥ ≤ a is false", a)
	}
	if x, _ := bottom.Join(a); !k.same(x, a) {
		return differ("a = %v\n  ⊥ ⊔ a = %v", a, x)
	}
	if x, grew := clone(a).Join(bottom); !k.same(x, a) || grew {
		return differ("a = %v\n  a ⊔ ⊥ = %v, reported as changed: %v", a, x, grew)
	}
	return nil
}

func (k kit[L]) top(t *rapid.T) error {
	a, top := k.draw(t, "a"), k.l.Top()
	if !a.LessEq(top) {
		return differ("a = %v\n  ⊤ = %v\n  a ≤ ⊤ is false", a, top)
	}
	for _, x := range []L{join(a, top), join(top, a)} {
		if !k.same(x, top) {
			return differ("a = %v\n  ⊤ = %v\n  their join = %v", a, top, x)
		}
	}
	return nil
}

func (k kit[L]) order(t *rapid.T) error {
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	c := k.draw(t, "c", a, b)
	if !a.LessEq(a) {
		return differ("a = %v\n  a ≤ a is false", a)
	}
	if a.LessEq(b) && b.LessEq(c) && !a.LessEq(c) {
		return differ("a = %v\n  b = %v\n  c = %v\n  a ≤ b and b ≤ c, but not a ≤ c", a, b, c)
	}
	return nil
}

func (k kit[L]) agrees(t *rapid.T) error {
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	if le, ab := a.LessEq(b), join(a, b); le != k.same(ab, b) {
		return differ("a = %v\n  b = %v\n  a ≤ b is %v\n  a ⊔ b = %v", a, b, le, ab)
	}
	return nil
}

func (k kit[L]) least(t *rapid.T) error {
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	c := k.draw(t, "c", a, b)
	ab := join(a, b)
	if !a.LessEq(ab) || !b.LessEq(ab) {
		return differ("a = %v\n  b = %v\n  a ⊔ b = %v is not above both", a, b, ab)
	}
	if a.LessEq(c) && b.LessEq(c) && !ab.LessEq(c) {
		return differ("a = %v\n  b = %v\n  c = %v is above both\n  a ⊔ b = %v is not ≤ c", a, b, c, ab)
	}
	return nil
}

func (k kit[L]) change(t *rapid.T) error {
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	ab, grew := clone(a).Join(b)
	if really := !ab.LessEq(a); grew != really {
		return differ("a = %v\n  b = %v\n  a ⊔ b = %v\n  changed: %v, reported: %v", a, b, ab, really, grew)
	}
	return nil
}

func (k kit[L]) unchanged(t *rapid.T) error {
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	before, printed := dump(b), fmt.Sprint(b)
	a.Join(b)
	if dump(b) != before {
		return differ("b was %s\n  after a ⊔ b it is %v", printed, b)
	}
	return nil
}

func (k kit[L]) unaliased(t *rapid.T) error {
	a := k.draw(t, "a")
	if rapid.Bool().Draw(t, "a is bottom") {
		var bottom L
		a = bottom // where keeping the argument is the most tempting
	}
	b := k.draw(t, "b", a)
	c := k.draw(t, "c", a, b)
	ab, _ := a.Join(b)

	before, printed := dump(b), fmt.Sprint(b)
	ab, _ = ab.Join(c)
	k.mutate(t, &ab)
	if dump(b) != before {
		return differ("b was %s\n  c = %v\n  after (a ⊔ b) ⊔ c it is %v: the result shares memory with b", printed, c, b)
	}
	before, printed = dump(ab), fmt.Sprint(ab)
	d := k.draw(t, "d", a, b, c)
	b, _ = b.Join(d)
	k.mutate(t, &b)
	if dump(ab) != before {
		return differ("x = a ⊔ b was %s\n  d = %v\n  after b ⊔ d it is %v: x shares memory with b", printed, d, ab)
	}
	return nil
}

// mutate applies each of the type's own mutators.
func (k kit[L]) mutate(t *rapid.T, x *L) {
	for _, name := range slices.Sorted(maps.Keys(k.l.Mutators)) {
		*x = k.l.Mutators[name](t, *x)
	}
	for _, name := range slices.Sorted(maps.Keys(k.l.DeltaMutators)) {
		*x, _ = k.l.DeltaMutators[name](t, *x)
	}
}

func (k kit[L]) reads(t *rapid.T) error {
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	read := func(what string, f func()) error {
		beforeA, beforeB, printed := dump(a), dump(b), fmt.Sprint(a, " and ", b)
		f()
		if dump(a) != beforeA || dump(b) != beforeB {
			return differ("a and b were %s\n  after %s they are %v and %v", printed, what, a, b)
		}
		return nil
	}
	encode, _, ok := k.binary()
	for _, err := range []error{
		read("printing", func() { _ = fmt.Sprint(a) }),
		read("LessEq", func() { a.LessEq(b) }),
		read("Delta", func() { lattice.Delta(a, b) }),
		read("Decompose", func() {
			for range lattice.Decompose(a) {
			}
		}),
		read("encoding", func() {
			if ok {
				_, _ = encode(a)
			}
		}),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (k kit[L]) decomposition(t *rapid.T) error {
	a := k.draw(t, "a")
	parts := slices.Collect(lattice.Decompose(a))
	if sum := lattice.Fold(slices.Values(parts)); !k.same(sum, a) {
		return differ("a = %v\n  its parts %v\n  join to %v", a, parts, sum)
	}
	for i, part := range parts {
		if sum := without(parts, i); k.same(sum, a) {
			return differ("a = %v\n  its parts %v\n  %v can be left out", a, parts, part)
		}
		if again := slices.Collect(lattice.Decompose(part)); len(again) != 1 || !k.same(again[0], part) {
			return differ("a = %v\n  its part %v\n  is taken apart further, into %v", a, part, again)
		}
	}
	return nil
}

// without joins copies of all parts but one.
func without[L lattice.Lattice[L]](parts []L, i int) L {
	return lattice.Fold(slices.Values(slices.Concat(parts[:i], parts[i+1:])))
}

func (k kit[L]) delta(t *rapid.T) error {
	have := k.draw(t, "have")
	want := k.draw(t, "want", have)
	d := lattice.Delta(have, want)
	if got, all := join(have, d), join(have, want); !k.same(got, all) {
		return differ("have = %v\n  want = %v\n  delta = %v\n  have ⊔ delta = %v\n  have ⊔ want = %v", have, want, d, got, all)
	}
	if !d.LessEq(want) {
		return differ("have = %v\n  want = %v\n  delta = %v is not ≤ want", have, want, d)
	}
	return nil
}

func (k kit[L]) minimal(t *rapid.T) error {
	have := k.draw(t, "have")
	want := k.draw(t, "want", have)
	d := lattice.Delta(have, want)
	all := join(have, want)
	parts := slices.Collect(lattice.Decompose(d))
	for i, part := range parts {
		if k.same(join(have, without(parts, i)), all) {
			return differ("have = %v\n  want = %v\n  delta = %v\n  %v can be left out", have, want, d, part)
		}
	}
	return nil
}

func (k kit[L]) deltaUnaliased(t *rapid.T) error {
	have := k.draw(t, "have")
	want := k.draw(t, "want", have)
	more := k.draw(t, "more", have, want)
	d := lattice.Delta(have, want)
	beforeHave, beforeWant, printed := dump(have), dump(want), fmt.Sprint(have, " and ", want)
	d, _ = d.Join(more)
	k.mutate(t, &d)
	for part := range lattice.Decompose(want) {
		part, _ = part.Join(more)
		k.mutate(t, &part)
	}
	if dump(have) != beforeHave || dump(want) != beforeWant {
		return differ("have and want were %s\n  after their delta was changed they are %v and %v", printed, have, want)
	}
	return nil
}

func (k kit[L]) inflates(t *rapid.T, f func(*rapid.T, L) L) error {
	a := k.draw(t, "a")
	if after := f(t, clone(a)); !a.LessEq(after) {
		return differ("a = %v\n  mutated it is %v, which is not above", a, after)
	}
	return nil
}

func (k kit[L]) deltaOf(t *rapid.T, f func(*rapid.T, L) (L, L)) error {
	a := k.draw(t, "a")
	after, d := f(t, clone(a))
	if got := join(a, d); !k.same(got, after) {
		return differ("a = %v\n  mutated it is %v\n  its delta %v\n  a ⊔ delta = %v", a, after, d, got)
	}
	return nil
}

// binary finds the type's binary form, be it on L or on *L.
func (k kit[L]) binary() (encode func(L) ([]byte, error), decode func([]byte, *L) error, ok bool) {
	var zero L
	switch any(zero).(type) {
	case encoding.BinaryMarshaler:
		encode = func(x L) ([]byte, error) { return any(x).(encoding.BinaryMarshaler).MarshalBinary() }
	case encoding.BinaryAppender:
		encode = func(x L) ([]byte, error) { return any(x).(encoding.BinaryAppender).AppendBinary(nil) }
	default:
		return nil, nil, false
	}
	if !implements[L, encoding.BinaryUnmarshaler]() {
		return nil, nil, false
	}
	return encode, func(b []byte, x *L) error {
		return target[L, encoding.BinaryUnmarshaler](x).UnmarshalBinary(b)
	}, true
}

func (k kit[L]) json() (encode func(L) ([]byte, error), decode func([]byte, *L) error, ok bool) {
	if !implements[L, json.Marshaler]() || !implements[L, json.Unmarshaler]() {
		return nil, nil, false
	}
	return func(x L) ([]byte, error) { return json.Marshal(x) },
		func(b []byte, x *L) error { return json.Unmarshal(b, target[L, json.Unmarshaler](x)) }, true
}

// implements reports whether L, or a pointer to it, is an I.
func implements[L, I any]() bool {
	t, i := reflect.TypeFor[L](), reflect.TypeFor[I]()
	return t.Implements(i) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(i)
}

// target returns what decodes into *x: x, or for a pointer type a new thing that *x is made to point to
// if it is nil.
func target[L, I any](x *L) I {
	if t := reflect.TypeFor[L](); t.Kind() == reflect.Pointer {
		if reflect.ValueOf(*x).IsNil() {
			*x = reflect.New(t.Elem()).Interface().(L)
		}
		return any(*x).(I)
	}
	return any(x).(I)
}

func (k kit[L]) roundTrip(t *rapid.T) error {
	encode, decode, _ := k.binary()
	a := k.draw(t, "a")
	if rapid.IntRange(0, 9).Draw(t, "a is bottom") == 0 {
		var bottom L
		a = bottom
	}
	b, err := encode(a)
	if err != nil {
		return differ("a = %v\n  encode: %v", a, err)
	}
	into := k.draw(t, "decoded into")
	given := bytes.Clone(b)
	if err := decode(given, &into); err != nil {
		return differ("a = %v\n  encoded as %x\n  decode: %v", a, b, err)
	}
	for i := range given {
		given[i] ^= 0xff // what was decoded must not stand on the buffer
	}
	if !k.same(into, a) {
		return differ("a = %v\n  encoded as %x\n  decoded as %v", a, b, into)
	}
	return nil
}

func (k kit[L]) canonical(t *rapid.T) error {
	encode, _, _ := k.binary()
	a := k.draw(t, "a")
	b := k.draw(t, "b", a)
	if rapid.Bool().Draw(t, "b is a again") {
		// The same state by another way: from its parts, in another order.
		parts := slices.Collect(lattice.Decompose(a))
		slices.Reverse(parts)
		b = lattice.Fold(slices.Values(parts))
	}
	x, err1 := encode(a)
	y, err2 := encode(b)
	if err1 != nil || err2 != nil {
		return differ("a = %v\n  b = %v\n  encode: %v, %v", a, b, err1, err2)
	}
	if k.same(a, b) != bytes.Equal(x, y) {
		return differ("a = %v, encoded as %x\n  b = %v, encoded as %x", a, x, b, y)
	}
	return nil
}

func (k kit[L]) hostile(t *rapid.T) (err error) {
	encode, decode, _ := k.binary()
	a, into := k.draw(t, "a"), k.draw(t, "decoded into")
	b, _ := encode(a)
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		at := rapid.IntRange(0, len(b)).Draw(t, "at")
		switch rapid.IntRange(0, 3).Draw(t, "change") {
		case 0:
			b = b[:at]
		case 1:
			b = slices.Insert(b, at, rapid.Byte().Draw(t, "byte"))
		case 2:
			if at < len(b) {
				b[at] = rapid.Byte().Draw(t, "byte")
			}
		case 3:
			b = append(b[:at], 0xff, 0xff, 0xff, 0xff, 0x0f) // a large number
		}
	}
	defer func() {
		if p := recover(); p != nil {
			err = differ("decoding %x panics: %v", b, p)
		}
	}()
	target[L, encoding.BinaryUnmarshaler](&into) // not nil from here on
	before, printed := dump(into), fmt.Sprint(into)
	var was runtime.MemStats
	runtime.ReadMemStats(&was)
	failure := decode(b, &into)
	var is runtime.MemStats
	runtime.ReadMemStats(&is)
	// Generous, because other goroutines count too; a length that is believed costs gigabytes.
	if used := is.TotalAlloc - was.TotalAlloc; used > 16<<20+uint64(len(b))<<10 {
		return differ("decoding %d bytes %x takes %d bytes of memory", len(b), b, used)
	}
	if failure != nil {
		if dump(into) != before {
			return differ("decoding %x fails (%v)\n  but changes its receiver from %s to %v", b, failure, printed, into)
		}
		return nil
	}
	if again, err := encode(into); err != nil || !bytes.Equal(again, b) {
		return differ("%x decodes to %v,\n  which encodes to %x (%v)", b, into, again, err)
	}
	return nil
}

func (k kit[L]) jsonRoundTrip(t *rapid.T) error {
	encode, decode, _ := k.json()
	a, into := k.draw(t, "a"), k.draw(t, "decoded into")
	b, err := encode(a)
	if err != nil {
		return differ("a = %v\n  to JSON: %v", a, err)
	}
	if err := decode(b, &into); err != nil {
		return differ("a = %v\n  in JSON %s\n  from JSON: %v", a, b, err)
	}
	if !k.same(into, a) {
		return differ("a = %v\n  in JSON %s\n  from JSON %v", a, b, into)
	}
	return nil
}
