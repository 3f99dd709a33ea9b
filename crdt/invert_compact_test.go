package crdt

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Undoing what Compact has fused: the same is done in two worlds, of which only one ever fuses, and
// every replica counts the same in both. In the other world what was fused in the first is undone as
// Invert says that it is, by adding the opposite, once.

// twin is a replica in both worlds.
type twin struct {
	store [2]*Store // the first one fuses
	tally [2]*Map[string, *Counter]
	last  [2]uint64 // the number of its last event
}

// deed is what a replica did, in both worlds.
type deed struct {
	by     int
	key    string
	delta  [2]Delta
	event  [2]uint64 // that it made: an addition, to be undone
	amount int64
	ends   bool // it only ended events, which may be undone as well
	fused  bool // the event was, in the first world
	off    bool // and was taken off
}

type twins struct {
	t     *rapid.T
	hosts []twin
	deeds []*deed
	undos int // of what was fused, and counted
	idle  int // of what was fused, and was over
}

func newTwins(t *rapid.T, n int) *twins {
	w := &twins{t: t}
	for i := range n {
		var h twin
		for k := range h.store {
			h.tally[k] = NewMap[string, *Counter](ReplicaID(i + 1))
			h.store[k] = h.tally[k].Store()
		}
		w.hosts = append(w.hosts, h)
	}
	return w
}

func (w *twins) host() int   { return rapid.IntRange(0, len(w.hosts)-1).Draw(w.t, "host") }
func (w *twins) key() string { return rapid.SampledFrom([]string{"x", "x", "y"}).Draw(w.t, "key") }

// note keeps what was done; an event that was made has the last number.
func (w *twins) note(d *deed) {
	h := &w.hosts[d.by]
	for k, s := range h.store {
		if s.own >= 0 {
			if last := s.lanes[s.own].seen.Max(); last > h.last[k] && d.amount != 0 {
				d.event[k] = last
			}
			h.last[k] = s.lanes[s.own].seen.Max()
		}
	}
	if !d.delta[0].IsZero() || !d.delta[1].IsZero() {
		w.deeds = append(w.deeds, d)
	}
}

func (w *twins) lives(host, world int, seq uint64) bool {
	s := w.hosts[host].store[world]
	_, ok := s.lanes[s.own].lookup(seq)
	return ok
}

// deed returns something that was done, nil if nothing was.
func (w *twins) deed() *deed {
	if len(w.deeds) == 0 {
		return nil
	}
	return w.deeds[rapid.IntRange(0, len(w.deeds)-1).Draw(w.t, "deed")]
}

// agree reports whether a replica counts the same in both worlds, as it does but for a while: a reset of
// what was fused may arrive before the fuse.
func (w *twins) agree(host int, key string) bool {
	h := w.hosts[host]
	return h.tally[0].At(key).Value() == h.tally[1].At(key).Value()
}

func (w *twins) add() {
	d := &deed{by: w.host(), key: w.key(), amount: rapid.Int64Range(1, 1000).Draw(w.t, "amount")}
	for k := range d.delta {
		d.delta[k] = w.hosts[d.by].tally[k].At(d.key).Add(d.amount)
	}
	w.note(d)
}

func (w *twins) reset() {
	d := &deed{by: w.host(), key: w.key(), ends: true}
	if !w.agree(d.by, d.key) {
		return
	}
	for k := range d.delta {
		d.delta[k] = w.hosts[d.by].tally[k].Remove(d.key)
	}
	w.note(d)
}

func (w *twins) compact() {
	d := &deed{by: w.host()}
	s := w.hosts[d.by].store[0]
	stable := s.Digest()
	for _, h := range w.hosts {
		stable = stable.Meet(h.store[0].Digest())
	}
	stop := s.OnUpdate(func(told Delta) { d.delta[0] = told })
	var lived []*deed
	for _, o := range w.deeds {
		if o.by == d.by && o.event[0] > 0 && w.lives(d.by, 0, o.event[0]) {
			lived = append(lived, o)
		}
	}
	s.Compact(stable)
	stop()
	for _, o := range lived {
		o.fused = !w.lives(d.by, 0, o.event[0])
	}
	w.note(d)
}

