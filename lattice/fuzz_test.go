package lattice_test

import (
	"bytes"
	"encoding"
	"testing"

	"github.com/go-calm/calm/lattice"
)

// coded is a pointer to a state.
type coded interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
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
