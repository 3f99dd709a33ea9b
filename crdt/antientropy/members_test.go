package antientropy_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
)

// removal is one that was made, and what its maker had seen then.
type removal struct {
	by    crdt.ReplicaID
	delta crdt.Delta
	seen  crdt.Digest
}

// knows reports whether merging a delta would change nothing at a node.
func (c *cluster) knows(id crdt.ReplicaID, d crdt.Delta) bool {
	s := crdt.NewSet[int](1 << 40)
	_, err := s.Merge(c.sets[id].State())
	require.NoError(c.t, err)
	changed, err := s.Merge(d)
	require.NoError(c.t, err)
	return !changed
}

// alive returns the nodes that run and were not told to stop.
func (c *cluster) alive() (ids []crdt.ReplicaID) {
	for _, id := range c.ids {
		if !c.down[id] && !slices.Contains(c.nodes[id].Retired(), id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// stable checks what a node calls stable.
func (c *cluster) checkStable(id crdt.ReplicaID, removals []removal) {
	stable := c.nodes[id].Ready().Stable
	if stable.IsZero() {
		return
	}
	gone := c.nodes[id].Retired()
	for _, m := range c.ids {
		if !slices.Contains(gone, m) {
			require.True(c.t, c.sets[m].Digest().Covers(stable), "node %d has not seen what is stable at %d", m, id)
		}
	}
	for _, r := range removals {
		if r.seen.Covers(stable) || c.knows(id, r.delta) {
			continue
		}
		require.Contains(c.t, gone, r.by, "a removal of node %d, which had not seen what is stable at %d, is not there", r.by, id)
		for _, m := range c.ids {
			if !slices.Contains(gone, m) {
				require.False(c.t, c.knows(m, r.delta), "a removal of node %d, which is gone, is known to %d, but not to %d, where more is stable", r.by, m, id)
			}
		}
	}
}

// What a node calls stable was seen by every member, and whatever any of them did before it had seen
// it is there, also when members die and are retired at any moment. In the end everything is stable.
func TestStableIsWhatEveryMemberHasSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 4).Draw(t, "nodes")
		cfg := antientropy.Config{Mesh: true, StableTicks: 2, BufferBytes: rapid.SampledFrom([]int{0, 60}).Draw(t, "buffer")}
		c := newCluster(t, n, rapid.Uint64().Draw(t, "seed"), cfg, everybody)
		c.loss = rapid.SampledFrom([]float64{0, 0.1, 0.4}).Draw(t, "loss")
		c.dup = rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "dup")
		c.refused = antientropy.ErrRetired
		var removals []removal
		who := func(t *rapid.T) crdt.ReplicaID { return rapid.SampledFrom(c.alive()).Draw(t, "who") }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) { c.add(who(t), rapid.IntRange(0, 5).Draw(t, "element")) },
			"remove": func(t *rapid.T) {
				id := who(t)
				seen := c.sets[id].Digest()
				if d := c.sets[id].Remove(rapid.IntRange(0, 5).Draw(t, "element")); !d.IsZero() {
					removals = append(removals, removal{id, d, seen})
				}
			},
			"tick": func(t *rapid.T) { c.tick() },
			"cut":  func(t *rapid.T) { c.cut[who(t)] = 1 },
			"heal": func(t *rapid.T) { clear(c.cut) },
			"die": func(t *rapid.T) {
				if len(c.alive()) > 1 {
					c.down[who(t)] = true
				}
			},
			"retire": func(t *rapid.T) {
				for id := range c.down {
					c.nodes[who(t)].Retire(id)
					break
				}
			},
			"": func(t *rapid.T) {
				for _, id := range c.alive() {
					c.checkStable(id, removals)
				}
			},
		})
		clear(c.cut)
		c.loss = min(c.loss, 0.1)
		alive := c.alive()
		for id := range c.down {
			c.nodes[alive[0]].Retire(id)
		}
		if len(alive) == 1 {
			return
		}
		for range 600 {
			c.tick()
			all := true
			for _, id := range alive {
				c.checkStable(id, removals)
				all = all && c.nodes[id].Ready().Stable.Covers(c.sets[alive[0]].Store().Context())
			}
			if all && c.equalOf(alive) {
				return
			}
		}
		require.FailNow(t, "not everything gets stable")
	})
}