func (w *twins) undo() {
	d := w.deed()
	if d == nil || d.event[0] == 0 && !d.ends {
		return
	}
	if !w.agree(d.by, d.key) {
		return
	}
	h := w.hosts[d.by]
	u := &deed{by: d.by, key: d.key}
	if d.event[0] > 0 {
		u.amount, u.ends = -d.amount, w.lives(d.by, 0, d.event[0])
	}
	u.delta[0] = h.store[0].Invert(d.delta[0])
	switch {
	case d.fused:
		counts := !d.off && w.lives(d.by, 1, d.event[1])
		require.Equal(w.t, counts, !u.delta[0].IsZero(), "undone if it counts")
		if counts {
			u.delta[1] = h.tally[1].At(d.key).Add(-d.amount)
			d.off = true
			w.undos++
		} else {
			w.idle++
		}
	default:
		u.delta[1] = h.store[1].Invert(d.delta[1])
		if d.event[0] == 0 && d.amount != 0 {
			u.amount = -d.amount // it was an undoing: this does again
		}
	}
	require.True(w.t, w.agree(d.by, d.key))
	w.note(u)
}

func (w *twins) deliver() {
	if d := w.deed(); d != nil {
		w.merge(w.host(), d)
	}
}

func (w *twins) merge(to int, d *deed) {
	for k, s := range w.hosts[to].store {
		_, err := s.Merge(d.delta[k])
		require.NoError(w.t, err)
	}
}

func (w *twins) pull() {
	from, to := w.host(), w.host()
	for k, s := range w.hosts[to].store {
		_, err := s.Merge(w.hosts[from].store[k].State())
		require.NoError(w.t, err)
	}
}

// check has everything arrive, and compares the worlds.
func (w *twins) check() {
	for i, h := range w.hosts {
		for _, d := range w.deeds {
			w.merge(i, d)
		}
		for _, key := range []string{"x", "y"} {
			require.Equal(w.t, h.tally[1].At(key).Value(), h.tally[0].At(key).Value(), "%q at %d", key, i+1)
		}
		require.Equal(w.t, w.hosts[0].store[0].State(), h.store[0].State())
	}
}

func TestInvertOfWhatWasFused(t *testing.T) {
	undos, idle := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newTwins(t, rapid.IntRange(2, 3).Draw(t, "replicas"))
		// It begins with something to fuse, of which perhaps not all arrives before a reset.
		for range rapid.IntRange(2, 4).Draw(t, "additions") {
			w.add()
			w.deliver()
		}
		if rapid.Bool().Draw(t, "reset") {
			w.reset()
		}
		w.check()
		w.compact()
		act := func(f func()) func(*rapid.T) { return func(*rapid.T) { f() } }
		t.Repeat(map[string]func(*rapid.T){
			"add": act(w.add), "add more": act(w.add), "reset": act(w.reset), "compact": act(w.compact), "undo": act(w.undo),
			"undo another": act(w.undo), "deliver": act(w.deliver), "deliver another": act(w.deliver), "pull": act(w.pull),
		})
		w.check()
		undos, idle = undos+w.undos, idle+w.idle
	})
	t.Logf("undone after they were fused: %d that counted, %d that were over", undos, idle)
	if !testing.Short() { // which draws too few to be sure
		require.NotZero(t, undos)
	}
}

