package crdt_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/testenv"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// example is a state with everything in it that the format has.
func example() *crdt.Store {
	type doc struct {
		Stock *crdt.Map[string, *crdt.Map[string, *crdt.Counter]] `crdt:"1"`
		Tags  *crdt.Set[uint16]                                   `crdt:"2"`
		Hits  *crdt.GCounter                                      `crdt:"3"`
		Note  *crdt.LWW[string]                                   `crdt:"200"`
	}
	a, b := crdt.NewStore(0x0102030405060708), crdt.NewStore(0xf0f1f2f3f4f5f6f7)
	da, db := crdt.OpenStruct[doc](a, "doc"), crdt.OpenStruct[doc](b, "doc")
	da.Stock.At("lisbon").At("tea").Add(-300)
	a.Update(func() {
		da.Tags.Add(1, 2, 300)
		da.Stock.At("porto").At("tea").Add(7)
		da.Stock.At("porto").At("milk").Add(8)
	})
	da.Note.Set(1<<40, "first")
	da.Tags.Remove(2)
	db.Tags.Add(300, 9)
	db.Hits.Add(5)
	db.Note.Set(1<<40+1, "second")
	for _, d := range []crdt.Delta{a.State(), b.State()} {
		if _, err := a.Merge(d); err != nil {
			panic(err)
		}
	}
	return a
}

// Golden files stay readable for ever: a change of the format adds a version and a file.
func TestGoldenFiles(t *testing.T) {
	s := example()
	raw, err := s.State().MarshalBinary()
	require.NoError(t, err)
	digest, err := s.Digest().MarshalBinary()
	require.NoError(t, err)
	question, err := s.Questions(1 << 16)[0].MarshalBinary()
	require.NoError(t, err)
	for name, b := range map[string][]byte{"state-v1.delta": raw, "state-v1.digest": digest, "state-v1.question": question} {
		file := filepath.Join("testdata", name)
		if *rewrite {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(file, b, 0o644))
		}
		golden, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, golden, b, name)
	}
	d, err := crdt.ParseDelta(raw, crdt.Limits{})
	require.NoError(t, err)
	o := crdt.NewStore(9)
	_, err = o.Merge(d)
	require.NoError(t, err)
	require.Equal(t, s.State(), o.State())
	var dg crdt.Digest
	require.NoError(t, dg.UnmarshalBinary(digest))
	require.True(t, dg.Equal(o.Digest()))
	require.True(t, dg.Seen(crdt.Dot{Node: 0x0102030405060708, N: 1}))
	require.False(t, dg.Seen(crdt.Dot{Node: 5, N: 1}))
}

// Whatever byte is damaged, cut off or added: it is noticed, and nothing is half-read.
func TestDamageIsNoticed(t *testing.T) {
	raw, err := example().State().MarshalBinary()
	require.NoError(t, err)
	for i := range raw {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := append([]byte(nil), raw...)
			bad[i] ^= flip
			_, err := crdt.ParseDelta(bad, crdt.Limits{})
			require.Error(t, err, "byte %d", i)
		}
		if i > 0 {
			_, err := crdt.ParseDelta(raw[:i:i], crdt.Limits{})
			require.Error(t, err, "cut at %d", i)
		}
	}
	_, err = crdt.ParseDelta(append(raw[:len(raw):len(raw)], 0), crdt.Limits{})
	require.ErrorIs(t, err, crdt.ErrCorrupt)
	raw[2] = 99
	_, err = crdt.ParseDelta(raw, crdt.Limits{})
	require.ErrorIs(t, err, crdt.ErrVersion)
	var d crdt.Delta
	require.Error(t, d.UnmarshalBinary(raw))
	require.True(t, d.IsZero())
	require.NoError(t, d.UnmarshalBinary(nil))
}

func TestLimits(t *testing.T) {
	d := example().State()
	raw, _ := d.MarshalBinary()
	for _, lim := range []crdt.Limits{{Bytes: 20}, {Events: 3}, {Replicas: 1}} {
		_, err := crdt.ParseDelta(raw, lim)
		require.ErrorIs(t, err, crdt.ErrLimit)
	}
	_, err := crdt.ParseDelta(raw, crdt.Limits{Bytes: 1 << 20, Events: 100, Replicas: 2})
	require.NoError(t, err)
}

