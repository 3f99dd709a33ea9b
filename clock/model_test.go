package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/internal/testenv"
)

// This file checks the algorithm: the transition system of the HLC paper in a world so
// small that every run can be looked at, and this package's Clock in a larger one.

// hlc is the paper's pair of l and c.
type hlc struct{ l, c int8 }

func (a hlc) less(b hlc) bool { return a.l < b.l || a.l == b.l && a.c < b.c }

// small is a world of three nodes whose physical clocks are at most eps apart. sent is the
// last message of each node.
type small struct {
	pt   [3]int8
	at   [3]hlc
	sent [3]hlc
	has  [3]bool
}

const (
	eps    = 2
	ptMax  = 4
	depthN = 9
)

// A rule is the clock's way to move at an event: message is nil for a local or send event.
type rule func(now int8, at hlc, message *hlc) hlc

// paperHLC is figure 5 of the paper.
func paperHLC(pt int8, at hlc, m *hlc) hlc {
	l := max(at.l, pt)
	if m == nil {
		if l == at.l {
			return hlc{l, at.c + 1}
		}
		return hlc{l, 0}
	}
	l = max(l, m.l)
	switch {
	case l == at.l && l == m.l:
		return hlc{l, max(at.c, m.c) + 1}
	case l == at.l:
		return hlc{l, at.c + 1}
	case l == m.l:
		return hlc{l, m.c + 1}
	}
	return hlc{l, 0}
}

// naive is the paper's naive algorithm of section 3.2: l alone, always raised.
func naive(pt int8, at hlc, m *hlc) hlc {
	l := max(at.l+1, pt)
	if m != nil {
		l = max(l, m.l+1)
	}
	return hlc{l, 0}
}

// oneWord is this package's: one number whose low part is c, two bits here. A carry goes
// into the time.
func oneWord(bits int8) rule {
	return func(pt int8, at hlc, m *hlc) hlc {
		word := func(h hlc) int { return int(h.l)<<bits + int(h.c) }
		next := max(word(at)+1, int(pt)<<bits)
		if m != nil {
			next = max(next, word(*m)+1)
		}
		return hlc{int8(next >> bits), int8(next & (1<<bits - 1))}
	}
}

// explore walks through every state that can be reached within depth steps, and returns how
// many there are and the first broken invariant. tight adds one that the paper's proof rests
// on: l is some node's physical time.
func explore(r rule, depth int, tight bool) (states int, broken string) {
	frontier := map[small]bool{{}: true}
	seen := map[small]bool{{}: true}
	check := func(before, after hlc, m *hlc, s small, i int) string {
		switch {
		case !before.less(after) || m != nil && !m.less(after):
			return "happens-before is not kept"
		case after.l < s.pt[i]:
			return "l < pt"
		case after.l > s.pt[i]+eps:
			return "l > pt + eps"
		case tight && after.l > max(s.pt[0], s.pt[1], s.pt[2]):
			return "l is no node's pt"
		}
		return ""
	}
	for range depth {
		next := map[small]bool{}
		add := func(s small) {
			if !seen[s] {
				seen[s], next[s] = true, true
			}
		}
		for s := range frontier {
			for i := range 3 {
				if s.pt[i] < ptMax && s.pt[i]+1-min(s.pt[0], s.pt[1], s.pt[2]) <= eps {
					t := s
					t.pt[i]++
					add(t)
				}
				t := s // send; a local event is one whose message is not received
				t.at[i] = r(s.pt[i], s.at[i], nil)
				if b := check(s.at[i], t.at[i], nil, s, i); b != "" {
					return len(seen), b
				}
				t.sent[i], t.has[i] = t.at[i], true
				add(t)
				for j := range 3 {
					if i == j || !s.has[j] {
						continue
					}
					t := s
					m := s.sent[j]
					t.at[i] = r(s.pt[i], s.at[i], &m)
					if b := check(s.at[i], t.at[i], &m, s, i); b != "" {
						return len(seen), b
					}
					t.has[j] = false
					add(t)
				}
			}
		}
		frontier = next
	}
	return len(seen), ""
}

