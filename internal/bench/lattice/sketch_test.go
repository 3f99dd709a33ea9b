package lattice_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/axiomhq/hyperloglog"
	"github.com/bits-and-blooms/bloom/v3"

	"github.com/go-calm/calm/lattice"
)

// Both HyperLogLogs have 2^14 registers, and hash the elements themselves.

const elements = 1_000_000

func bytesOf(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

func calmHLL(from, to int) *lattice.HyperLogLog {
	s := &lattice.HyperLogLog{}
	for i := from; i < to; i++ {
		s.Add(bytesOf(i))
	}
	return s
}

func axiomHLL(from, to int) *hyperloglog.Sketch {
	s := hyperloglog.New14()
	for i := from; i < to; i++ {
		s.Insert(bytesOf(i))
	}
	return s
}

func BenchmarkHyperLogLogAdd(b *testing.B) {
	var buf [8]byte
	b.Run("calm", func(b *testing.B) {
		s := calmHLL(0, elements)
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint64(buf[:], uint64(i))
			s.Add(buf[:])
		}
	})
	b.Run("axiomhq", func(b *testing.B) {
		s := axiomHLL(0, elements)
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint64(buf[:], uint64(i))
			s.Insert(buf[:])
		}
	})
}

func BenchmarkHyperLogLogMerge(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"sparse", 1000}, {"dense", elements}} {
		b.Run(size.name+"/calm", func(b *testing.B) {
			x, y := calmHLL(0, size.n), calmHLL(size.n/2, size.n*3/2)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Merge(y); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(size.name+"/axiomhq", func(b *testing.B) {
			x, y := axiomHLL(0, size.n), axiomHLL(size.n/2, size.n*3/2)
			b.ReportAllocs()
			for b.Loop() {
				if err := x.Merge(y); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("memory-speed", func(b *testing.B) { // copying as many bytes as the registers are
		from, to := make([]byte, 1<<14), make([]byte, 1<<14)
		b.SetBytes(1 << 14)
		for b.Loop() {
			copy(to, from)
		}
	})
}

func BenchmarkHyperLogLogBytes(b *testing.B) {
	for _, size := range []struct {
		name string
		n    int
	}{{"1k", 1000}, {"10k", 10_000}, {"1M", elements}} {
		b.Run(size.name+"/calm", func(b *testing.B) {
			s := calmHLL(0, size.n)
			for b.Loop() {
				form, err := s.MarshalBinary()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(form)), "bytes")
			}
		})
		b.Run(size.name+"/axiomhq", func(b *testing.B) {
			s := axiomHLL(0, size.n)
			for b.Loop() {
				form, err := s.MarshalBinary()
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(form)), "bytes")
			}
		})
	}
}

// Both filters are made for 100 000 elements at an error of 1 %, and are full.

const members = 100_000

func calmBloom(from int) *lattice.Bloom {
	f := lattice.NewBloom(members, 0.01)
	for i := from; i < from+members; i++ {
		f.Add(bytesOf(i))
	}
	return f
}

func peerBloom(from int) *bloom.BloomFilter {
	f := bloom.NewWithEstimates(members, 0.01)
	for i := from; i < from+members; i++ {
		f.Add(bytesOf(i))
	}
	return f
}

func BenchmarkBloomMerge(b *testing.B) {
	b.Run("calm", func(b *testing.B) {
		x, y := calmBloom(0), calmBloom(members/2)
		for b.Loop() {
			if _, err := x.Merge(y); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bits-and-blooms", func(b *testing.B) {
		x, y := peerBloom(0), peerBloom(members/2)
		for b.Loop() {
			if err := x.Merge(y); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkBloomAdd(b *testing.B) {
	var buf [8]byte
	b.Run("calm", func(b *testing.B) {
		f := calmBloom(0)
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint64(buf[:], uint64(i%members))
			f.Add(buf[:])
		}
	})
	b.Run("bits-and-blooms", func(b *testing.B) {
		f := peerBloom(0)
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint64(buf[:], uint64(i%members))
			f.Add(buf[:])
		}
	})
}

func BenchmarkBloomHas(b *testing.B) {
	var buf [8]byte
	b.Run("calm", func(b *testing.B) {
		f := calmBloom(0)
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint64(buf[:], uint64(i%(2*members)))
			f.Has(buf[:])
		}
	})
	b.Run("bits-and-blooms", func(b *testing.B) {
		f := peerBloom(0)
		for i := 0; b.Loop(); i++ {
			binary.BigEndian.PutUint64(buf[:], uint64(i%(2*members)))
			f.Test(buf[:])
		}
	})
}

// TestSizes is not a measurement: sizes are what they are.
func TestSizes(t *testing.T) {
	ours, err := calmBloom(0).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var theirs bytes.Buffer
	if _, err := peerBloom(0).WriteTo(&theirs); err != nil {
		t.Fatal(err)
	}
	t.Logf("Bloom: %d bytes, bits-and-blooms %d", len(ours), theirs.Len())
	if len(ours) > theirs.Len() {
		t.Errorf("Bloom takes %d bytes, bits-and-blooms %d", len(ours), theirs.Len())
	}
	for _, n := range []int{10, 100, 1000, 2000, 5000, 10_000, 100_000, elements} {
		ours, err := calmHLL(0, n).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := axiomHLL(0, n).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("HyperLogLog of %d: %d bytes, axiomhq %d", n, len(ours), len(theirs))
		if len(ours) > len(theirs) {
			t.Errorf("HyperLogLog of %d takes %d bytes, axiomhq's %d", n, len(ours), len(theirs))
		}
	}
}
