package crdt

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/interval"
	"github.com/go-calm/calm/internal/testenv"
)

// The rule of Compact is not in the literature, so it is not sampled but executed: every schedule of
// a small world, in which counters are added to, reset and fused, deltas arrive late, doubled and
// in any order, states are pulled, and stability is known as late as one likes.

// fuser compacts a replica's events at counters; the planted bugs are other ones than Compact.
type fuser func(s *Store, members []Digest) int

type mutant struct {
	name string
	fuse fuser
}

func compact(s *Store, members []Digest) int {
	stable := s.Digest()
	for _, d := range members {
		stable = stable.Meet(d)
	}
	return s.Compact(stable)
}

// tally is one replica of the world, and what it knows by the specification.
type tally struct {
	store *Store
	knows uint32   // the operations that it has seen, a bit each
	past  []Digest // what it had at any time
}

// told is a delta under way, and the operations that it tells.
type told struct {
	delta Delta
	knows uint32
}

// tallyWorld is some replicas of a counter, and what ever happened.
type tallyWorld struct {
	hosts  []tally
	sent   []told
	resets []uint32 // by operation: what a reset saw, and itself; 0 for an addition, of 1<<its number
	fuses  uint32   // which operations are fuses, which count nothing
	trail  []string
}

func (h *tally) counter() *Counter { return At[*Counter](h.store, "c") }

func (h tally) clone() tally {
	s := NewStore(h.store.self)
	At[*Counter](s, "c")
	if _, err := s.Merge(h.store.State()); err != nil {
		panic(err)
	}
	if h.store.own >= 0 {
		s.own = s.lane(s.self)
	}
	return tally{s, h.knows, slices.Clip(h.past)}
}

func (w *tallyWorld) clone() *tallyWorld {
	out := &tallyWorld{fuses: w.fuses, sent: slices.Clip(w.sent), resets: slices.Clip(w.resets), trail: slices.Clip(w.trail)}
	for _, h := range w.hosts {
		out.hosts = append(out.hosts, h.clone())
	}
	return out
}

func newTallyWorld(replicas int) *tallyWorld {
	w := &tallyWorld{}
	for i := range replicas {
		h := tally{store: NewStore(ReplicaID(i + 1))}
		h.counter()
		h.past = []Digest{h.store.Digest()}
		w.hosts = append(w.hosts, h)
	}
	return w
}

// want is the specification: what was added and not reset by who had seen it.
//
// A reset of what was fused tells of the fused event alone, so where it comes before the fuse it has
// no effect yet, and nothing is wanted. (Nodes take deltas in order; without fuses a reset never
// waits.)
func (w *tallyWorld) want(knows uint32) (sum int64, ok bool) {
	left := knows &^ w.fuses
	for op, saw := range w.resets {
		if knows>>op&1 == 1 && saw != 0 {
			left &^= saw
			if saw&w.fuses&^knows != 0 {
				return 0, false
			}
		}
	}
	return int64(left), true
}

func (w *tallyWorld) operate(i int, reset bool) {
	h, op := &w.hosts[i], len(w.resets)
	var d Delta
	saw := uint32(0)
	if reset {
		saw = uint32(h.counter().Value()) | h.knows&w.fuses | 1<<op
		d = h.store.Delete("c")
	} else {
		d = h.counter().Add(1 << op)
	}
	w.resets = append(w.resets, saw)
	h.knows |= 1 << op
	w.sent = append(w.sent, told{d, 1 << op})
}

func (w *tallyWorld) fuse(i int, f fuser, members []Digest) int {
	h := &w.hosts[i]
	stop := h.store.OnUpdate(func(d Delta) {
		op := uint32(1) << len(w.resets)
		w.resets = append(w.resets, 0)
		w.fuses |= op
		h.knows |= op
		own := &h.store.lanes[h.store.own]
		last := len(own.seqs) - 1
		sum := tallySum(h.store.tree.dot(own.slots[last], uint32(h.store.own), own.seqs[last]).payload)
		w.sent = append(w.sent, told{d, op | uint32(sum)})
	})
	defer stop()
	return f(h.store, members)
}

