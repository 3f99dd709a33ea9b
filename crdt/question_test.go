package crdt_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/testenv"
)

// talk is what was said until two replicas were equal.
type talk struct {
	bytes, rounds, longest int
}

// resync makes replicas equal by questions and answers, and counts. A round is a message, or several
// at once, from one to the other.
func resync(t require.TestingT, a, b *crdt.Store, size int) (n talk) {
	type letter struct {
		question crdt.Question
		patch    crdt.Delta
	}
	var to [2][]letter
	ask := func(s *crdt.Store, at int) {
		for _, q := range s.Questions(size) {
			to[at] = append(to[at], letter{question: q})
		}
	}
	ask(a, 1)
	ask(b, 0)
	stores := [2]*crdt.Store{a, b}
	for len(to[0])+len(to[1]) > 0 {
		require.Less(t, n.rounds, 20, "no end")
		n.rounds++
		now := to
		to = [2][]letter{}
		for at, letters := range now {
			s := stores[at]
			for _, l := range letters {
				n.bytes += l.question.Len() + l.patch.Len()
				n.longest = max(n.longest, l.question.Len())
				_, err := s.Merge(l.patch)
				require.NoError(t, err)
				raw, _ := l.question.MarshalBinary()
				var q crdt.Question
				require.NoError(t, q.UnmarshalBinary(raw))
				ans := s.Answer(q, size, math.MaxInt)
				require.False(t, ans.More)
				_, err = s.Merge(ans.Over)
				require.NoError(t, err)
				for _, d := range ans.Patch {
					to[1-at] = append(to[1-at], letter{patch: d})
				}
				for _, q := range ans.Questions {
					to[1-at] = append(to[1-at], letter{question: q})
				}
			}
		}
	}
	require.Equal(t, a.State(), b.State())
	return n
}

func TestQuestionsMakeReplicasEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 4).Draw(t, "replicas")
		sets := make([]*crdt.Set[int], n)
		for i := range sets {
			sets[i] = crdt.NewSet[int](crdt.ReplicaID(i*7 + 1))
		}
		wide := rapid.SampledFrom([]int{9, 3000}).Draw(t, "elements")
		who := rapid.IntRange(0, n-1)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				e := rapid.IntRange(0, wide).Draw(t, "element")
				es := make([]int, rapid.SampledFrom([]int{1, 2, 1500}).Draw(t, "many"))
				for i := range es {
					es[i] = (e + i) % (wide + 1)
				}
				sets[who.Draw(t, "who")].Add(es...)
			},
			"remove": func(t *rapid.T) {
				e := rapid.IntRange(0, wide).Draw(t, "element")
				sets[who.Draw(t, "who")].Remove(e, e+1, e+2)
			},
			"learn": func(t *rapid.T) {
				a, b := who.Draw(t, "from"), who.Draw(t, "to")
				pieces := []crdt.Delta{}
				for d := range sets[a].State().Split(rapid.SampledFrom([]int{60, 500, 1 << 20}).Draw(t, "piece")) {
					pieces = append(pieces, d)
				}
				if len(pieces) > 0 {
					_, err := sets[b].Merge(pieces[rapid.IntRange(0, len(pieces)-1).Draw(t, "told")])
					require.NoError(t, err)
				}
			},
		})
		size := rapid.SampledFrom([]int{0, 200, 1000, 1 << 16}).Draw(t, "size")
		talk := resync(t, sets[0].Store(), sets[1].Store(), size)
		require.LessOrEqual(t, talk.longest, max(size, 128))
		again := resync(t, sets[0].Store(), sets[1].Store(), size)
		require.Equal(t, 1, again.rounds, "equals had something to say")
	})
}

// What two replicas of many elements say to each other until they are equal, without a history, is
// in proportion to what differs. CALM_CHECKS makes it a million elements.
func TestQuestionsCostWhatDiffers(t *testing.T) {
	n := 100_000
	if testenv.Thorough() {
		n = 1_000_000
	}
	const churn = 2 // of so many events one lives
	for _, churned := range []bool{false, true} {
		a, b := crdt.NewSet[string](1), crdt.NewSet[string](2)
		element := func(i int) string { return fmt.Sprintf("elem-%08d", i) }
		all := make([]string, n)
		for i := range all {
			all[i] = element(i)
		}
		a.Add(all...)
		if churned {
			for i := 0; i < n; i += churn {
				a.Add(all[i]) // again: its first event is over
			}
		}
		_, err := b.Merge(a.State())
		require.NoError(t, err)

		equal := resync(t, a.Store(), b.Store(), 64<<10)
		require.Less(t, equal.bytes, 100, "for equal replicas")
		for _, d := range []int{1, 10, 100, 1000} {
			for i := range d {
				a.Add(fmt.Sprintf("more-%08d", d*10000+i))
			}
			adds := resync(t, a.Store(), b.Store(), 64<<10)
			require.LessOrEqual(t, adds.bytes, 60*d+4096, "%d adds", d)
			require.LessOrEqual(t, adds.rounds, 5)
			for i := range d {
				a.Remove(element((i*7919 + d*13) % n))
			}
			removals := resync(t, b.Store(), a.Store(), 64<<10)
			require.LessOrEqual(t, removals.bytes, 300*d+4096, "%d removals", d)
			require.LessOrEqual(t, removals.rounds, 5)
			both := [2]*crdt.Set[string]{a, b}
			for i := range d {
				both[i%2].Remove(element((i*7907 + d*17) % n))
				both[i%2].Add(fmt.Sprintf("both-%d-%d", i%2, d*10000+i))
			}
			mixed := resync(t, b.Store(), a.Store(), 64<<10)
			require.LessOrEqual(t, mixed.bytes, 360*d+4096, "%d changes on both sides", d)
			require.LessOrEqual(t, mixed.rounds, 6, "one more where both have seen what the other has not")
			t.Logf("%d elements, churned %v, d=%d: equal %d B; adds %d B, %d rounds; removals %d B, %d rounds; both sides %d B, %d rounds",
				n, churned, d, equal.bytes, adds.bytes, adds.rounds, removals.bytes, removals.rounds, mixed.bytes, mixed.rounds)
		}
	}
}