// A replica that was retired is refused, told so, and says no more; nothing of what only it has seen
// is taken in, by whomever it tries.
func TestRetiredReplicaIsRefused(t *testing.T) {
	c := newCluster(t, 4, 1, antientropy.Config{Mesh: true, StableTicks: 2}, everybody)
	c.add(1, 1, 2, 3)
	c.settle(20)
	for range 20 {
		c.tick()
	}
	c.cut[4] = 1
	c.add(4, 44)
	c.remove(4, 2)
	c.add(1, 7)
	for range 50 {
		c.tick()
	}
	dot := crdt.Dot{Node: 1, N: 4}
	require.True(t, c.sets[2].Contains(7))
	require.False(t, c.nodes[1].Ready().Stable.Seen(dot), "stable without one who is only cut off")
	c.nodes[2].Retire(4)
	for range 50 {
		c.tick()
	}
	for _, id := range c.ids[:3] {
		require.Equal(t, []crdt.ReplicaID{4}, c.nodes[id].Retired())
		require.True(t, c.nodes[id].Ready().Stable.Seen(dot))
		require.NotContains(t, c.nodes[id].Peers(), crdt.ReplicaID(4))
		c.nodes[id].AddPeer(4)
		require.NotContains(t, c.nodes[id].Peers(), crdt.ReplicaID(4), "retired, and added again")
	}

	clear(c.cut)
	c.refused = antientropy.ErrRetired
	for range 250 { // it tries rarely
		c.tick()
	}
	for _, id := range c.ids[:3] {
		require.Equal(t, []int{1, 2, 3, 7}, c.sets[id].Sorted())
	}
	require.Equal(t, []crdt.ReplicaID{4}, c.nodes[4].Retired())
	sent := c.nodes[4].Stats().MessagesSent
	for range 50 {
		c.tick()
	}
	require.Equal(t, sent, c.nodes[4].Stats().MessagesSent, "it was told, and goes on")
	require.ErrorIs(t, c.nodes[4].Step(1, []byte{1, 3}), antientropy.ErrRetired)

	// It starts again as a newcomer.
	c.start(9, 99, antientropy.Config{Mesh: true, StableTicks: 2})
	for _, id := range c.ids[:3] {
		c.nodes[id].AddPeer(9)
		c.nodes[9].AddPeer(id)
	}
	for range 50 {
		c.tick()
	}
	require.Equal(t, []int{1, 2, 3, 7}, c.sets[9].Sorted())
	require.True(t, c.nodes[9].Ready().Stable.Seen(dot))
	require.Equal(t, []crdt.ReplicaID{4}, c.nodes[9].Retired(), "a newcomer is told who is gone")
}

// A node that starts again under its old name knows who is gone if it is told.
func TestRetiredIsGivenToANewStart(t *testing.T) {
	set := crdt.NewSet[int](1)
	n := antientropy.NewNode(antientropy.Config{Self: 1, State: set.Store(), Retired: []crdt.ReplicaID{7, 3, 7}})
	require.Equal(t, []crdt.ReplicaID{3, 7}, n.Retired())
	n.AddPeer(7)
	require.Empty(t, n.Peers())
	require.ErrorIs(t, n.Step(3, []byte{1, 3}), antientropy.ErrRetired)
	n.Retire(0)
	require.Equal(t, []crdt.ReplicaID{3, 7}, n.Retired())
}

// Who leaves for good tells the others itself.
func TestNodeRetiresItself(t *testing.T) {
	c := newCluster(t, 3, 1, antientropy.Config{Mesh: true, StableTicks: 2}, everybody)
	c.settle(20)
	c.nodes[3].Retire(3)
	c.refused = antientropy.ErrRetired
	for range 20 {
		c.tick()
	}
	require.Equal(t, []crdt.ReplicaID{2}, c.nodes[1].Peers())
	require.Equal(t, []crdt.ReplicaID{1}, c.nodes[2].Peers())
}

