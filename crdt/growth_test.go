package crdt

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/internal/testenv"
)

// An element costs a node and its entry in a lane and in the table. A field more would cost eight bytes.
func TestANodeIsSmall(t *testing.T) {
	if strconv.IntSize == 64 {
		require.EqualValues(t, 48, reflect.TypeFor[node]().Size())
	}
}

// much returns how much to check: few in -short or if CALM_CHECKS is below 1, many if it is above 1.
func much(few, usual, many int) int {
	switch {
	case testing.Short() || testenv.Checks(100) < 100:
		return few
	case testenv.Thorough():
		return many
	}
	return usual
}

func appendSum(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// A delta of 8 MB, or 100 MB with CALM_CHECKS, goes in frames: each is a delta of at most the size
// that stands by itself, and in any order they come to the same as the whole.
func TestAHugeDeltaInFrames(t *testing.T) {
	whole, frame := much(1<<20, 8<<20, 100<<20), 64<<10
	type doc struct {
		Pages *Map[int, *LWW[string]] `crdt:"1"`
		Tags  *Set[string]            `crdt:"2"`
	}
	a := NewStore(1)
	da := OpenStruct[doc](a, "doc")
	rng := rand.New(rand.NewPCG(1, 2))
	letters := make([]byte, 1<<16)
	for i := range letters {
		letters[i] = byte(rng.Uint32())
	}
	text := func(n int) string {
		from := rng.IntN(len(letters) - n)
		return strings.Clone(string(letters[from : from+n]))
	}
	for total, i := 0, 0; total < whole; i++ { // pages of up to 32 kB, with a short one and two tags between them
		p := text(rng.IntN(32 << 10))
		total += len(p)
		a.Update(func() {
			da.Pages.At(2*i).Set(clock.Timestamp(i+1), p)
			da.Pages.At(2*i+1).Set(clock.Timestamp(i+1), "short")
			da.Tags.Add(strconv.Itoa(i), strconv.Itoa(-i))
		})
		if i%3 == 0 {
			da.Tags.Remove(strconv.Itoa(i))
		}
	}
	d := a.State()
	require.GreaterOrEqual(t, d.Len(), whole)

	var frames []Delta
	bytes := 0
	for f := range d.Split(frame) {
		require.LessOrEqual(t, f.Len(), frame)
		frames = append(frames, rewritten(t, f))
		bytes += f.Len()
	}
	require.Less(t, bytes, d.Len()+d.Len()/10, "frames cost little more than the whole")
	require.Less(t, len(frames), 3*d.Len()/frame+2)
	rng.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
	b := NewStore(2)
	for _, f := range frames {
		_, err := b.Merge(f)
		require.NoError(t, err)
	}
	require.True(t, slices.Equal(d.b, b.State().b))
	joined, err := Join(frames...)
	require.NoError(t, err)
	require.True(t, slices.Equal(d.b, joined.b))

	// Of a receiver that has half of it, what it lacks goes in frames too.
	half := NewStore(3)
	for _, f := range frames[:len(frames)/2] {
		_, err := half.Merge(f)
		require.NoError(t, err)
	}
	for f := range a.Since(half.Digest()).Split(frame) {
		_, err := half.Merge(f)
		require.NoError(t, err)
	}
	require.True(t, slices.Equal(d.b, half.State().b))
}

// Frames that name long places, each for the sake of one short event, are not too long either.
func TestFramesOfLongPlaces(t *testing.T) {
	const n, frame = 400, 4 << 10
	m := NewMap[string, *Set[int]](1)
	m.Store().Update(func() {
		for i := range n {
			long := strings.Repeat("long", 50)
			if i == 0 {
				long = strings.Repeat("long", 900) // little has room beside it
			}
			m.At(long + strconv.Itoa(i)).Add(i)
		}
	})
	got := NewMap[string, *Set[int]](2)
	frames := 0
	for f := range m.State().Split(frame) {
		require.LessOrEqual(t, f.Len(), frame)
		_, err := got.Merge(f)
		require.NoError(t, err)
		frames++
	}
	require.Equal(t, m.State().b, got.State().b)
	require.Less(t, frames, m.State().Len()*5/4/frame+2)
}

// Frames of little from each of many replicas are as few as if it were from one: what lives and what is
// over, what many have done and what one has.
func TestFramesOfManyReplicas(t *testing.T) {
	const replicas, frame = 1000, 1400
	all, watcher := NewSet[int](1<<40), NewSet[int](1<<41)
	for i := range replicas {
		one := NewSet[int](ReplicaID(i + 1))
		learn(t, all, one.Add(i))
		learn(t, all, one.Add(i+replicas))
	}
	whole := all.State()
	learn(t, watcher, whole)
	before := all.Digest()
	fewest := func(d Delta) (ds []Delta) {
		t.Helper()
		for f := range d.Split(frame) {
			require.LessOrEqual(t, f.Len(), frame)
			ds = append(ds, f)
		}
		require.LessOrEqual(t, len(ds), d.Len()/(frame*9/10)+1, "%d bytes", d.Len())
		return ds
	}
	got := NewSet[int](1 << 42)
	learn(t, got, fewest(whole)...)
	require.Equal(t, whole.b, got.State().b)
	one := NewSet[int](1 << 45) // what lives and what is over of one replica meet in a frame
	for i := range 900 {
		one.Add(i % 800)
	}
	copied := NewSet[int](1 << 46)
	for f := range one.State().Split(frame) {
		learn(t, copied, rewritten(t, f))
	}
	require.Equal(t, one.State().b, copied.State().b)
	all.Store().Update(func() {
		for i := range replicas {
			all.Remove(i) // of each replica one of its two
		}
	})
	removed := all.Since(before)
	learn(t, got, fewest(removed)...)
	require.Equal(t, all.State().b, got.State().b)
	both := NewSet[int](1 << 43)
	for f := range all.State().Split(frame) { // each replica is in two: what lives comes before what is over
		require.LessOrEqual(t, f.Len(), frame)
		learn(t, both, f)
	}
	require.Equal(t, all.State().b, both.State().b)

	// So are those of an answer.
	question := watcher.Store().Questions(1 << 20)[0]
	ans := all.Store().Answer(question, frame, 1<<20)
	require.Empty(t, ans.Patch, "before it knows what lives there")
	ask := func(asker, asked *Set[int]) (frames int) {
		t.Helper()
		for qs := asker.Store().Questions(1 << 20); len(qs) > 0; {
			ans := asked.Store().Answer(qs[0], frame, 1<<20)
			learn(t, asker, ans.Patch...)
			frames += len(ans.Patch)
			back := ans.Questions
			for qs = qs[1:]; len(back) > 0; back = back[1:] {
				then := asker.Store().Answer(back[0], frame, 1<<20)
				learn(t, asker, then.Over)
				qs = append(qs, then.Questions...)
			}
		}
		return frames
	}
	require.LessOrEqual(t, ask(NewSet[int](1<<44), all), all.State().Len()/(frame*9/10)+1) // here not
	ask(watcher, all)
	require.Equal(t, all.State().b, watcher.State().b)
}

// Who lacks a whole state asks for it piece by piece, and all pieces together are written once: an answer
// costs what it tells, however much is left, and what is over leaves no gaps to ask for.
func TestAnswersAreWrittenOnce(t *testing.T) {
	const n, frame, most = 30_000, 8 << 10, 64 << 10
	a := NewSet[string](1)
	a.Store().Update(func() {
		for i := range n {
			a.Add("element " + strconv.Itoa(i))
		}
	})
	for i := 0; i < n; i += 2 {
		a.Add("element " + strconv.Itoa(i)) // its first event is over
	}
	b, bytes, asked, answers := NewSet[string](2), 0, 0, 0
	for more := true; more; answers++ {
		qs := b.Store().Questions(frame)
		require.Len(t, qs, 1)
		asked += qs[0].Len()
		ans := a.Store().Answer(qs[0], frame, most)
		more = ans.More
		told := 0
		for i, d := range ans.Patch {
			require.LessOrEqual(t, d.Len(), frame)
			if i%5 == answers%5 && more { // on its way it is lost: it is asked for again
				continue
			}
			told += d.Len()
			learn(t, b, d)
		}
		bytes += told
		require.Less(t, told, most+frame)
		if answers == 3 { // meanwhile the state changes
			a.Add("more")
			a.Remove("element 1")
		}
	}
	require.False(t, a.Store().Answer(b.Store().Questions(frame)[0], frame, 0).More)
	learn(t, b, a.Since(b.Digest()))
	require.Equal(t, a.State().b, b.State().b)
	require.Less(t, bytes, a.State().Len()*11/10)
	require.Less(t, asked, answers*400, "a gap for each frame that was lost, and no more")
	require.Empty(t, a.Store().Answer(NewSet[int](3).Store().Questions(frame)[0], frame, 0).Patch)
	require.True(t, a.Store().Answer(NewSet[int](3).Store().Questions(frame)[0], frame, 0).More)
}

// A million re-adds, and a million elements that came and went, leave a few bytes a replica, in the
// wire form and in memory.
func TestWhatIsOverLeavesNothing(t *testing.T) {
	n := much(50_000, 1_000_000, 4_000_000)
	const replicas = 4
	sets := make([]*Set[string], replicas)
	for i := range sets {
		sets[i] = NewSet[string](ReplicaID(i + 1))
	}
	meet := func() {
		for range 2 {
			for _, a := range sets {
				for _, b := range sets {
					_, err := b.Merge(a.Since(b.Digest()))
					require.NoError(t, err)
				}
			}
		}
	}
	small := func(live int) {
		t.Helper()
		meet()
		for _, s := range sets {
			require.Equal(t, live, s.Len())
			require.LessOrEqual(t, s.State().Len(), 32+replicas*24)
			require.LessOrEqual(t, s.store.tree.count, uint32(64))
			require.LessOrEqual(t, len(s.store.tree.table.slots), 128)
			for i := range s.store.lanes {
				l := &s.store.lanes[i]
				require.Len(t, l.seen.Runs(), 1)
				require.LessOrEqual(t, len(l.seqs), 64)
				require.LessOrEqual(t, cap(l.seqs), 4*64+64)
			}
		}
	}
	for i := range n { // the same few elements again and again
		sets[i%replicas].Add("milk")
		if i%(n/8) == 0 {
			meet()
		}
	}
	small(1)
	for i := range n { // always others
		s, e := sets[i%replicas], strconv.Itoa(i)
		s.Add(e)
		s.Remove(e)
	}
	small(1)
	for _, s := range sets {
		s.Remove("milk")
	}
	small(0)
}

// buffers returns how many bytes the slices of a struct have room for.
func buffers(v reflect.Value) int {
	n := 0
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			n += buffers(v.Field(i))
		}
	case reflect.Slice:
		n = v.Cap() * int(v.Type().Elem().Size())
		for i := range v.Len() {
			n += buffers(v.Index(i))
		}
	}
	return n
}