func (w *tallyWorld) merge(i int, d Delta, knows uint32) error {
	w.hosts[i].knows |= knows
	_, err := w.hosts[i].store.Merge(d)
	return err
}

// pull is a whole state, one way.
func (w *tallyWorld) pull(i, j int) error {
	return w.merge(i, w.hosts[j].store.State(), w.hosts[j].knows)
}

// exchange is what each lacks, there and back again: a replica has to hear of a fuse to tell that what
// it fused was reset.
func (w *tallyWorld) exchange(i, j int) error {
	for _, way := range [][2]int{{j, i}, {i, j}, {j, i}} {
		to, from := way[0], way[1]
		if err := w.merge(to, w.hosts[from].store.Since(w.hosts[to].store.Digest()), w.hosts[from].knows); err != nil {
			return err
		}
	}
	return nil
}

// ask is a pull by questions; the one that is asked learns what it answers is over.
func (w *tallyWorld) ask(i, j int) error {
	asker, asked := i, j
	qs := w.hosts[asker].store.Questions(1 << 10)
	both := w.hosts[i].knows | w.hosts[j].knows
	for range 8 {
		var next []Question
		for _, q := range qs {
			a := w.hosts[asked].store.Answer(q, 1<<10, 1<<20)
			for _, d := range a.Patch {
				if err := w.merge(asker, d, both); err != nil {
					return err
				}
			}
			if err := w.merge(asked, a.Over, both); err != nil {
				return err
			}
			next = append(next, a.Questions...)
		}
		asker, asked, qs = asked, asker, next
	}
	return nil
}

// check compares each replica with the specification.
func (w *tallyWorld) check() error {
	for i := range w.hosts {
		got := w.hosts[i].counter().Value()
		if want, ok := w.want(w.hosts[i].knows); ok && got != want {
			return fmt.Errorf("replica %d counts %b, want %b, after %s", i, got, want, strings.Join(w.trail, "; "))
		}
	}
	return nil
}

// settle has everybody hear everything: by digests, by questions, or by all deltas, last first, and
// digests.
func (w *tallyWorld) settle(way int) error {
	w = w.clone()
	if way == 2 {
		for i := range w.hosts {
			for _, m := range slices.Backward(w.sent) {
				if err := w.merge(i, m.delta, m.knows); err != nil {
					return err
				}
			}
		}
	}
	for range 3 {
		for i := range w.hosts {
			for j := range w.hosts {
				if i == j {
					continue
				}
				meet := w.exchange
				if way == 1 {
					meet = w.ask
				}
				if err := meet(i, j); err != nil {
					return err
				}
			}
		}
	}
	for i := range w.hosts {
		w.hosts[i].knows = 1<<len(w.resets) - 1
		if string(w.hosts[i].store.State().b) != string(w.hosts[0].store.State().b) {
			return fmt.Errorf("replicas differ in the end, after %s", strings.Join(w.trail, "; "))
		}
	}
	if err := w.check(); err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	return nil
}

func (w *tallyWorld) key() string {
	var b strings.Builder
	for _, h := range w.hosts {
		fmt.Fprintf(&b, "%q%b ", h.store.State().b, h.knows)
		for _, d := range h.past {
			raw, _ := d.MarshalBinary()
			fmt.Fprintf(&b, "%q", raw)
		}
	}
	keys := make([]string, 0, len(w.sent))
	for _, m := range w.sent {
		keys = append(keys, fmt.Sprintf("%q%b", m.delta.b, m.knows))
	}
	slices.Sort(keys)
	fmt.Fprint(&b, keys)
	return b.String()
}

// enumeration visits every world within a number of steps.
type enumeration struct {
	fuse   fuser
	known  map[string]int // steps that were left when it was visited
	worlds int
	fused  int
}