// Without Mesh nobody knows whether its peers are all there is.
func TestNothingIsStableWithoutMesh(t *testing.T) {
	c := newCluster(t, 3, 1, antientropy.Config{StableTicks: 1}, everybody)
	c.add(1, 1)
	for range 30 {
		c.tick()
	}
	require.True(t, c.nodes[1].Ready().Stable.IsZero())
	require.Zero(t, c.nodes[1].Stats().ReportBytesSent)
}

// compacting records what it is told.
type compacting struct {
	*crdt.Store
	told []crdt.Digest
}

func (s *compacting) Compact(stable crdt.Digest) int {
	s.told = append(s.told, stable)
	return 0
}

func TestStateIsCompactedWhereMoreIsStable(t *testing.T) {
	set := crdt.NewSet[int](9)
	state := &compacting{Store: set.Store()}
	n := antientropy.NewNode(antientropy.Config{Self: 9, State: state, Mesh: true, StableTicks: 1})
	c := newCluster(t, 1, 1, antientropy.Config{Mesh: true, StableTicks: 1}, everybody)
	c.ids, c.sets[9], c.nodes[9] = append(c.ids, 9), set, n
	c.nodes[1].AddPeer(9)
	n.AddPeer(1)
	set.Add(1)
	for range 20 {
		c.tick()
	}
	require.NotEmpty(t, state.told)
	last := len(state.told)
	require.True(t, state.told[last-1].Seen(crdt.Dot{Node: 9, N: 1}))
	for range 20 {
		c.tick()
	}
	require.Len(t, state.told, last, "told again without news")
}

// kindOf returns the kind of a message.
func kindOf(m []byte) int { return int(m[1]) }

const (
	stretchKind  = 1
	ackKind      = 2
	questionKind = 4
	answerKind   = 5
	reportKind   = 6
)

// hand gives node to those messages of node from for which keep holds, over and over for some ticks.
func (c *cluster) hand(from, to crdt.ReplicaID, keep func(kind int) bool) {
	for _, m := range c.messages(from) {
		if keep(kindOf(m)) {
			require.NoError(c.t, c.nodes[to].Step(from, m))
		}
	}
}

func everything(int) bool { return true }

// meshed returns two nodes of a mesh for which all is stable, and who tell what they see at each tick.
func meshed(t *testing.T, cfg antientropy.Config) *cluster {
	cfg.Mesh, cfg.StableTicks, cfg.ProbeTicks = true, 1, 1<<20
	c := newCluster(t, 2, 1, cfg, everybody)
	c.add(1, 1, 2, 3)
	for range 30 {
		c.tick()
	}
	require.True(t, c.nodes[2].Ready().Stable.Seen(crdt.Dot{Node: 1, N: 3}))
	return c
}

// A report counts once all is there that its sender had done before it.
func TestReportWaitsForWhatCameBefore(t *testing.T) {
	c := meshed(t, antientropy.Config{})
	c.remove(1, 3)
	lost := c.messages(1)
	require.Equal(t, stretchKind, kindOf(lost[0]))
	c.add(2, 6)
	c.hand(2, 1, everything)
	for range 2 {
		c.nodes[1].Tick()
	}
	seen := crdt.Dot{Node: 2, N: 1}
	c.hand(1, 2, func(kind int) bool { return kind == reportKind })
	c.nodes[2].Tick()
	require.False(t, c.nodes[2].Ready().Stable.Seen(seen), "the removal is not there, and the report counts")
	for range 20 {
		c.tick()
	}
	require.True(t, c.nodes[2].Ready().Stable.Seen(seen))
	require.False(t, c.sets[2].Contains(3))
}