// TestEveryRunOfASmallWorld: the invariants of theorems 1 and 3 and corollary 1 hold in each
// state that three nodes with eps = 2 can reach, and are broken by what the paper says breaks
// them.
func TestEveryRunOfASmallWorld(t *testing.T) {
	depth := depthN
	if testing.Short() || testenv.Race {
		depth = 6
	}
	for name, c := range map[string]struct {
		rule   rule
		tight  bool
		broken string
	}{
		"the paper's":             {paperHLC, true, ""},
		"one word":                {oneWord(5), true, ""},
		"naive":                   {naive, false, "l > pt + eps"},
		"one word, too few bits":  {oneWord(1), false, "l > pt + eps"},
		"ignores what it is told": {func(pt int8, at hlc, _ *hlc) hlc { return paperHLC(pt, at, nil) }, true, "happens-before is not kept"},
		"forgets to count":        {func(pt int8, at hlc, _ *hlc) hlc { return hlc{max(pt, at.l), at.c} }, true, "happens-before is not kept"},
	} {
		states, broken := explore(c.rule, depth, c.tight)
		require.Equal(t, c.broken, broken, name)
		t.Logf("%s: %d states, %q", name, states, broken)
	}
}

// TestClockFollowsThePaper runs figure 6 of the paper: four nodes, of which node 0 is
// ahead; in the others l stays at 10 and the logical part counts, until physical time
// catches up.
func TestClockFollowsThePaper(t *testing.T) {
	tick := func(n int) Timestamp { return noon + Timestamp(n)<<tickBits }
	var clocks [4]*Clock
	var sources [4]*Fake
	for i := range clocks {
		sources[i] = NewFake(tick(0))
		clocks[i] = New(WithSource(sources[i]))
	}
	sources[0].Set(tick(10))
	last := clocks[0].Now()
	require.Equal(t, tick(10), last)
	for _, step := range []struct {
		node, pt int
		receive  bool
		l, c     int
	}{
		{1, 1, true, 10, 1},  // hears of 10
		{1, 2, false, 10, 2}, // and sends on
		{2, 2, true, 10, 3},
		{2, 3, false, 10, 4},
		{3, 3, true, 10, 5},
		{3, 4, false, 10, 6},
		{1, 5, true, 10, 7},
		{1, 13, false, 13, 0}, // physical time has caught up
	} {
		sources[step.node].Set(tick(step.pt))
		var got Timestamp
		if step.receive {
			var err error
			got, err = clocks[step.node].Observe(last)
			require.NoError(t, err)
		} else {
			got = clocks[step.node].Now()
		}
		require.Equal(t, tick(step.l)+Timestamp(step.c), got, "%+v", step)
		last = got
	}
}