// The cases one by one, for people.
func TestInvertOfWhatWasFusedCaseByCase(t *testing.T) {
	type world struct {
		m, peer *Map[string, *Counter]
		deltas  []Delta
	}
	begin := func() *world { // 1 + 10 + 100
		w := &world{m: NewMap[string, *Counter](1), peer: NewMap[string, *Counter](2)}
		for _, n := range []int64{1, 10, 100} {
			w.deltas = append(w.deltas, w.m.At("k").Add(n))
		}
		return w
	}
	sync := func(w *world) {
		for range 2 {
			for _, pair := range [][2]*Store{{w.m.Store(), w.peer.Store()}, {w.peer.Store(), w.m.Store()}} {
				_, err := pair[0].Merge(pair[1].State())
				require.NoError(t, err)
			}
		}
	}
	fuse := func(w *world) int {
		sync(w)
		return w.m.Store().Compact(w.m.Digest().Meet(w.peer.Digest()))
	}
	value := func(w *world) int64 { return w.m.At("k").Value() }

	w := begin() // reset alone, by one who had not the first yet
	_, err := w.peer.Merge(w.deltas[1])
	require.NoError(t, err)
	w.peer.Remove("k")
	require.Equal(t, 1, fuse(w))
	require.True(t, w.m.Store().Invert(w.deltas[1]).IsZero(), "it is over")
	require.Equal(t, int64(101), value(w))

	w = begin() // undone before
	w.m.Store().Invert(w.deltas[1])
	require.Equal(t, 1, fuse(w))
	require.True(t, w.m.Store().Invert(w.deltas[1]).IsZero(), "it is undone")
	require.Equal(t, int64(101), value(w))

	w = begin() // undone once, done again, undone again
	require.Equal(t, 2, fuse(w))
	undo := w.m.Store().Invert(w.deltas[1])
	require.True(t, w.m.Store().Invert(w.deltas[1]).IsZero(), "it is undone")
	require.Equal(t, int64(101), value(w))
	redo := w.m.Store().Invert(undo)
	require.Equal(t, int64(111), value(w))
	w.m.Store().Invert(redo)
	require.Equal(t, int64(101), value(w))

	w = begin() // fused twice; then part of a delta is fused
	require.Equal(t, 2, fuse(w))
	w.deltas = append(w.deltas, w.m.At("k").Add(1000))
	require.Equal(t, 1, fuse(w))
	w.deltas = append(w.deltas, w.m.At("k").Add(10_000))
	some, err := Join(w.deltas[1], w.deltas[3], w.deltas[4])
	require.NoError(t, err)
	w.m.Store().Invert(some)
	require.Equal(t, int64(101), value(w))
	sync(w)
	require.True(t, w.peer.Store().Invert(w.deltas[0]).IsZero(), "it made none of it")
	require.Equal(t, int64(101), w.peer.At("k").Value())

	w = begin() // the opposite is an addition like any other
	require.Equal(t, 2, fuse(w))
	sync(w)
	w.peer.Remove("k")
	w.m.Store().Invert(w.deltas[1])
	sync(w)
	require.Equal(t, int64(-10), value(w))

	w = begin() // what the log refuses has not been
	refuse := refusal{}
	sync(w)
	w.m.Store().SetLog(refuse)
	require.Zero(t, fuse(w))
	w.m.Store().SetLog(nil)
	w.peer.Remove("k")
	sync(w)
	w.m.At("k").Add(5) // under the number that the fuse had
	require.True(t, w.m.Store().Invert(w.deltas[1]).IsZero())
	require.Equal(t, int64(5), value(w))

	w = begin()
	require.Equal(t, 2, fuse(w))
	w.m.Store().SetLog(refuse)
	require.True(t, w.m.Store().Invert(w.deltas[1]).IsZero())
	require.Error(t, w.m.Store().Err())
	w.m.Store().SetLog(nil)
	w.m.Store().Invert(w.deltas[1])
	require.Equal(t, int64(101), value(w))

	w = begin() // those that were fused last are remembered
	for range maxFates {
		w.deltas = append(w.deltas, w.m.At("k").Add(1))
	}
	require.Equal(t, maxFates+2, fuse(w))
	require.True(t, w.m.Store().Invert(w.deltas[2]).IsZero())
	require.False(t, w.m.Store().Invert(w.deltas[3]).IsZero())
	require.LessOrEqual(t, len(w.m.Store().tallies.fates.into), maxFates)
}

// refusal is a log that is always full.
type refusal struct{}

func (refusal) Append(Delta, bool) error { return errors.New("full") }