// Bytes that announce much and hold little do not take memory.
func TestDecodingAllocatesInProportion(t *testing.T) {
	body := append([]byte{0xCA, 0x1D, 1, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}, 1, 0)
	body = append(body, 0xff, 0xff, 0xff, 0xff, 0x3f, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x3f) // 17 thousand million live events
	b := sum(append(body, make([]byte, 1000)...))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := crdt.ParseDelta(b, crdt.Limits{})
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, crdt.ErrCorrupt)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200*len(b)))
}

// Reading a hundred thousand elements and merging them into a new replica are some thirty allocations.
func TestDecodingIsFewAllocations(t *testing.T) {
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	es := make([]string, 100_000)
	for i := range es {
		es[i] = fmt.Sprintf("elem-%08d", i)
	}
	raw, err := crdt.NewSet[string](1).Add(es...).MarshalBinary()
	require.NoError(t, err)
	require.LessOrEqual(t, testing.AllocsPerRun(1, func() {
		d, err := crdt.ParseDelta(raw, crdt.Limits{})
		require.NoError(t, err)
		merge(t, crdt.NewSet[string](2), d)
	}), 30.0)

	// Values that have a place each take three, to check and to keep them; and no buffer grows bit by bit.
	m := crdt.NewMap[uint64, *crdt.LWW[byte]](1)
	const n = 10_000
	d := m.Store().Update(func() {
		for i := range uint64(n) {
			m.At(i).Set(1, byte(i))
		}
	})
	require.LessOrEqual(t, testing.AllocsPerRun(1, func() {
		merge(t, crdt.NewMap[uint64, *crdt.LWW[byte]](2), d)
	}), 3*n+66.0)
}

// What a replica knows already costs nothing to hear again.
func TestMergeOfTheKnownDoesNotAllocate(t *testing.T) {
	a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
	var small crdt.Delta
	for i := range 1000 {
		small = a.Add(fmt.Sprint(i))
	}
	merge(t, b, a.State())
	if testenv.Race {
		t.Skip("the race detector allocates")
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { b.Merge(small) }))
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() { a.Add("again") }), 1.0)
}

