package lattice_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/lattice"
)

// golden are states whose forms are in testdata/golden and must stay readable for ever, and be
// written as they are.
func golden() map[string]coded {
	maxInt, minString := lattice.MaxOf[int64](-5), lattice.MinOf("ann")
	anyTrue, allFalse := lattice.AnyOf(true), lattice.AllOf(false)
	pair := lattice.PairOf(lattice.MaxOf[uint64](300), lattice.SetOf("b", "a"))
	lex := lattice.LexOf[uint64](7, lattice.SetOf("a"))
	top, flat := lattice.Top[*lattice.Set[string]](), lattice.FlatOf("x")
	interval := lattice.IntervalOf(-1.5, 24)
	nested := &lattice.Map[string, lattice.Pair[lattice.Max[int64], *lattice.Set[uint16]]]{}
	nested.Put("x", lattice.PairOf(lattice.MaxOf[int64](0), lattice.SetOf[uint16](500, 1)))
	nested.Put("", lattice.PairOf(lattice.Max[int64]{}, lattice.SetOf[uint16](7)))
	prefix := lattice.PrefixOf("a", "b")
	vec := lattice.VecOf(lattice.MaxOf[uint64](1), lattice.Max[uint64]{}, lattice.MaxOf[uint64](3))
	bounded := lattice.NewBoundedSet[string](3)
	bounded.Add("a", "b")
	unions := &lattice.UnionFind[string]{}
	unions.Union("c", "a", "b")
	board := lattice.NewTopK[string, int64](2)
	board.Put("ann", 3)
	board.Put("bob", 3)
	heads := lattice.AntichainOf(lattice.VecOf(lattice.MaxOf[uint64](2)), lattice.VecOf(lattice.MaxOf[uint64](1), lattice.MaxOf[uint64](1)))
	table := &lattice.MaxMap[int32, uint64]{}
	table.Put(-1, 5)
	table.Put(9, 1)
	tombs, ids := &lattice.TombMap[string, lattice.Any]{}, &lattice.TombSet[int32]{}
	tombs.Put("a", lattice.AnyOf(true))
	tombs.Remove("b")
	ids.Add(4)
	ids.Remove(-1, 0, 1, 9)
	sparse, dense := lattice.NewHyperLogLog(6), lattice.NewHyperLogLog(4)
	kmv, bloom := lattice.NewKMV(4), lattice.NewBloom(20, 0.1)
	for i := range uint64(40) {
		if i < 5 {
			sparse.AddUint64(i)
		}
		dense.AddUint64(i)
		kmv.AddUint64(i)
		bloom.AddUint64(i)
	}
	noon := time.Date(2026, 3, 5, 12, 0, 0, 123456789, time.UTC)
	latest, earliest := lattice.MaxTimeOf(noon), lattice.MinTimeOf(noon.AddDate(-100, 0, 0))
	triple := lattice.TripleOf(lattice.AnyOf(true), lattice.MinOf[int64](-3), lattice.SetOf("a"))
	sparse.AddString("hello")
	sparse.Add([]byte("seventeen bytes!!"))
	return map[string]coded{
		"max": &maxInt, "min": &minString, "any": &anyTrue, "all": &allFalse, "pair": &pair, "lex": &lex,
		"with-top": &top, "flat": &flat, "interval": &interval, "map": nested, "prefix": prefix, "vec": vec,
		"bounded-set": bounded, "bits": lattice.BitsOf(0, 65), "union-find": unions, "top-k": board,
		"antichain": heads, "max-map": table, "int-set": lattice.IntSetOf(0, 1, 5, 1<<40), "tomb-map": tombs,
		"tomb-set": ids, "hyperloglog-sparse": sparse, "hyperloglog-dense": dense, "kmv": kmv, "bloom": bloom,
		"max-time": &latest, "min-time": &earliest, "triple": &triple, "point": &lattice.Point{},
	}
}

func TestGoldenForms(t *testing.T) {
	for name, state := range golden() {
		t.Run(name, func(t *testing.T) {
			form, err := state.AppendBinary(nil)
			require.NoError(t, err)
			file := filepath.Join("testdata", "golden", name+".hex")
			if os.Getenv("CALM_WRITE_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(file, []byte(hex.EncodeToString(form)+"\n"), 0o644))
			}
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(string(text)), hex.EncodeToString(form))
			require.NoError(t, state.UnmarshalBinary(form))
			again, err := state.AppendBinary(nil)
			require.NoError(t, err)
			require.Equal(t, form, again)
		})
	}
}