func TestQuestionRefuses(t *testing.T) {
	var q crdt.Question
	require.NoError(t, q.UnmarshalBinary(nil))
	require.True(t, q.IsZero())
	good, err := example().Questions(0)[0].MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, q.UnmarshalBinary(good))
	require.Equal(t, len(good), q.Len())
	for i := range good {
		require.ErrorIs(t, q.UnmarshalBinary(good[:i+1][:i]), map[bool]error{true: crdt.ErrCorrupt, false: nil}[i > 0], "cut at %d", i)
	}
	bad := append([]byte(nil), good...)
	bad[2] = 9
	require.ErrorIs(t, q.UnmarshalBinary(bad), crdt.ErrVersion)
}

// Answering a hostile question costs in proportion to it: many blocks of many runs, each of which differs.
func TestAnsweringCostsInProportion(t *testing.T) {
	s := crdt.NewSet[int](1)
	for i := range 40_000 {
		s.Add(i)
	}
	const n = 8000
	b := []byte{0xCA, 0x1F, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1} // one replica, one entry, of blocks
	b = binary.AppendUvarint(b, n)
	for range n {
		b = append(b, 1, 0) // every other event
	}
	b[len(b)-2*n] = 0
	b = binary.AppendUvarint(b, n)
	b = append(b, make([]byte, 8*n)...)
	var q crdt.Question
	require.NoError(t, q.UnmarshalBinary(b))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ans := s.Store().Answer(q, 64<<10, 1<<20)
	runtime.ReadMemStats(&after)
	require.NotEmpty(t, ans.Questions)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200*len(b)))
}

// Digests and questions that announce much and hold little do not take memory.
func TestQuestionsAndDigestsAllocateInProportion(t *testing.T) {
	id, much := []byte{0, 0, 0, 0, 0, 0, 0, 1}, []byte{0xff, 0xff, 0xff, 0xff, 0x3f}
	seen := append([]byte{0xCA, 0x1F, 1, 0, 1}, append(id, 1)...)
	for name, b := range map[string][]byte{
		"digest of many replicas":   append([]byte{0xCA, 0x1E, 1}, much...),
		"digest of many runs":       append(append([]byte{0xCA, 0x1E, 1, 1}, id...), much...),
		"digest of many that live":  append(append([]byte{0xCA, 0x1E, 1, 1}, id...), append([]byte{1, 0, 9}, much...)...),
		"question of many replicas": append([]byte{0xCA, 0x1F, 1, 0}, much...),
		"question of many entries":  append(append([]byte{0xCA, 0x1F, 1, 0, 1}, id...), much...),
		"question of many runs":     append(append([]byte{}, seen...), append([]byte{2}, much...)...),
		"question of many blocks":   append(append([]byte{}, seen...), append([]byte{1, 1, 0, 9}, much...)...),
		"question of a long bitmap": append(append([]byte{}, seen...), append(append([]byte{3, 1, 0}, much...), 1)...),
	} {
		b = append(b, make([]byte, 1000)...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var d crdt.Digest
		var q crdt.Question
		err := errors.Join(d.UnmarshalBinary(b), q.UnmarshalBinary(b))
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, crdt.ErrCorrupt, name)
		require.True(t, d.IsZero() && q.IsZero(), name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200*len(b)), name)
	}
}

func FuzzQuestion(f *testing.F) {
	a := example()
	for _, size := range []int{0, 1 << 16} {
		for _, q := range a.Questions(size) {
			raw, _ := q.MarshalBinary()
			f.Add(raw)
		}
	}
	b := crdt.NewSet[int](1)
	for i := range 5000 {
		b.Add(i % 3000)
	}
	c := crdt.NewSet[int](2)
	_, _ = c.Merge(b.State())
	b.Remove(7, 8, 2000)
	for qs := b.Store().Questions(1000); len(qs) > 0; {
		ans := c.Store().Answer(qs[0], 1000, 1<<20)
		for _, q := range ans.Questions {
			raw, _ := q.MarshalBinary()
			f.Add(raw)
		}
		qs = ans.Questions
		b, c = c, b
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var q crdt.Question
		if q.UnmarshalBinary(raw) != nil {
			return
		}
		for _, s := range []*crdt.Store{example(), b.Store(), c.Store()} {
			before := s.Fingerprint()
			ans := s.Answer(q, 0, 1<<20)
			require.Equal(t, before, s.Fingerprint())
			_, err := s.Learn(ans.Over)
			require.NoError(t, err)
			for _, q := range append(ans.Questions, s.Questions(0)...) {
				raw, _ := q.MarshalBinary()
				require.NoError(t, new(crdt.Question).UnmarshalBinary(raw))
			}
		}
	})
}