// sum puts the right checksum under a body, so that hostile bytes get past it.
func sum(body []byte) []byte {
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// Bytes with a right checksum that no store would write.
func TestHostileBytesAreRefused(t *testing.T) {
	id := []byte{0, 0, 0, 0, 0, 0, 0, 7}
	one := []byte{1, 0, 0} // runs: the one event 1
	build := func(root byte, parts ...[]byte) []byte {
		b := []byte{0xCA, 0x1D, 1, root, 0}
		for _, p := range parts {
			b = append(b, p...)
		}
		return sum(b)
	}
	const set, store, counter, elem, mapKind, structKind = 4, 1, 6, 5, 3, 2
	group := func(b ...byte) []byte { return b }
	n := []byte{1}
	good := build(set, n, id, one, one, group(1<<3, 0, elem, 0, 1, 'x'))
	_, err := crdt.ParseDelta(good, crdt.Limits{})
	require.NoError(t, err, "the test builds what it means to")
	fused := build(mapKind, n, id, []byte{1, 0, 2}, []byte{1, 2, 0}, group(1<<3|4, 0, counter, 0, 1, 'z', 3, 2, 1, 1))
	_, err = crdt.ParseDelta(fused, crdt.Limits{})
	require.NoError(t, err, "and this")
	for name, b := range map[string][]byte{
		"no replicas":                  build(set, []byte{0}),
		"replica 0":                    build(set, n, make([]byte, 8), one, one, group(1<<3, 0, elem, 0, 1, 'x')),
		"replicas not ascending":       build(set, []byte{2}, id, id, one, []byte{0}, one, []byte{0}),
		"nothing told":                 build(set, n, id, []byte{0}, []byte{0}),
		"lives and is not told":        build(set, n, id, one, []byte{1, 1, 0}, group(1<<3, 0, elem, 0, 1, 'x')),
		"lives beyond what is told":    build(set, n, id, []byte{1, 0, 1}, []byte{1, 0, 2}, group(3<<3, 0, elem, 0, 1, 'x', 1, 'y', 1, 'z')),
		"no content":                   build(set, n, id, one, one),
		"an empty group":               build(set, n, id, one, one, group(0, 0, elem, 0)),
		"more in a group than events":  build(set, n, id, one, one, group(2<<3, 0, elem, 0, 1, 'x', 1, 'y')),
		"an unknown form":              build(set, n, id, one, one, group(1<<3|3, 0, elem, 0, 1, 'x')),
		"inner nodes with payloads":    build(store, n, id, one, one, group(1<<3|6, 0, mapKind, 6, 1, 'm')),
		"an inner element":             build(set, n, id, one, one, group(1<<3|2, 0, elem, 0, 1, 'x'), group(1<<3|1, 1)),
		"below an element":             build(set, n, id, one, one, group(1<<3, 0, elem, 0, 1, 'x'), group(1<<3|2, 1, set, 0, 1, 'y')),
		"a parent not named":           build(set, n, id, one, one, group(1<<3, 9, elem, 0, 1, 'x')),
		"a node not named":             build(set, n, id, one, one, group(1<<3|1, 9)),
		"an element of another set":    build(set, n, id, one, one, group(1<<3, 0, 16, 0, 1, 'x')),
		"a bounded counter in a map":   build(mapKind, n, id, one, one, group(1<<3|4, 0, 14, 0, 1, 'x', 3, 0, 0, 0)),
		"an odd sticky flag":           build(mapKind, n, id, one, one, group(1<<3|4, 0, 12, 0, 1, 'x', 1, 2)),
		"a register without its mark":  build(mapKind, n, id, one, one, group(1<<3|4, 0, 13, 6, 1, 'x', 1, 2)),
		"a counter in a set":           build(set, n, id, one, one, group(1<<3|4, 0, counter, 0, 1, 'x', 1, 2)),
		"an element in a map":          build(mapKind, n, id, one, one, group(1<<3, 0, elem, 0, 1, 'x')),
		"a store in a store":           build(store, n, id, one, one, group(1<<3|2, 0, store, 0, 1, 'x')),
		"a root counter in a map":      build(mapKind, n, id, one, one, group(1<<3|4, 0, 7, 0, 1, 'x', 1, 2)),
		"field 0":                      build(structKind, n, id, one, one, group(1<<3|4, 0, counter, 0, 1, 0, 1, 2)),
		"a field number in long form":  build(structKind, n, id, one, one, group(1<<3|4, 0, counter, 0, 2, 0x81, 0, 1, 2)),
		"an event at the root of sets": build(set, n, id, one, one, group(1<<3|1, 0)),
		"a payload at an element":      build(set, n, id, one, one, group(1<<3|4, 0, elem, 0, 1, 'x', 1, 1)),
		"an empty payload":             build(mapKind, n, id, one, one, group(1<<3|4, 0, counter, 0, 1, 'x', 0)),
		"no payload at a counter":      build(mapKind, n, id, one, one, group(1<<3, 0, counter, 0, 1, 'x')),
		"a number in long form":        build(mapKind, n, id, one, one, group(1<<3|4, 0, counter, 0, 1, 'x', 2, 0x82, 0)),
		"a register without a stamp":   build(mapKind, n, id, one, one, group(1<<3|4, 0, 10, 6, 1, 'x', 2, 1, 1)),
		"an event number over 2⁶²":     build(set, n, id, []byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}, []byte{0}),
		"absorbed and not over":        build(mapKind, []byte{1}, id, []byte{1, 0, 2}, []byte{1, 0, 2}, group(3<<3|4, 0, counter, 0, 1, 'x', 1, 2, 1, 'y', 1, 2, 1, 'z', 3, 2, 1, 1)),
		"absorbed and not told":        build(mapKind, []byte{1}, id, []byte{1, 2, 0}, []byte{1, 2, 0}, group(1<<3|4, 0, counter, 0, 1, 'z', 3, 2, 1, 1)),
		"absorbed by an earlier one":   build(mapKind, []byte{1}, id, []byte{1, 0, 2}, []byte{1, 1, 0}, group(1<<3|4, 0, counter, 0, 1, 'z', 3, 2, 1, 2)),
		"absorbed event 0":             build(mapKind, []byte{1}, id, []byte{1, 0, 2}, []byte{1, 2, 0}, group(1<<3|4, 0, counter, 0, 1, 'z', 3, 2, 0, 1)),
		"absorbed by a root counter":   build(7, []byte{1}, id, []byte{1, 0, 2}, []byte{1, 2, 0}, group(1<<3|5, 0, 3, 2, 1, 1)),
		"bytes left over":              build(set, n, id, one, one, group(1<<3, 0, elem, 0, 1, 'x'), []byte{0}),
	} {
		_, err := crdt.ParseDelta(b, crdt.Limits{})
		require.ErrorIs(t, err, crdt.ErrCorrupt, name)
	}
	// 65 levels deep.
	b := [][]byte{n, id, one, one}
	for i := range 65 {
		b = append(b, group(1<<3|2, byte(i), mapKind, 6, 1, 'm'))
	}
	_, err = crdt.ParseDelta(build(mapKind, append(b, group(1<<3|4, 65, counter, 0, 1, 'x', 1, 2))...), crdt.Limits{})
	require.ErrorIs(t, err, crdt.ErrCorrupt)

	// A digest whose replicas are not ascending, or in which something lives that was not seen.
	for _, tail := range [][]byte{
		append(append(append(append([]byte{2}, id...), 1, 0, 0, 0), id...), 1, 0, 0, 0),
		append(append([]byte{1}, id...), 1, 0, 0, 1, 5, 0),
		append(append([]byte{1}, id...), 0, 0, 0),
	} {
		var d crdt.Digest
		require.ErrorIs(t, d.UnmarshalBinary(append([]byte{0xCA, 0x1E, 1}, tail...)), crdt.ErrCorrupt)
	}
}

