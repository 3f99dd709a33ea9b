package lattice_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"testing"

	"github.com/go-calm/calm/lattice"
)

// coded is a pointer to a state.
type coded interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
	json.Marshaler
	json.Unmarshaler
}

// decoders are all types that take bytes from outside; the first byte of an input picks one.
func decoders() []coded {
	return []coded{
		new(lattice.Max[int64]), new(lattice.Max[uint64]), new(lattice.Max[float64]), new(lattice.Max[string]),
		new(lattice.Min[int64]), new(lattice.Any), new(lattice.All),
		new(lattice.Set[string]), new(lattice.Set[uint16]),
		new(lattice.Map[string, lattice.Max[uint64]]),
		new(lattice.Map[string, *lattice.Map[int, lattice.Pair[lattice.Max[int64], *lattice.Set[string]]]]),
		new(lattice.Pair[lattice.Any, *lattice.Set[string]]),
		new(lattice.Triple[lattice.Any, lattice.All, lattice.Min[string]]),
		new(lattice.Lex[int64, *lattice.Set[string]]), new(lattice.WithTop[lattice.Max[int64]]),
		new(lattice.Flat[string]), new(lattice.Point), new(lattice.Interval[float64]),
		new(lattice.MaxTime), new(lattice.MinTime), new(lattice.Prefix[string]),
		new(lattice.Vec[*lattice.Set[string]]), new(lattice.BoundedSet[string]), new(lattice.Bits),
		new(lattice.UnionFind[string]), new(lattice.TopK[string, float64]),
		new(lattice.Antichain[lattice.Pair[lattice.Max[int64], *lattice.Set[string]]]),
		new(lattice.HyperLogLog), new(lattice.KMV), new(lattice.Bloom),
		new(lattice.MaxMap[int32, uint64]), new(lattice.IntSet),
		new(lattice.TombSet[string]), new(lattice.TombSet[int8]), new(lattice.TombMap[uint64, *lattice.Set[string]]),
	}
}

func FuzzUnmarshalBinary(f *testing.F) {
	for i, d := range decoders() {
		b, err := d.AppendBinary([]byte{byte(i)})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, state := range golden() {
		form, err := state.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		for i, d := range decoders() {
			if d.UnmarshalBinary(form) == nil {
				f.Add(append([]byte{byte(i)}, form...))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		all := decoders()
		d := all[int(b[0])%len(all)]
		if d.UnmarshalBinary(b[1:]) != nil {
			return
		}
		if again, err := d.AppendBinary(nil); err != nil || !bytes.Equal(again, b[1:]) {
			t.Fatalf("%x decodes to %v, which encodes to %x (%v)", b[1:], d, again, err)
		}
	})
}

// What is read from JSON is a state like any other, and what cannot be read changes nothing.
func FuzzUnmarshalJSON(f *testing.F) {
	for i, d := range decoders() {
		if b, err := d.MarshalJSON(); err == nil {
			f.Add(byte(i), b)
		}
		for _, text := range []string{
			"null", "true", "7", "-1", `"a"`, `["a","b","a"]`, `[1,2,2]`, `[null,null]`, `{"a":1}`, `{"1":["a"]}`, `{"a":null}`, "[[],[1]]",
			`[{"element":"a","score":1}]`, `{"k":2,"entries":[{"element":"a","score":3}]}`, `{"live":{"1":["a"]},"removed":[1,2]}`,
			`{"live":["a"],"removed":["a"]}`, `{"estimate":1,"sketch":"AQ=="}`, `{"limit":1,"elements":["a","b"]}`, `"2026-03-05T00:00:00Z"`,
		} {
			f.Add(byte(i), []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, which byte, text []byte) {
		all := decoders()
		d, again := all[int(which)%len(all)], decoders()[int(which)%len(all)]
		before, err := d.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if d.UnmarshalJSON(text) != nil {
			if after, err := d.AppendBinary(nil); err != nil || !bytes.Equal(before, after) {
				t.Fatalf("%s is refused, but changes %T to %v (%v)", text, d, d, err)
			}
			return
		}
		form, err := d.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%s is %v, which has no binary form: %v", text, d, err)
		}
		if err := again.UnmarshalBinary(form); err != nil {
			t.Fatalf("%s is %v, whose form %x is refused: %v", text, d, form, err)
		}
		for _, other := range []string{`[["a",[]],7,{}]`, `{"live":{"x":7},"removed":["x",[]],"entries":[7]}`, `{"sketch":"AQ=="}`} {
			if d.UnmarshalJSON([]byte(other)) != nil {
				if after, err := d.AppendBinary(nil); err != nil || !bytes.Equal(form, after) {
					t.Fatalf("%s is refused, but changes what %s is to %v (%v)", other, text, d, err)
				}
			} else if d.UnmarshalJSON(text) != nil {
				t.Fatalf("%s is read by a new %T, but not after %s", text, d, other)
			}
		}
		written, err := d.MarshalJSON()
		if err != nil {
			t.Fatalf("%s is %v, which has no JSON: %v", text, d, err)
		}
		if err := again.UnmarshalJSON(written); err != nil {
			t.Fatalf("%s is %v, written as %s, which is refused: %v", text, d, written, err)
		}
		if back, err := again.AppendBinary(nil); err != nil || !bytes.Equal(back, form) {
			t.Fatalf("%s is %v, written as %s, which is %v (%v)", text, d, written, again, err)
		}
	})
}