// What a store works with it gives back: it keeps little of it, and never more than in proportion to what
// was done last.
func TestAnIdleStoreKeepsLittle(t *testing.T) {
	idle := func(s *Store) int {
		v := reflect.ValueOf(s).Elem()
		return buffers(v.FieldByName("merger")) + buffers(v.FieldByName("encoder")) + buffers(v.FieldByName("tx"))
	}
	type doc = *Map[int, *LWW[string]]
	a, b := Open[doc](1), Open[doc](2)
	write := func(n int) Delta {
		return a.store.Update(func() {
			for i := range n {
				a.At(i).Set(clock.Timestamp(i+1), "some text")
			}
		})
	}
	const few = 32 << 10
	for _, n := range []int{1, 10, 1000, 3000, 50_000, 3000} {
		_, err := b.Merge(write(n))
		require.NoError(t, err)
		require.Less(t, idle(a.store), few+400*n)
		require.Less(t, idle(b.store), few+400*n)
		require.Less(t, idle(a.store), 1<<20, "after %d", n)
		require.Less(t, idle(b.store), 1<<20, "after %d", n)
		for range 2 { // a little more
			_, err = b.Merge(write(1))
			require.NoError(t, err)
		}
		require.Less(t, idle(a.store), few, "after %d and 1", n)
		require.Less(t, idle(b.store), few, "after %d and 1", n)
	}
	for i := range 10_000 {
		if i%2 == 0 {
			a.Remove(i) // gaps
		}
	}
	_, err := b.Merge(a.State())
	require.NoError(t, err)
	_, err = b.Merge(a.store.Update(func() {
		for i := range 40_000 {
			a.Remove(i)
		}
	}))
	require.NoError(t, err)
	b.State()
	require.Less(t, idle(a.store), few)
	require.Less(t, idle(b.store), few)
}