// told returns a delta in which replica 7 has made one event, of that number: the element x.
func told(t *testing.T, seq uint64) crdt.Delta {
	t.Helper()
	run := append(binary.AppendUvarint([]byte{1}, seq-1), 0)
	b := append([]byte{0xCA, 0x1D, 1, 4, 6, 1, 0, 0, 0, 0, 0, 0, 0, 7}, run...)
	b = append(append(b, run...), 1<<3, 0, 5, 0, 1, 'x')
	d, err := crdt.ParseDelta(sum(b), crdt.Limits{})
	require.NoError(t, err)
	return d
}

// The highest event number there is can be merged, and is the last one of its replica: no other comes
// after it, and the replica itself refuses to go on, rather than begin again or do a part of what it should.
func TestEventNumbersAtTheCeiling(t *testing.T) {
	const ceiling = 1 << 62
	s, own := crdt.NewSet[string](1), crdt.NewSet[string](7)
	merge(t, s, told(t, ceiling))
	require.Equal(t, []string{"x"}, s.Sorted())
	merge(t, s, crdt.NewSet[string](2).Add("y"))
	merge(t, own, s.Add("z"), s.State())
	require.Equal(t, []string{"x", "y", "z"}, own.Sorted())
	heard := 0
	own.Store().OnUpdate(func(crdt.Delta) { heard++ })
	own.Store().Observe(func(crdt.Change) { heard++ })
	refused := func(do func() crdt.Delta) {
		t.Helper()
		before, digest := own.State(), own.Digest()
		require.True(t, do().IsZero())
		var err *crdt.ExhaustedError
		require.ErrorAs(t, own.Store().Err(), &err)
		require.ErrorIs(t, err, crdt.ErrExhausted)
		require.Equal(t, crdt.ReplicaID(7), err.Replica)
		require.Equal(t, before, own.State())
		require.Equal(t, digest, own.Digest())
		require.Zero(t, heard)
	}
	refused(func() crdt.Delta { return own.Add("w") })
	refused(func() crdt.Delta { return own.Add("x") }) // which would have ended the event that is there
	refused(func() crdt.Delta {
		return own.Store().Update(func() {
			own.Remove("y")
			own.Add("w")
		})
	})
	d, err := own.Store().TryUpdate(func() { own.Add("w") })
	require.True(t, d.IsZero())
	require.ErrorIs(t, err, crdt.ErrExhausted)
	merge(t, s, own.Remove("x")) // takes no number
	require.NoError(t, own.Store().Err())
	require.Equal(t, []string{"y", "z"}, own.Sorted())
	require.Equal(t, own.State(), s.State())
	require.Positive(t, heard)
}

