package antientropy_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
)

// await ticks until a ticket is complete.
func (c *cluster) await(id crdt.ReplicaID, t antientropy.Ticket) bool {
	for range 1500 {
		if slices.Contains(c.done[id], t) {
			return true
		}
		c.tick()
	}
	return false
}

// What was written at a majority is there for whoever reads at a majority, however much is lost and
// doubled, and while a minority is cut off. All is more, one is less.
func TestMajorityReadsWhatAMajorityWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(3, 5).Draw(t, "nodes")
		cfg := antientropy.Config{
			Mesh:        rapid.Bool().Draw(t, "mesh"),
			BufferBytes: rapid.SampledFrom([]int{0, 60}).Draw(t, "buffer"),
			ProbeTicks:  1 << 20, // nothing but tickets mends
		}
		c := newCluster(t, n, rapid.Uint64().Draw(t, "seed"), cfg, everybody)
		c.loss = rapid.SampledFrom([]float64{0, 0.1}).Draw(t, "loss")
		c.dup = rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "dup")
		for round := range 4 {
			cut := rapid.SliceOfNDistinct(rapid.SampledFrom(c.ids), 0, (n-1)/2, rapid.ID).Draw(t, "cut off")
			clear(c.cut)
			for i, id := range cut {
				c.cut[id] = i + 1
			}
			in := func(id crdt.ReplicaID) bool { return c.cut[id] == 0 }
			writer := rapid.SampledFrom(c.ids).Filter(in).Draw(t, "writer")
			reader := rapid.SampledFrom(c.ids).Filter(in).Draw(t, "reader")
			for k := range rapid.IntRange(1, 20).Draw(t, "writes") {
				c.add(writer, 1000*round+k)
			}
			require.True(t, c.await(writer, c.nodes[writer].Read(antientropy.Majority)), "read before the write")
			c.remove(writer, 1000*(round-1))
			require.True(t, c.await(writer, c.nodes[writer].Write(antientropy.Majority)), "write")
			if rapid.Bool().Draw(t, "others go first") { // the reader hears of it from others only
				c.cut[writer] = n + 1
				if len(cut) == (n-1)/2 {
					delete(c.cut, append(cut, 0)[0])
				}
			}
			if c.cut[reader] == 0 {
				require.True(t, c.await(reader, c.nodes[reader].Read(antientropy.Majority)), "read")
				require.True(t, c.sets[reader].Contains(1000*round), "not what was written")
				require.False(t, c.sets[reader].Contains(1000*(round-1)), "what was removed")
			}
		}
		clear(c.cut)
		w, r := c.nodes[1].Write(antientropy.All), c.nodes[1].Read(antientropy.All)
		require.True(t, c.await(1, w) && c.await(1, r))
		for _, id := range c.ids {
			require.True(t, c.sets[1].Digest().Covers(c.sets[id].Digest()))
		}
	})
}

func TestLevels(t *testing.T) {
	c := newCluster(t, 4, 1, antientropy.Config{ProbeTicks: 1 << 20}, everybody)
	for range 5 {
		c.tick()
	}
	c.cut[3], c.cut[4] = 1, 2
	c.add(1, 1)
	n := c.nodes[1]
	one, most, all := n.Write(antientropy.One), n.Write(antientropy.Majority), n.Write(antientropy.All)
	read := n.Read(antientropy.Majority)
	given := n.Write(antientropy.All)
	n.Cancel(given)
	for range 20 {
		c.tick()
	}
	require.Equal(t, []antientropy.Ticket{one}, c.done[1], "two of four are no majority")
	c.cut[3] = 0
	for range 100 {
		c.tick()
	}
	require.ElementsMatch(t, []antientropy.Ticket{one, most, read}, c.done[1])
	c.cut[4] = 0
	require.True(t, c.await(1, all))
	require.Len(t, c.done[1], 4)

	// A node without peers is a majority, and all there is.
	alone := antientropy.NewNode(antientropy.Config{Self: 9, State: crdt.NewSet[int](9).Store()})
	one, most, all = alone.Write(antientropy.One), alone.Read(antientropy.Majority), alone.Write(antientropy.All)
	rd := alone.Ready()
	require.Equal(t, []antientropy.Ticket{most, all}, rd.Done)
	alone.Advance(rd)
	require.Empty(t, alone.Ready().Done)
	alone.Cancel(one)
	require.Equal(t, []string{"one", "majority", "all", "unknown level"}, []string{
		antientropy.One.String(), antientropy.Majority.String(), antientropy.All.String(), antientropy.Level(0).String(),
	})
}

// A read is complete when all is there, in as many answers as that takes.
func TestReadWaitsForAllAnswers(t *testing.T) {
	c := newCluster(t, 1, 1, antientropy.Config{MaxFrame: 300, BufferBytes: 1000}, everybody)
	for i := range 1000 {
		c.add(1, i)
	}
	c.start(2, 5, antientropy.Config{})
	c.nodes[1].AddPeer(2)
	c.nodes[2].AddPeer(1)
	c.loss = 0.1
	require.True(t, c.await(2, c.nodes[2].Read(antientropy.All)))
	require.Equal(t, 1000, c.sets[2].Len())
	require.LessOrEqual(t, c.maxSize, 300)
}

// A peer that is gone is sent nothing but a few words now and then, and nothing is kept for it. It
// gets what it missed when it is back.
func TestDeadPeerCostsNothing(t *testing.T) {
	c := newCluster(t, 3, 1, antientropy.Config{Mesh: true}, everybody)
	for range 10 {
		c.tick()
	}
	c.down[3] = true
	before := c.sentTo[3]
	for i := range 3000 {
		c.add(1, i%50)
		c.tick()
	}
	require.Less(t, c.sentTo[3]-before, 60, "messages to who is gone, in 3000 ticks")
	require.Zero(t, c.nodes[1].LogLen(), "kept for who is gone")
	delete(c.down, 3)
	c.settle(400)
	c.add(2, 99)
	for range 5 {
		c.tick()
	}
	require.True(t, c.sets[3].Contains(99))
}