func (e *enumeration) visit(w *tallyWorld, steps int) error {
	key := w.key()
	if left, ok := e.known[key]; ok && left >= steps {
		return nil
	} else if !ok {
		e.worlds++
		if err := w.settle(e.worlds % 3); err != nil {
			return err
		}
	}
	e.known[key] = steps
	if steps == 0 {
		return nil
	}
	try := func(what string, step func(*tallyWorld) error) error {
		next := w.clone()
		next.trail = append(next.trail, what)
		if err := step(next); err != nil {
			return fmt.Errorf("%w, after %s", err, strings.Join(next.trail, "; "))
		}
		if err := next.check(); err != nil {
			return err
		}
		for i := range next.hosts {
			h := &next.hosts[i]
			if d := h.store.Digest(); !h.past[len(h.past)-1].Equal(d) {
				h.past = append(h.past, d)
			}
		}
		return e.visit(next, steps-1)
	}
	for i := range w.hosts {
		for _, reset := range []bool{false, true} {
			what := fmt.Sprintf("%d adds %b", i, 1<<len(w.resets))
			if reset {
				what = fmt.Sprintf("%d resets", i)
				if !w.hosts[i].counter().exists() {
					continue
				}
			}
			if err := try(what, func(w *tallyWorld) error { w.operate(i, reset); return nil }); err != nil {
				return err
			}
		}
		for k, m := range w.sent {
			if err := try(fmt.Sprintf("%d hears message %d", i, k), func(w *tallyWorld) error { return w.merge(i, m.delta, m.knows) }); err != nil {
				return err
			}
		}
		for j := range w.hosts {
			if i == j {
				continue
			}
			if err := try(fmt.Sprintf("%d pulls from %d", i, j), func(w *tallyWorld) error { return w.pull(i, j) }); err != nil {
				return err
			}
			if i > j {
				continue
			}
			if err := try(fmt.Sprintf("%d and %d exchange", i, j), func(w *tallyWorld) error { return w.exchange(i, j) }); err != nil {
				return err
			}
		}
		if err := e.stabilities(w, i, func(members []Digest) error {
			return try(fmt.Sprintf("%d fuses", i), func(w *tallyWorld) error {
				e.fused += w.fuse(i, e.fuse, members)
				return nil
			})
		}); err != nil {
			return err
		}
	}
	return nil
}

// stabilities calls f with all that a replica may have heard of the others: any digest that each of
// them ever had. Those that lead to the same are tried once.
func (e *enumeration) stabilities(w *tallyWorld, i int, f func([]Digest) error) error {
	done := map[string]bool{}
	var choose func(j int, members []Digest) error
	choose = func(j int, members []Digest) error {
		if j == len(w.hosts) {
			h := w.hosts[i].clone()
			if e.fuse(h.store, members) == 0 || done[string(h.store.State().b)] {
				return nil
			}
			done[string(h.store.State().b)] = true
			return f(members)
		}
		if j == i {
			return choose(j+1, members)
		}
		for _, d := range w.hosts[j].past {
			if err := choose(j+1, append(members[:len(members):len(members)], d)); err != nil {
				return err
			}
		}
		return nil
	}
	return choose(0, nil)
}

// explore visits all schedules of so many steps, from nothing or from a counter that everybody has.
func explore(f fuser, replicas, steps int, shared bool) (*enumeration, error) {
	w := newTallyWorld(replicas)
	if shared {
		w.operate(0, false)
		w.operate(0, false)
		for i := range w.hosts[1:] {
			if err := w.pull(i+1, 0); err != nil {
				return nil, err
			}
			w.hosts[i+1].past = []Digest{w.hosts[i+1].store.Digest()}
		}
		w.sent, w.trail = nil, []string{"0 adds 1 and 10, all know"}
	}
	e := &enumeration{fuse: f, known: map[string]int{}}
	return e, e.visit(w, steps)
}