// An update that needs more numbers than are left takes none of them.
func TestTheLastEventNumberIsNotHalfAnUpdate(t *testing.T) {
	own := crdt.NewSet[string](7)
	merge(t, own, told(t, 1<<62-1))
	before := own.State()
	require.True(t, own.Add("one", "two").IsZero())
	require.ErrorIs(t, own.Store().Err(), crdt.ErrExhausted)
	require.Equal(t, before, own.State())
	last := own.Add("one")
	require.NoError(t, own.Store().Err())
	peer := crdt.NewSet[string](1)
	merge(t, peer, last)
	require.Equal(t, []string{"one"}, peer.Sorted())
	require.True(t, own.Digest().Seen(crdt.Dot{Node: 7, N: 1 << 62}))
	require.True(t, own.Add("two").IsZero())
}

func FuzzParseDelta(f *testing.F) {
	raw, _ := example().State().MarshalBinary()
	f.Add(raw[:len(raw)-4])
	raw, _ = crdt.NewCounter(7).Add(5).MarshalBinary()
	f.Add(raw[:len(raw)-4])
	raw, _ = crdt.NewSet[string](7).Add("a", "b").MarshalBinary()
	f.Add(raw[:len(raw)-4])
	s := crdt.NewStore(7)
	hits := crdt.At[*crdt.GCounter](s, "hits")
	hits.Add(1)
	hits.Add(2)
	s.Compact(s.Digest())
	raw, _ = s.State().MarshalBinary()
	f.Add(raw[:len(raw)-4])
	// Hostile: very many events in few bytes.
	f.Add(append([]byte{0xCA, 0x1D, 1, 4, 6, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f))
	f.Fuzz(func(t *testing.T, body []byte) {
		b := sum(body)
		d, err := crdt.ParseDelta(b, crdt.Limits{})
		if err != nil {
			return
		}
		again, _ := d.MarshalBinary()
		require.Equal(t, b, again)
		// What parses merges into a store that knows nothing of it, and comes out as it went in.
		joined, err := crdt.Join(d, d)
		require.NoError(t, err)
		twice, err := crdt.Join(joined, d)
		require.NoError(t, err)
		require.Equal(t, joined, twice)
		for piece := range d.Split(100) {
			require.False(t, piece.IsZero())
		}
		// One that knows takes it or leaves it.
		s := crdt.NewStore(1)
		m := crdt.At[*crdt.Map[string, *crdt.Set[int]]](s, "doc")
		m.At("x").Add(1)
		before := s.State()
		if changed, err := s.Merge(d); err != nil || !changed {
			require.Equal(t, before, s.State())
		}
		for _, v := range m.All() {
			v.Sorted()
		}
	})
}

func FuzzDigest(f *testing.F) {
	raw, _ := example().Digest().MarshalBinary()
	f.Add(raw)
	f.Add([]byte{0xCA, 0x1E, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d crdt.Digest
		if d.UnmarshalBinary(b) != nil {
			return
		}
		again, _ := d.MarshalBinary()
		require.Equal(t, b, again)
		s := example()
		s.Since(d)
		d.Lacks(s.Digest())
		s.Digest().Lacks(d)
	})
}