// Deltas that come from the last to the first, with gaps between them, leave what is there in its place.
func TestGapsFromTheLastToTheFirst(t *testing.T) {
	const n = 20_000
	a, b, want := NewSet[int](1), NewSet[int](2), NewSet[int](3)
	ds := make([]Delta, n)
	for i := range ds {
		ds[i] = a.Add(i)
	}
	moved := 0
	var last *uint64
	for i := n - 1; i >= 0; i-- {
		if i%10 == 3 || i%10 == 5 {
			continue // never heard of
		}
		_, err := b.Merge(ds[i])
		require.NoError(t, err)
		l := &b.store.lanes[0]
		if at := &l.seqs[len(l.seqs)-1]; at != last {
			last = at
			moved++
		}
	}
	require.LessOrEqual(t, moved, 60) // each time while it is short, then as it doubles
	require.Len(t, b.store.lanes[0].seen.Runs(), n/10*2+1)
	for i, d := range ds {
		if i%10 != 3 && i%10 != 5 {
			_, err := want.Merge(d)
			require.NoError(t, err)
		}
	}
	require.Equal(t, want.State(), b.State())
	for i := n - 1; i >= 0; i-- { // also where it stands somewhere in the first half
		if i%10 == 3 || i%10 == 5 && i < n/3 {
			for _, s := range []*Set[int]{want, b} {
				_, err := s.Merge(ds[i])
				require.NoError(t, err)
			}
		}
	}
	require.Equal(t, want.State(), b.State())
	b.Clear()
	require.Nil(t, b.store.lanes[0].front)
	require.LessOrEqual(t, cap(b.store.lanes[0].seqs), 4*64+64)
}