// While nodes do not agree on who is member, nothing more gets stable at any of them.
func TestReportWaitsForTheSameMembers(t *testing.T) {
	c := meshed(t, antientropy.Config{})
	c.nodes[1].AddPeer(9)
	c.add(1, 7)
	for range 50 {
		c.tick()
	}
	require.True(t, c.sets[2].Contains(7))
	for _, id := range c.ids {
		require.False(t, c.nodes[id].Ready().Stable.Seen(crdt.Dot{Node: 1, N: 4}), "node %d", id)
	}
}

// Where a part of a log is gone, nothing counts until it was asked for and answered.
func TestHoleIsFilledBeforeAReportCounts(t *testing.T) {
	c := meshed(t, antientropy.Config{BufferBytes: 40})
	c.add(2, 6)
	c.hand(2, 1, everything)
	c.remove(1, 3)
	for i := range 5 {
		c.add(1, 100+i) // more than is kept
	}
	seen := crdt.Dot{Node: 2, N: 1}
	for range 3 {
		c.hand(1, 2, func(kind int) bool { return kind != answerKind })
		c.hand(2, 1, everything)
		c.nodes[1].Tick()
		c.nodes[2].Tick()
	}
	require.True(t, c.sets[2].Contains(104) && c.sets[2].Contains(3))
	require.False(t, c.nodes[2].Ready().Stable.Seen(seen))
	for range 20 {
		c.tick()
	}
	require.True(t, c.nodes[2].Ready().Stable.Seen(seen))
}

// An answer from before a part of the log was lost does not fill the hole.
func TestOldAnswerDoesNotFillAHole(t *testing.T) {
	c := meshed(t, antientropy.Config{BufferBytes: 40})
	read := c.nodes[2].Read(antientropy.All) // asks
	c.hand(2, 1, everything)
	old := c.messages(1)
	require.Equal(t, answerKind, kindOf(old[0]))
	c.remove(1, 3)
	for i := range 5 {
		c.add(1, 100+i)
	}
	c.hand(1, 2, func(kind int) bool { return kind == stretchKind })
	for _, m := range old {
		require.NoError(t, c.nodes[2].Step(1, m))
	}
	require.Equal(t, []antientropy.Ticket{read}, c.nodes[2].Ready().Done)
	c.add(2, 6)
	c.hand(2, 1, func(kind int) bool { return kind == stretchKind })
	c.nodes[1].Tick()
	c.hand(1, 2, func(kind int) bool { return kind == reportKind })
	c.nodes[2].Tick()
	require.True(t, c.sets[2].Contains(3))
	require.False(t, c.nodes[2].Ready().Stable.Seen(crdt.Dot{Node: 2, N: 1}))
}

// hits counts in a map, and keeps beside it the events that it counts in a set: both are reset
// together, so whatever was seen, lost, fused or forgotten, they agree.
type hits struct {
	count *crdt.Map[string, *crdt.Counter]
	each  *crdt.Set[int]
}