func TestFusingNeverChangesACount(t *testing.T) {
	worlds := []struct {
		replicas, steps int
		shared          bool
	}{{2, 6, false}, {2, 5, true}, {3, 4, false}, {3, 3, true}}
	if testenv.Thorough() {
		worlds[1].steps, worlds[3].steps = 6, 4
	}
	for _, c := range worlds {
		e, err := explore(compact, c.replicas, c.steps, c.shared)
		require.NoError(t, err)
		t.Logf("%d replicas × %d steps: %d worlds, %d fuses", c.replicas, c.steps, e.worlds, e.fused)
	}
}

// Rules that look as good as the one of Compact are found out.
func TestUnsoundFusesAreFound(t *testing.T) {
	// fuse fuses the oldest own events that are stable, as a mutant understands it.
	fuse := func(s *Store, stable func(seq uint64) bool, payload func(kind, []dot) string) (fused int) {
		at, ok := At[*Counter](s, "c").find()
		if !ok || s.own < 0 {
			return 0
		}
		var own []dot
		s.tree.dots(at, func(d dot) {
			if int(d.lane) == s.own && stable(d.seq) {
				own = append(own, d)
			}
		})
		if len(own) < 2 {
			return 0
		}
		slices.SortFunc(own, func(a, b dot) int { return cmp.Compare(a.seq, b.seq) })
		s.begin()
		s.mint(at, payload(kindCounter, own))
		for _, d := range own {
			s.tx.removed = append(s.tx.removed, located{s.own, d.seq})
		}
		s.over(0)
		s.end()
		return len(own)
	}
	all := func(s *Store, members []Digest, of func(digestLane) interval.Set) func(uint64) bool {
		return func(seq uint64) bool {
			for _, d := range members {
				if set := of(d.lane(s.self)); !set.Has(seq) {
					return false
				}
			}
			return true
		}
	}
	seen := func(l digestLane) interval.Set { return l.seen }
	live := func(l digestLane) interval.Set { return l.live }
	for _, m := range []mutant{
		{"fuses what not everybody has seen", func(s *Store, _ []Digest) int {
			return fuse(s, func(uint64) bool { return true }, fusedPayload)
		}},
		{"takes what all have seen for what all have", func(s *Store, members []Digest) int {
			return fuse(s, all(s, members, seen), fusedPayload)
		}},
		{"the sum does not say what it stands for", func(s *Store, members []Digest) int {
			return fuse(s, all(s, members, live), func(k kind, ds []dot) string {
				return string(binary.AppendVarint(nil, tallySum(fusedPayload(k, ds))))
			})
		}},
		{"the sum stands for all that is older", func(s *Store, members []Digest) int {
			return fuse(s, all(s, members, live), func(k kind, ds []dot) string {
				last := ds[len(ds)-1].seq
				b := binary.AppendVarint(nil, tallySum(fusedPayload(k, ds)))
				return string(binary.AppendUvarint(binary.AppendUvarint(b, 1), last-1))
			})
		}},
	} {
		_, err := explore(m.fuse, 2, 6, false)
		if err == nil {
			_, err = explore(m.fuse, 2, 6, true)
		}
		require.Error(t, err, m.name)
		t.Logf("%s: %v", m.name, err)
	}
}

func tallySum(payload string) int64 {
	v, _ := binary.Varint([]byte(payload))
	return v
}