// A deleted key leaves no byte: what is left is the same whatever the key was and held.
func TestADeletedKeyLeavesNothing(t *testing.T) {
	gone := func(key string, keys, entries int) Delta {
		s := NewStore(1)
		for k := range keys {
			m := At[*Map[string, *Set[int]]](s, key+strconv.Itoa(k))
			s.Update(func() {
				for i := range entries {
					m.At(strings.Repeat("entry", 20)).Add(i)
				}
			})
		}
		for k := range keys {
			s.Delete(key + strconv.Itoa(k))
		}
		require.Equal(t, uint32(0), s.tree.at(rootSlot).live())
		require.Equal(t, 0, s.tree.table.full)
		return s.State()
	}
	// 120 events under any keys are told in the same bytes.
	want := gone("a", 1, 120)
	require.True(t, slices.Equal(want.b, gone(strings.Repeat("long", 1000), 1, 120).b))
	require.True(t, slices.Equal(want.b, gone("b", 120, 1).b))
	require.True(t, slices.Equal(want.b, gone("c", 10, 12).b))
	require.LessOrEqual(t, want.Len(), headerLen+1+8+3+1+checksumLen)
	require.LessOrEqual(t, gone("d", 1000, 10).Len(), want.Len()+1)
}

// Fifty replicas that got the same in fifty orders encode it in the same bytes, again and again.
func TestFiftyEncodingsAreOne(t *testing.T) {
	var ds []Delta
	docs := make([]*replica, 3)
	for i := range docs {
		docs[i] = newReplica(ReplicaID(i + 1))
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 200 {
		r := docs[rng.IntN(len(docs))]
		k := string(rune('a' + rng.IntN(4)))
		ds = append(ds, r.Update(func() {
			r.doc.Seen.Add(k)
			r.doc.Stock.At(k).At(uint8(rng.IntN(3))).Add(int64(i))
			r.doc.Tags.At(k).Add(rng.IntN(5))
			r.doc.Notes.At([2]bool{i%2 == 0, true}).Set(clock.Timestamp(i+1)<<16, float64(i))
		}))
		switch rng.IntN(4) {
		case 0:
			ds = append(ds, r.doc.Stock.Remove(k))
		case 1:
			ds = append(ds, r.doc.Tags.At(k).Clear())
		case 2:
			_, err := docs[rng.IntN(len(docs))].Merge(ds[rng.IntN(len(ds))])
			require.NoError(t, err)
		}
	}
	all, err := Join(ds...)
	require.NoError(t, err)
	for i := range 50 {
		rng.Shuffle(len(ds), func(i, j int) { ds[i], ds[j] = ds[j], ds[i] })
		s := newReplica(ReplicaID(100 + i))
		for _, d := range ds {
			_, err := s.Merge(d)
			require.NoError(t, err)
		}
		require.True(t, slices.Equal(all.b, s.State().b), "order %d", i)
		require.True(t, slices.Equal(all.b, s.State().b), "order %d, again", i)
		require.True(t, slices.Equal(all.b, bare(rewritten(t, s.State())).State().b), "order %d, read back", i)
	}
}