// A count in a map is right wherever nodes are equal, while they fuse what is stable, resets race with
// additions, messages are lost and doubled, members die and are retired, and newcomers come.
func TestCountsStayRightWhileStableEventsAreFused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 4).Draw(t, "nodes")
		cfg := antientropy.Config{
			Mesh: true, StableTicks: rapid.IntRange(1, 3).Draw(t, "stable ticks"), ProbeTicks: 4,
			BufferBytes: rapid.SampledFrom([]int{0, 300}).Draw(t, "buffer"),
		}
		c := newCluster(t, 0, rapid.Uint64().Draw(t, "seed"), cfg, everybody)
		c.refused = antientropy.ErrRetired
		c.loss = rapid.SampledFrom([]float64{0, 0.1, 0.4}).Draw(t, "loss")
		c.dup = rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "dup")
		stores := map[crdt.ReplicaID]*crdt.Store{}
		all := map[crdt.ReplicaID]hits{}
		come := func() {
			id := crdt.ReplicaID(len(c.ids) + 1)
			s := crdt.NewStore(id)
			stores[id] = s
			all[id] = hits{crdt.At[*crdt.Map[string, *crdt.Counter]](s, "count"), crdt.At[*crdt.Set[int]](s, "each")}
			cfg.Self, cfg.State, cfg.Seed = id, s, uint64(id)
			c.nodes[id] = antientropy.NewNode(cfg)
			for _, other := range c.ids {
				c.nodes[id].AddPeer(other)
				c.nodes[other].AddPeer(id)
			}
			c.ids = append(c.ids, id)
		}
		for range n {
			come()
		}
		counted := 0
		who := func(t *rapid.T) crdt.ReplicaID { return rapid.SampledFrom(c.alive()).Draw(t, "who") }
		settle := func(t *rapid.T) {
			clear(c.cut)
			loss := c.loss
			c.loss = min(c.loss, 0.1)
			equal := func() bool {
				return !slices.ContainsFunc(c.alive(), func(id crdt.ReplicaID) bool {
					return stores[id].Fingerprint() != stores[c.alive()[0]].Fingerprint()
				})
			}
			for range 20 { // and what is stable is fused
				c.tick()
			}
			for i := 0; !equal(); i++ {
				require.Less(t, i, 600, "not equal")
				c.tick()
			}
			for _, id := range c.alive() {
				require.Equal(t, int64(all[id].each.Len()), all[id].count.At("k").Value(), "at node %d", id)
			}
			c.loss = loss
		}
		t.Repeat(map[string]func(*rapid.T){
			"count": func(t *rapid.T) {
				id := who(t)
				for range rapid.IntRange(1, 5).Draw(t, "times") {
					counted++
					stores[id].Update(func() {
						all[id].count.At("k").Add(1)
						all[id].each.Add(counted)
					})
				}
			},
			"reset": func(t *rapid.T) {
				id := who(t)
				stores[id].Update(func() {
					all[id].count.Remove("k")
					all[id].each.Remove(all[id].each.Sorted()...)
				})
			},
			"tick":  func(t *rapid.T) { c.tick() },
			"ticks": func(t *rapid.T) { c.tick(); c.tick(); c.tick() },
			"cut":   func(t *rapid.T) { c.cut[who(t)] = 1 },
			"heal":  func(t *rapid.T) { clear(c.cut) },
			"die and retire": func(t *rapid.T) {
				if len(c.alive()) > 2 {
					gone := who(t)
					// An answer may bring a part of an update. If its maker dies before the rest is told, the
					// count and the set are known by halves, whatever is fused: so it dies with all told, or
					// with what nobody heard of.
					settle(t)
					if rapid.Bool().Draw(t, "with something unsaid") {
						counted++
						stores[gone].Update(func() {
							all[gone].count.At("k").Add(1)
							all[gone].each.Add(counted)
						})
					}
					c.down[gone] = true
					c.nodes[who(t)].Retire(gone)
				}
			},
			"come": func(t *rapid.T) {
				if len(c.ids) < 6 {
					come()
					id := c.ids[len(c.ids)-1]
					clear(c.cut)
					for r := c.nodes[id].Read(antientropy.One); !c.await(id, r); {
					}
				}
			},
			"settle": settle,
		})
		settle(t)
	})
}

func TestOldCountsAreFused(t *testing.T) {
	c := newCluster(t, 0, 1, antientropy.Config{}, everybody)
	counts := map[crdt.ReplicaID]*crdt.Map[string, *crdt.Counter]{}
	for id := crdt.ReplicaID(1); id <= 3; id++ {
		m := crdt.Open[*crdt.Map[string, *crdt.Counter]](id)
		counts[id] = m
		c.nodes[id] = antientropy.NewNode(antientropy.Config{Self: id, State: m.Store(), Seed: uint64(id), Mesh: true, StableTicks: 5})
		c.ids = append(c.ids, id)
	}
	for _, id := range c.ids {
		for _, other := range c.ids {
			c.nodes[id].AddPeer(other)
		}
	}
	for range 200 {
		for _, id := range c.ids {
			counts[id].At("k").Add(1)
		}
		c.tick()
	}
	for range 30 {
		c.tick()
	}
	for _, id := range c.ids {
		require.Equal(t, int64(600), counts[id].At("k").Value())
		require.Less(t, counts[id].State().Len(), 200, "600 events were counted")
	}
}