// TestNodesWithBadClocks lets nodes exchange messages while their physical clocks run
// unevenly, step by hours, strobe, repeat or smear leap seconds, and stand still while the
// machine is suspended; and while they crash between a save and the use of what it covers.
func TestNodesWithBadClocks(t *testing.T) {
	const drift = 500 * time.Millisecond
	rapid.Check(t, func(t *rapid.T) {
		type node struct {
			src   *Fake
			store *memory
			clock *Clock
			last  Timestamp      // the greatest issued or taken in
			past  Vector[string] // what happened before its next event
			smear int            // steps of a leap second left
		}
		type event struct {
			at   Timestamp
			dot  Dot[string]
			past Vector[string]
		}
		var all, mail []event
		ids := []string{"a", "b", "c", "d"}[:rapid.IntRange(2, 4).Draw(t, "nodes")]
		nodes := map[string]*node{}
		open := func(n *node) {
			n.src.Set(max(n.src.nowSafe(), n.store.get())) // what Open would wait for
			c, err := Open(t.Context(), n.store, WithSource(n.src), WithMaxDrift(drift), WithWindow(time.Second))
			require.NoError(t, err)
			n.clock = c
		}
		for _, id := range ids {
			nodes[id] = &node{src: NewFake(noon), store: &memory{}}
			open(nodes[id])
		}
		defer func() {
			for _, n := range nodes {
				_ = n.clock.Close()
			}
		}()
		pick := func() (string, *node) {
			id := rapid.SampledFrom(ids).Draw(t, "node")
			return id, nodes[id]
		}
		happen := func(id string, n *node, ts Timestamp) {
			pt := n.src.nowSafe()
			require.Greater(t, ts, n.last)
			require.GreaterOrEqual(t, ts, pt.Physical(), "l < pt")
			require.LessOrEqual(t, ts, n.store.get())
			n.last = ts
			past := n.past.Clone()
			all = append(all, event{ts, n.past.Tick(id), past})
		}
		by := func(label string, lo, hi time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(int64(lo), int64(hi)).Draw(t, label))
		}
		t.Repeat(map[string]func(*rapid.T){
			"local": func(*rapid.T) { id, n := pick(); happen(id, n, n.clock.Now()) },
			"send": func(*rapid.T) {
				id, n := pick()
				happen(id, n, n.clock.Now())
				mail = append(mail, all[len(all)-1])
			},
			"receive": func(t *rapid.T) {
				if len(mail) == 0 {
					return
				}
				id, n := pick()
				m := rapid.SampledFrom(mail).Draw(t, "message")
				before, pt := n.clock.Last(), n.src.nowSafe()
				ts, err := n.clock.Observe(m.at)
				if err != nil {
					require.ErrorIs(t, err, ErrDrift)
					require.Greater(t, m.at.Sub(pt), drift, "refused within the limit")
					require.Equal(t, before, n.clock.Last())
					return
				}
				require.True(t, m.at <= before || m.at.Sub(pt) <= drift, "accepted beyond the limit")
				require.Greater(t, ts, m.at)
				n.past.Merge(m.past)
				n.past.Add(m.dot)
				happen(id, n, ts)
			},
			"run":     func(*rapid.T) { _, n := pick(); n.src.Advance(by("by", 0, time.Second)) },
			"step":    func(*rapid.T) { _, n := pick(); n.src.Advance(by("by", -5*time.Hour, 5*time.Hour)) },
			"suspend": func(*rapid.T) { _, n := pick(); n.src.Advance(by("by", time.Hour, 48*time.Hour)) },
			"strobe": func(t *rapid.T) {
				id, n := pick()
				d := by("by", time.Millisecond, 10*time.Second)
				for range rapid.IntRange(1, 6).Draw(t, "times") {
					n.src.Advance(d)
					happen(id, n, n.clock.Now())
					n.src.Advance(-d)
					happen(id, n, n.clock.Now())
				}
			},
			"leap second, repeated": func(*rapid.T) { _, n := pick(); n.src.Advance(-time.Second) },
			"leap second, smeared": func(*rapid.T) {
				id, n := pick()
				if n.smear == 0 {
					n.smear = 24
				}
				for ; n.smear > 0; n.smear-- { // a second is lost over a day
					n.src.Advance(time.Hour - time.Second/24)
					happen(id, n, n.clock.Now())
				}
			},
			"crash": func(*rapid.T) { _, n := pick(); n.clock.saver.cancel(); n.clock.done.Wait(); open(n) },
			"stop":  func(*rapid.T) { _, n := pick(); require.NoError(t, n.clock.Close()); open(n) },
		})
		for _, e := range all {
			for _, f := range all {
				if f.past.Has(e.dot) {
					require.Less(t, e.at, f.at, "%v happened before %v", e.dot, f.dot)
				}
			}
		}
	})
}