// However often a counter in a map is added to, it holds a few events once all have caught up; and
// what was learnt of it, split, joined, asked for and read from the wire is the same.
func TestCompactedCountersStaySmall(t *testing.T) {
	a, b := NewMap[string, *Counter](1), NewMap[string, *Counter](2)
	g, h := NewStore(3), NewStore(4)
	hits := At[*GCounter](g, "hits")
	take := func(into *Store, d Delta) {
		t.Helper()
		for piece := range d.Split(60) {
			d, err := ParseDelta(slices.Clone(piece.b), Limits{})
			require.NoError(t, err)
			_, err = into.Merge(d)
			require.NoError(t, err)
		}
	}
	for range 100 {
		var said []Delta
		stop := a.store.OnUpdate(func(d Delta) { said = append(said, d) })
		for i := range 10 {
			a.At(fmt.Sprint("k", i%3)).Add(int64(i))
			b.At("k0").Add(-1)
			hits.Add(3)
		}
		take(b.store, a.Since(b.Digest()))
		take(a.store, b.Since(a.Digest()))
		take(h, g.Since(h.Digest()))
		stable := a.Digest().Meet(b.Digest())
		a.store.Compact(stable)
		require.Zero(t, a.store.Compact(stable), "once is enough")
		g.Compact(h.Digest())
		stop()
		joined, err := Join(said...)
		require.NoError(t, err)
		take(b.store, joined)
		look(t, a.store)
	}
	b.store.Compact(b.Digest().Meet(a.Digest()))
	take(a.store, b.Since(a.Digest()))
	require.Equal(t, a.State(), b.State())
	require.Equal(t, int64(100*(0+3+6+9)-1000), a.At("k0").Value())
	require.Equal(t, int64(100*(1+4+7)), b.At("k1").Value())
	require.Equal(t, uint64(3000), hits.Value())
	require.Less(t, a.State().Len(), 100)
	require.Less(t, g.State().Len(), 60)
	require.LessOrEqual(t, len(a.store.lanes[0].fused.list), 40)

	// A reset by one who has not heard of the last fuse goes through.
	a.At("k0").Add(1)
	take(b.store, a.Since(b.Digest()))
	stable := a.Digest().Meet(b.Digest())
	reset := b.Remove("k0")
	require.NotZero(t, a.store.Compact(stable))
	_, err := a.Merge(reset)
	require.NoError(t, err)
	require.False(t, a.Contains("k0"))
	take(b.store, a.Since(b.Digest()))
	require.False(t, b.Contains("k0"), "dead on arrival")
	require.Equal(t, a.State(), b.State())

	// One that comes to know its own past finds what there is to fuse.
	a.At("k1").Add(1)
	again := NewMap[string, *Counter](1)
	take(again.store, a.State())
	require.Zero(t, again.store.Compact(again.Digest()), "before it does anything it may not know all of its past")
	again.At("k1").Add(1)
	require.Equal(t, 2, again.store.Compact(again.Digest()))
	require.Equal(t, int64(1202), again.At("k1").Value())
	require.Panics(t, func() { again.store.Update(func() { again.store.Compact(Digest{}) }) })
}

// Of a counter's event that is over at the asker the asked one does not know what took its place.
func TestQuestionsDoNotEndWhatWasFused(t *testing.T) {
	a, b := NewStore(1), NewStore(2)
	set, c := At[*Set[int]](a, "set"), At[*Counter](a, "c")
	a.Update(func() { // so many that events are compared in blocks of blocks
		for i := range 100_000 {
			set.Add(i)
		}
		for i := range 2000 {
			set.Remove(50 * i)
		}
	})
	c.Add(1)
	c.Add(2)
	_, err := b.Merge(a.State())
	require.NoError(t, err)
	a.Compact(b.Digest())

	asker, asked, qs := a, b, a.Questions(1<<10)
	for len(qs) > 0 {
		var next []Question
		for _, q := range qs {
			answer := asked.Answer(q, 1<<10, 1<<20)
			for _, d := range answer.Patch {
				_, err := asker.Merge(d)
				require.NoError(t, err)
			}
			_, err := asked.Merge(answer.Over)
			require.NoError(t, err)
			next = append(next, answer.Questions...)
		}
		asker, asked, qs = asked, asker, next
	}
	require.Equal(t, int64(3), At[*Counter](b, "c").Value(), "before it has asked")
	_, err = b.Merge(a.Since(b.Digest()))
	require.NoError(t, err)
	require.Equal(t, int64(3), At[*Counter](b, "c").Value())
	require.Equal(t, a.State(), b.State())
}
