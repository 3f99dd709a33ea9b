package lattice_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/testenv"
	"github.com/go-calm/calm/lattice"
)

// What is claimed to be free of allocation: merging what changes nothing, and raising values
// of keys that are there.
func TestMergeIntoWhatIsThereDoesNotAllocate(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	const n = 1000
	set, delta := &lattice.Set[uint64]{}, &lattice.Set[uint64]{}
	ints, intDelta := &lattice.IntSet{}, &lattice.IntSet{}
	bits, bitDelta := &lattice.Bits{}, &lattice.Bits{}
	hll, hllDelta := &lattice.HyperLogLog{}, &lattice.HyperLogLog{}
	dense, denseDelta := lattice.NewHyperLogLog(8), lattice.NewHyperLogLog(8)
	kmv, kmvDelta := &lattice.KMV{}, &lattice.KMV{}
	bloom, bloomDelta := &lattice.Bloom{}, &lattice.Bloom{}
	nested, nestedDelta := &lattice.Map[uint64, *lattice.Set[string]]{}, &lattice.Map[uint64, *lattice.Set[string]]{}
	board, boardDelta := lattice.NewTopK[string, int](3), lattice.NewTopK[string, int](3)
	for i := range uint64(n) {
		set.Add(i)
		ints.Add(i)
		bits.Add(uint(i))
		hll.AddUint64(i)
		dense.AddUint64(i)
		kmv.AddUint64(i)
		bloom.AddUint64(i)
		nested.Put(i, lattice.SetOf("a", "b"))
		board.Put("x", int(i))
		if i%2 == 0 {
			delta.Add(i)
			intDelta.Add(i)
			bitDelta.Add(uint(i))
			hllDelta.AddUint64(i)
			denseDelta.AddUint64(i)
			kmvDelta.AddUint64(i)
			bloomDelta.AddUint64(i)
			nestedDelta.Put(i, lattice.SetOf("b"))
			boardDelta.Put("x", int(i))
		}
	}
	for name, merge := range map[string]func() bool{
		"Set":                func() bool { return set.Merge(delta) },
		"IntSet":             func() bool { return ints.Merge(intDelta) },
		"Bits":               func() bool { return bits.Merge(bitDelta) },
		"sparse HyperLogLog": func() bool { grew, err := hll.Merge(hllDelta); return grew || err != nil },
		"dense HyperLogLog":  func() bool { grew, err := dense.Merge(denseDelta); return grew || err != nil },
		"KMV":                func() bool { grew, err := kmv.Merge(kmvDelta); return grew || err != nil },
		"Bloom":              func() bool { grew, err := bloom.Merge(bloomDelta); return grew || err != nil },
		"Map of Set":         func() bool { return nested.Merge(nestedDelta) },
		"TopK":               func() bool { return board.Merge(boardDelta) },
	} {
		t.Run(name, func(t *testing.T) {
			require.Zero(t, testing.AllocsPerRun(20, func() {
				if merge() {
					t.Error("changed")
				}
			}))
		})
	}

	m, table := &lattice.Map[uint64, lattice.Max[uint64]]{}, &lattice.MaxMap[uint64, uint64]{}
	raise, tableRaise := &lattice.Map[uint64, lattice.Max[uint64]]{}, &lattice.MaxMap[uint64, uint64]{}
	for i := range uint64(n) {
		m.Put(i, lattice.MaxOf[uint64](1))
		table.Put(i, 1)
		raise.Put(i, lattice.MaxOf[uint64](1))
		tableRaise.Put(i, 1)
	}
	v := uint64(1)
	require.Zero(t, testing.AllocsPerRun(20, func() {
		v++
		for i := range uint64(n) {
			raise.Put(i, lattice.MaxOf(v))
			tableRaise.Put(i, v)
		}
		if !m.Merge(raise) || !table.Merge(tableRaise) || m.Merge(raise) || table.Merge(tableRaise) {
			t.Error("a change is not told")
		}
	}))
}
