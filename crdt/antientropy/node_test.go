package antientropy_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
)

// cluster runs nodes over a network that loses, doubles and reorders.
type cluster struct {
	t       require.TestingT
	rng     *rand.Rand
	sets    map[crdt.ReplicaID]*crdt.Set[int]
	nodes   map[crdt.ReplicaID]*antientropy.Node
	ids     []crdt.ReplicaID
	flying  []letter
	loss    float64                // chance that a message is lost
	dup     float64                // chance that it comes twice
	cut     map[crdt.ReplicaID]int // nodes of different groups do not hear each other
	down    map[crdt.ReplicaID]bool
	done    map[crdt.ReplicaID][]antientropy.Ticket
	sentTo  map[crdt.ReplicaID]int // messages
	refused error                  // what nodes may answer
	digest  uint64                 // of all that was sent, in order
	maxSize int
}

type letter struct {
	from crdt.ReplicaID
	antientropy.Envelope
}

func newCluster(t require.TestingT, n int, seed uint64, cfg antientropy.Config, linked func(i, j int) bool) *cluster {
	c := &cluster{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), cut: map[crdt.ReplicaID]int{}, down: map[crdt.ReplicaID]bool{},
		done: map[crdt.ReplicaID][]antientropy.Ticket{}, sentTo: map[crdt.ReplicaID]int{},
		sets: map[crdt.ReplicaID]*crdt.Set[int]{}, nodes: map[crdt.ReplicaID]*antientropy.Node{},
	}
	for i := range n {
		c.start(crdt.ReplicaID(i+1), seed+uint64(i), cfg)
	}
	for i := range n {
		for j := range n {
			if i != j && linked(i, j) {
				c.nodes[c.ids[i]].AddPeer(c.ids[j])
			}
		}
	}
	return c
}

func (c *cluster) start(id crdt.ReplicaID, seed uint64, cfg antientropy.Config) {
	c.sets[id] = crdt.NewSet[int](id)
	cfg.Self, cfg.State, cfg.Seed = id, c.sets[id].Store(), seed
	c.nodes[id] = antientropy.NewNode(cfg)
	c.ids = append(c.ids, id)
}

func everybody(i, j int) bool { return true }

func ring(n int) func(i, j int) bool {
	return func(i, j int) bool { return (i+1)%n == j || (j+1)%n == i }
}

func (c *cluster) collect() {
	for _, id := range c.ids {
		if c.down[id] {
			continue
		}
		rd := c.nodes[id].Ready()
		for _, e := range rd.Messages {
			h := fnv.New64a()
			fmt.Fprint(h, c.digest, id, e.To, e.Message)
			c.digest = h.Sum64()
			c.maxSize = max(c.maxSize, len(e.Message))
			c.sentTo[e.To]++
			for c.rng.Float64() >= c.loss {
				c.flying = append(c.flying, letter{id, e})
				if c.rng.Float64() >= c.dup {
					break
				}
			}
		}
		c.done[id] = append(c.done[id], rd.Done...)
		c.nodes[id].Advance(rd)
	}
}

// tick lets time pass and delivers about all that flies, in any order.
func (c *cluster) tick() {
	for _, id := range c.ids {
		if !c.down[id] {
			c.nodes[id].Tick()
		}
	}
	c.collect()
	for rounds := 0; rounds < 3; rounds++ {
		c.rng.Shuffle(len(c.flying), func(i, j int) { c.flying[i], c.flying[j] = c.flying[j], c.flying[i] })
		now := c.flying
		c.flying = nil
		for _, l := range now {
			if c.cut[l.from] != c.cut[l.To] {
				continue
			}
			if n := c.nodes[l.To]; n != nil && !c.down[l.To] {
				if err := n.Step(l.from, l.Message); c.refused == nil || err != nil {
					require.ErrorIs(c.t, err, c.refused)
				}
			}
		}
		c.collect()
	}
}

func (c *cluster) equal() bool { return c.equalOf(c.ids) }

func (c *cluster) equalOf(ids []crdt.ReplicaID) bool {
	first := c.sets[ids[0]].Store().Fingerprint()
	for _, id := range ids {
		if c.sets[id].Store().Fingerprint() != first {
			return false
		}
	}
	return true
}

// settle ticks until all are equal and returns how many ticks that took.
func (c *cluster) settle(limit int) int {
	for i := range limit {
		if c.equal() {
			first := c.sets[c.ids[0]]
			for _, id := range c.ids {
				require.Equal(c.t, first.State(), c.sets[id].State())
			}
			return i
		}
		c.tick()
	}
	require.FailNow(c.t, "not equal", "after %d ticks", limit)
	return 0
}

func (c *cluster) add(id crdt.ReplicaID, es ...int)    { c.sets[id].Add(es...) }
func (c *cluster) remove(id crdt.ReplicaID, es ...int) { c.sets[id].Remove(es...) }

func (c *cluster) bytes() (sent, digests uint64) {
	for _, id := range c.ids {
		s := c.nodes[id].Stats()
		sent += s.BytesSent
		digests += s.DigestBytesSent
	}
	return
}

func TestNodesConvergeWhateverTheNetworkDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "nodes")
		linked := everybody
		cfg := antientropy.Config{
			MaxFrame:    rapid.SampledFrom([]int{0, 300, 400}).Draw(t, "frame"),
			BufferBytes: rapid.SampledFrom([]int{0, 50, 400}).Draw(t, "buffer"),
		}
		if rapid.Bool().Draw(t, "ring") {
			linked = ring(n)
		} else {
			cfg.Mesh = rapid.Bool().Draw(t, "mesh")
		}
		c := newCluster(t, n, rapid.Uint64().Draw(t, "seed"), cfg, linked)
		c.loss = rapid.SampledFrom([]float64{0, 0.1, 0.5}).Draw(t, "loss")
		c.dup = rapid.SampledFrom([]float64{0, 0.3}).Draw(t, "dup")
		who := func(t *rapid.T) crdt.ReplicaID { return rapid.SampledFrom(c.ids).Draw(t, "who") }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				c.add(who(t), rapid.SliceOfN(rapid.IntRange(0, 99), 1, 20).Draw(t, "elements")...)
			},
			"remove": func(t *rapid.T) { c.remove(who(t), rapid.IntRange(0, 99).Draw(t, "element")) },
			"tick":   func(t *rapid.T) { c.tick() },
			"cut":    func(t *rapid.T) { c.cut[who(t)] = 1 },
			"heal":   func(t *rapid.T) { clear(c.cut) },
			"leave": func(t *rapid.T) {
				a, b := who(t), who(t)
				if a != b && linked(int(a)-1, int(b)-1) { // and come back: nothing may depend on what was before
					c.nodes[a].RemovePeer(b)
					c.nodes[a].AddPeer(b)
				}
			},
		})
		clear(c.cut)
		c.settle(1500)
		if cfg.MaxFrame > 0 {
			require.LessOrEqual(t, c.maxSize, cfg.MaxFrame, "a message over MaxFrame")
		}
	})
}

func TestSameSeedSameBytes(t *testing.T) {
	run := func() uint64 {
		c := newCluster(t, 4, 7, antientropy.Config{BufferBytes: 300}, everybody)
		c.loss, c.dup = 0.2, 0.2
		for i := range 60 {
			c.add(c.ids[i%4], i%17)
			if i%5 == 0 {
				c.remove(c.ids[i%3], i%17)
			}
			c.tick()
		}
		c.settle(500)
		return c.digest
	}
	require.Equal(t, run(), run())
}

// On a good network a change costs one message and one acknowledgment a peer, and no digest.
func TestChangeGoesOutOnceToEachPeer(t *testing.T) {
	c := newCluster(t, 5, 1, antientropy.Config{Mesh: true}, everybody)
	c.add(1, 99)
	for range 12 {
		c.tick()
	}
	before := c.nodes[1].Stats()
	_, digests := c.bytes()
	for i := range 20 {
		c.add(1, i)
		c.collect()
		c.tick()
	}
	require.Zero(t, c.settle(1))
	after := c.nodes[1].Stats()
	require.Zero(t, after.Resent)
	_, later := c.bytes()
	require.Equal(t, digests, later, "digests on a good network")
	stretches := (after.DeltaBytesSent - before.DeltaBytesSent) / 4 / 20
	require.Less(t, stretches, uint64(80), "bytes a change and peer")
}

// Without Mesh a change passes on along a chain, never back to where it came from.
func TestChangeIsNotEchoed(t *testing.T) {
	line := func(i, j int) bool { return i-j == 1 || j-i == 1 }
	c := newCluster(t, 3, 1, antientropy.Config{}, line)
	for range 30 {
		c.tick()
	}
	before2, before3 := c.nodes[2].Stats().DeltaBytesSent, c.nodes[3].Stats().DeltaBytesSent
	c.add(1, 7)
	for range 5 {
		c.tick()
	}
	require.True(t, c.equal())
	sent := c.nodes[2].Stats().DeltaBytesSent - before2
	require.NotZero(t, sent)
	require.Less(t, sent, uint64(80), "the middle one told more than one peer")
	require.Equal(t, before3, c.nodes[3].Stats().DeltaBytesSent, "the last one told something back")
	for _, id := range c.ids {
		require.Zero(t, c.nodes[id].LogLen(), "node %v keeps what nobody needs", id)
	}
}

// pair returns two nodes that know each other well.
func pair(t *testing.T) *cluster {
	c := newCluster(t, 2, 1, antientropy.Config{ProbeTicks: 1 << 20}, everybody)
	c.add(1, 99)
	c.add(2, 98)
	for range 12 {
		c.tick()
	}
	require.True(t, c.equal())
	return c
}

// stretches returns the messages that a node wants sent now.
func (c *cluster) messages(id crdt.ReplicaID) [][]byte {
	rd := c.nodes[id].Ready()
	c.nodes[id].Advance(rd)
	var out [][]byte
	for _, e := range rd.Messages {
		out = append(out, e.Message)
	}
	return out
}

// A lost change is sent again after a while, without a digest.
func TestLostChangeIsSentAgain(t *testing.T) {
	c := pair(t)
	_, digests := c.bytes()
	c.add(1, 5)
	require.Len(t, c.messages(1), 1) // and lost
	for range 2 {
		c.tick()
	}
	require.False(t, c.sets[2].Contains(5))
	for range 2 {
		c.tick()
	}
	require.True(t, c.sets[2].Contains(5))
	require.Equal(t, uint64(1), c.nodes[1].Stats().Resent)
	_, later := c.bytes()
	require.Equal(t, digests, later)
}

// Changes of one node are taken in in their order: what comes too early waits until what was before
// it is sent again, at once.
func TestChangesOfANodeStayInOrder(t *testing.T) {
	c := pair(t)
	c.add(1, 5)
	first := c.messages(1)
	c.add(1, 6)
	second := c.messages(1)
	require.Len(t, first, 1)
	require.Len(t, second, 1)
	require.NoError(t, c.nodes[2].Step(1, second[0]))
	require.False(t, c.sets[2].Contains(6), "6 came before 5 and is there before it")
	for _, m := range c.messages(2) { // "I have nothing after what I had"
		require.NoError(t, c.nodes[1].Step(2, m))
	}
	again := c.messages(1)
	require.Len(t, again, 1)
	require.NoError(t, c.nodes[2].Step(1, again[0]))
	require.True(t, c.sets[2].Contains(5) && c.sets[2].Contains(6))
	require.NoError(t, c.nodes[2].Step(1, first[0]))
	require.NoError(t, c.nodes[2].Step(1, second[0]))
	require.True(t, c.equal())
}

// Who falls behind what is buffered asks by digest, without waiting for a probe.
func TestOverflowIsMendedByDigest(t *testing.T) {
	c := newCluster(t, 2, 1, antientropy.Config{ProbeTicks: 1 << 20, BufferBytes: 200}, everybody)
	c.add(1, 99)
	for range 12 {
		c.tick()
	}
	c.cut[2] = 1
	for i := range 50 {
		c.add(1, i)
	}
	c.tick()
	clear(c.cut)
	c.settle(10)
	require.Equal(t, 51, c.sets[2].Len())
}

// A peer that does not answer is sent little, and all that it lacks when it is back.
func TestSilentPeerCostsLittle(t *testing.T) {
	c := newCluster(t, 2, 1, antientropy.Config{BufferBytes: 2000, MaxFrame: 300}, everybody)
	for range 10 {
		c.tick()
	}
	c.cut[2] = 1
	for i := range 2000 {
		c.add(1, i)
		c.tick()
	}
	sent := c.nodes[1].Stats().DeltaBytesSent
	require.Less(t, sent, uint64(10<<10)) // of 90 kB that were published
	clear(c.cut)
	c.settle(400)
	require.Equal(t, 2000, c.sets[2].Len())
}

// A node that comes back under a new name with nothing gets everything.
func TestNewcomerGetsEverything(t *testing.T) {
	c := newCluster(t, 2, 1, antientropy.Config{MaxFrame: 2000}, everybody)
	for i := range 3000 {
		c.add(1, i)
	}
	c.settle(100)
	c.start(9, 99, antientropy.Config{MaxFrame: 2000})
	for _, id := range c.ids[:2] {
		c.nodes[9].AddPeer(id)
		c.nodes[id].AddPeer(9)
	}
	c.settle(50)
	require.Equal(t, 3000, c.sets[9].Len())
	require.LessOrEqual(t, c.maxSize, 2000)
}

// written counts what is written to answer questions.
type written struct {
	*crdt.Store
	deltas, bytes, most int
}

func (w *written) Answer(q crdt.Question, size, most int) crdt.Answer {
	ans := w.Store.Answer(q, size, most)
	bytes := 0
	for _, d := range ans.Patch {
		w.deltas, bytes = w.deltas+1, bytes+d.Len()
	}
	w.bytes, w.most = w.bytes+bytes, max(w.most, bytes)
	return ans
}

// A newcomer's first sync writes the state once, in the frames that are sent, and holds no more of them
// than BufferBytes; what is lost on the way is written again, and nothing else. Meanwhile the state changes.
func TestFirstSyncWritesTheStateOnce(t *testing.T) {
	const n, frame, buffer = 40_000, 4 << 10, 16 << 10
	for _, loss := range []float64{0, 0.05} {
		cfg := antientropy.Config{MaxFrame: frame, BufferBytes: buffer, ProbeTicks: 1000}
		c := newCluster(t, 0, 1, cfg, everybody)
		for _, id := range []crdt.ReplicaID{1, 2} {
			c.start(id, uint64(id), cfg)
		}
		counted := &written{Store: c.sets[1].Store()}
		c.nodes[1].Stop()
		cfg.Self, cfg.State, cfg.Seed = 1, counted, 5
		c.nodes[1] = antientropy.NewNode(cfg)
		c.sets[1].Store().Update(func() {
			for i := range n {
				c.add(1, i)
			}
		})
		for i := range n / 2 {
			c.add(1, 2*i) // again: as many events are over as live
		}
		c.collect()
		c.nodes[1].AddPeer(2)
		c.nodes[2].AddPeer(1)
		c.loss = loss
		for i := 0; i < 20; i++ {
			c.tick()
			c.add(1, n+i)
			c.remove(1, i)
			require.LessOrEqual(t, counted.most, buffer+frame)
		}
		ticks := c.settle(1000)
		whole := c.sets[1].State().Len()
		t.Logf("loss %v: a state of %d bytes; %d bytes in %d frames, %d ticks", loss, whole, counted.bytes, counted.deltas, 20+ticks)
		require.Greater(t, whole, 10*buffer, "in many answers")
		require.Less(t, float64(counted.bytes), (1.05+2*loss)*float64(whole))
		require.Less(t, counted.deltas, counted.bytes*12/10/frame)
	}
}

// A newcomer among many gets the state once: from one of them, though it may be any, one of them is dead, and
// some of them are newcomers too.
func TestNewcomerGetsTheStateOnce(t *testing.T) {
	const nodes, late = 6, 2
	for _, mesh := range []bool{false, true} {
		cfg := antientropy.Config{MaxFrame: 4 << 10, BufferBytes: 16 << 10, Mesh: mesh}
		c := newCluster(t, nodes, 1, cfg, everybody)
		c.sets[1].Store().Update(func() {
			for i := range 10_000 {
				c.add(1, i)
			}
		})
		c.settle(300)
		patches := func() (sent int) {
			for _, id := range c.ids {
				sent += int(c.nodes[id].Stats().PatchBytesSent)
			}
			return sent
		}
		before := patches()
		c.down[2] = true
		for i := range late {
			id := crdt.ReplicaID(90 + i)
			c.start(id, uint64(id), cfg)
			for _, other := range c.ids {
				c.nodes[id].AddPeer(other)
				c.nodes[other].AddPeer(id)
			}
		}
		for i := 0; i < 300 && !c.equalOf(append([]crdt.ReplicaID{1}, c.ids[nodes:]...)); i++ {
			c.tick()
		}
		require.Equal(t, c.sets[1].State(), c.sets[91].State())
		for range 60 { // and then nothing
			c.tick()
		}
		require.Less(t, patches()-before, late*c.sets[1].State().Len()*13/10, "mesh: %v", mesh)
	}
}

// asked returns how many peers a node asks now for what it lacks.
func (c *cluster) asked(id crdt.ReplicaID) int {
	rd := c.nodes[id].Ready()
	c.nodes[id].Advance(rd)
	peers := map[crdt.ReplicaID]bool{}
	for _, e := range rd.Messages {
		if kindOf(e.Message) == questionKind {
			peers[e.To] = true
		}
	}
	return len(peers)
}

// Who has nothing asks one peer, who lacks a little all of them at once: to wait for one after the other
// would take longer than what it lacks stays the same.
func TestWhoLacksALittleAsksEverybody(t *testing.T) {
	cfg := antientropy.Config{MaxFrame: 4 << 10, BufferBytes: 16 << 10}
	c := newCluster(t, 4, 1, cfg, everybody)
	for i := range 10_000 {
		c.add(1, i)
	}
	c.settle(300)
	c.start(90, 90, cfg)
	for _, id := range c.ids[:4] {
		c.nodes[90].AddPeer(id)
	}
	require.Equal(t, 1, c.asked(90))
	for _, id := range c.ids[:4] {
		c.nodes[id].AddPeer(90)
	}
	c.settle(300)
	for range 60 { // it asks the others too
		c.tick()
	}
	for _, id := range c.ids[:4] { // more gets lost than they keep
		for i := range 1000 {
			c.add(id, 10_000*int(id)+i)
			c.messages(id)
		}
		for range 4 {
			c.nodes[id].Tick()
			c.hand(id, 90, everything)
		}
	}
	require.Equal(t, 4, c.asked(90))
}

// A newcomer whose peers are mostly dead gets a state of many answers from the one that is not, and does
// not try the dead ones in between.
func TestNewcomerAsksWhoAnswers(t *testing.T) {
	cfg := antientropy.Config{MaxFrame: 4 << 10, BufferBytes: 16 << 10}
	c := newCluster(t, 4, 1, cfg, everybody)
	for i := range 20_000 {
		c.add(4, i)
	}
	c.settle(300)
	c.down[1], c.down[2], c.down[3] = true, true, true
	c.start(90, 90, cfg)
	for _, id := range c.ids[:4] {
		c.nodes[90].AddPeer(id)
		c.nodes[id].AddPeer(90)
	}
	ticks := 0
	for ; ticks < 300 && !c.equalOf([]crdt.ReplicaID{4, 90}); ticks++ {
		c.tick()
	}
	require.Less(t, ticks, 20)
}

// Who asks again and again is not answered more than BufferBytes at once, and goes without nothing.
func TestWhoAsksOftenWaits(t *testing.T) {
	const frame, buffer = 1 << 10, 8 << 10
	cfg := antientropy.Config{MaxFrame: frame, BufferBytes: buffer}
	c := newCluster(t, 2, 1, cfg, func(int, int) bool { return false })
	for i := range 10_000 {
		c.add(1, i)
	}
	c.nodes[1].AddPeer(2)
	c.nodes[2].AddPeer(1)
	c.nodes[1].Advance(c.nodes[1].Ready())
	asking := c.nodes[2].Ready()
	for range 100 {
		for _, e := range asking.Messages {
			require.NoError(t, c.nodes[1].Step(2, e.Message))
		}
	}
	held := 0
	for _, e := range c.nodes[1].Ready().Messages {
		held += len(e.Message)
	}
	require.Less(t, held, 2*buffer)
	c.settle(100)
}

func TestWhatIsToBeDoneInWords(t *testing.T) {
	c := newCluster(t, 2, 1, antientropy.Config{}, everybody)
	c.add(1, 5)
	rd := c.nodes[1].Ready()
	require.Equal(t, "1 deltas to persist, 2 messages of 90 bytes, 1 changes, 0 tickets done; stable: 0 events of 0 replicas seen, 0 live", rd.String())
	require.Equal(t, "47 bytes to 0000000000000002", rd.Messages[0].String())
	require.Equal(t, "sent 2 messages, 90 bytes (log 43, patches 0, questions 47, reports 0), 0 stretches again; received 0 messages, 0 bytes, refused 0", c.nodes[1].Stats().String())
}

func TestPersistIsWhatChanged(t *testing.T) {
	c := newCluster(t, 2, 1, antientropy.Config{}, everybody)
	c.add(1, 5)
	rd := c.nodes[1].Ready()
	require.Len(t, rd.Persist, 1)
	c.add(1, 6)
	again := c.nodes[1].Ready()
	require.Len(t, again.Persist, 2, "nothing is lost before Advance")
	c.nodes[1].Advance(rd)
	require.Len(t, c.nodes[1].Ready().Persist, 1)
	for _, e := range again.Messages {
		require.NoError(t, c.nodes[2].Step(1, e.Message))
	}
	learnt := c.nodes[2].Ready().Persist
	require.NotEmpty(t, learnt)
	s := crdt.NewSet[int](3)
	for _, d := range learnt {
		_, err := s.Merge(d)
		require.NoError(t, err)
	}
	require.Equal(t, []int{5, 6}, s.Sorted())
}

func TestChangesAreCollected(t *testing.T) {
	c := newCluster(t, 2, 1, antientropy.Config{}, everybody)
	c.add(1, 5)
	c.tick()
	c.add(2, 6)
	rd := c.nodes[2].Ready()
	require.Equal(t, 1, len(rd.Changes))
	require.Equal(t, "Set 6: <nil> → true", fmt.Sprint(rd.Changes[0]))
	require.True(t, rd.Changes[0].Local)
	c.nodes[2].Advance(rd)
	require.Empty(t, c.nodes[2].Ready().Changes)

	set := crdt.NewSet[int](3)
	n := antientropy.NewNode(antientropy.Config{Self: 3, State: set.Store(), NoChanges: true})
	set.Add(1)
	require.Empty(t, n.Ready().Changes)
	n = antientropy.NewNode(antientropy.Config{Self: 3, State: set.Store()})
	set.Add(2)
	n.Stop()
	set.Add(3)
	require.Len(t, n.Ready().Changes, 1)
}

func TestStopEndsListening(t *testing.T) {
	set := crdt.NewSet[int](1)
	n := antientropy.NewNode(antientropy.Config{Self: 1, State: set.Store()})
	set.Add(1)
	require.Len(t, n.Ready().Persist, 1)
	n.Stop()
	set.Add(2)
	require.Len(t, n.Ready().Persist, 1)
}

// A replica that lost its disk and goes on under its old name is told so by who knows what it had made, and
// nobody takes in any of its new history. Under a new name it gets back what it had told.
func TestNameReusedAfterLosingTheDisk(t *testing.T) {
	c := newCluster(t, 3, 1, antientropy.Config{}, everybody)
	c.add(2, 1, 2, 3)
	c.settle(50)
	c.start(2, 77, antientropy.Config{})
	c.ids = c.ids[:3]
	for _, id := range []crdt.ReplicaID{1, 3} {
		c.nodes[2].AddPeer(id)
	}
	c.add(2, 8, 9)
	var reused *crdt.EquivocationError
	refused := 0
	for range 40 {
		for _, id := range c.ids {
			c.nodes[id].Tick()
			rd := c.nodes[id].Ready()
			c.nodes[id].Advance(rd)
			for _, m := range rd.Messages {
				if err := c.nodes[m.To].Step(id, m.Message); err != nil {
					require.ErrorIs(t, err, crdt.ErrEquivocation)
					if errors.As(err, &reused) && m.To == 2 {
						require.Equal(t, crdt.ReplicaID(2), reused.Dot.Node)
						refused++
					}
				}
			}
		}
	}
	require.Positive(t, refused, "it was not told")
	require.Equal(t, []int{8, 9}, c.sets[2].Sorted())
	for _, id := range []crdt.ReplicaID{1, 3} {
		require.Equal(t, []int{1, 2, 3}, c.sets[id].Sorted())
		require.Positive(t, c.nodes[id].Stats().Refused)
	}
	c.ids, c.flying, c.down[2] = []crdt.ReplicaID{1, 3}, nil, true
	c.start(4, 78, antientropy.Config{})
	for _, id := range []crdt.ReplicaID{1, 3} {
		c.nodes[id].RemovePeer(2)
		c.nodes[id].AddPeer(4)
		c.nodes[4].AddPeer(id)
	}
	c.add(4, 8, 9)
	c.settle(100)
	require.Equal(t, []int{1, 2, 3, 8, 9}, c.sets[4].Sorted())
}

func TestStepRefuses(t *testing.T) {
	set := crdt.NewSet[int](1)
	n := antientropy.NewNode(antientropy.Config{Self: 1, State: set.Store()})
	require.ErrorIs(t, n.Step(2, []byte{1, 3}), antientropy.ErrUnknownPeer)
	n.AddPeer(2)
	require.ErrorIs(t, n.Step(2, nil), crdt.ErrCorrupt)
	require.ErrorIs(t, n.Step(2, []byte{9, 3}), crdt.ErrVersion)
	require.ErrorIs(t, n.Step(2, []byte{1, 77}), crdt.ErrCorrupt)
	patch, _ := crdt.NewCounter(2).Add(1).AppendBinary([]byte{1, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	require.ErrorIs(t, n.Step(2, patch), crdt.ErrSchema)
	require.Equal(t, uint64(5), n.Stats().Refused)
	require.True(t, set.State().IsZero())
	require.Panics(t, func() { antientropy.NewNode(antientropy.Config{}) })
	n.AddPeer(1) // oneself is no peer
	require.Equal(t, []crdt.ReplicaID{2}, n.Peers())
}

func FuzzStep(f *testing.F) {
	c := newCluster(f, 2, 1, antientropy.Config{Mesh: true, StableTicks: 1}, everybody)
	c.add(1, 1, 2, 3)
	for range 3 {
		for _, id := range c.ids {
			c.nodes[id].Tick()
			rd := c.nodes[id].Ready()
			for _, e := range rd.Messages {
				f.Add(e.Message)
			}
		}
		c.tick()
	}
	c.nodes[2].Retire(7)
	for _, m := range c.messages(2) {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set := crdt.NewSet[int](1)
		n := antientropy.NewNode(antientropy.Config{Self: 1, State: set.Store(), Mesh: true, StableTicks: 1})
		n.AddPeer(2)
		set.Add(5)
		n.Read(antientropy.All)
		n.Advance(n.Ready())
		before := string(b)
		_ = n.Step(2, b)
		require.Equal(t, before, string(b), "the message was changed")
		n.Tick()
		n.Advance(n.Ready())
	})
}

// What was known already is not told on: where changes come by two ways, each node tells each of them
// at most once to each peer.
func TestKnownChangesAreNotToldOn(t *testing.T) {
	c := newCluster(t, 4, 1, antientropy.Config{ProbeTicks: 1 << 20}, ring(4))
	for range 30 {
		c.tick()
	}
	for i := range 20 {
		c.add(1, i)
		for range 5 {
			c.tick()
		}
	}
	require.True(t, c.equal())
	for _, id := range c.ids {
		n := c.nodes[id]
		require.Zero(t, n.LogLen())
		before := n.Stats().DeltaBytesSent
		for range 10 {
			c.tick()
		}
		require.Equal(t, before, n.Stats().DeltaBytesSent, "node %v goes on telling", id)
	}
	// 2 and 4 tell 3, and 3 tells only the one that it did not hear of it from first.
	require.Less(t, c.nodes[3].Stats().DeltaBytesSent, uint64(20*80))
}

// A difference that no log tells of, here because a state was mended by hand, is found by probes.
func TestProbesFindWhatNoLogTells(t *testing.T) {
	c := newCluster(t, 3, 1, antientropy.Config{}, everybody)
	c.settle(50)
	other := crdt.NewSet[int](77)
	for i := range 8 {
		_, err := c.sets[1].Merge(other.Add(i)) // the node does not hear of what is merged
		require.NoError(t, err)
		c.settle(100)
		require.True(t, c.sets[3].Contains(i))
	}
}

// Each start of a node has a log of its own. What is said of another one of the same name does not count
// for this one, and what this one says is not taken for the other one's.
func TestWordsOfAnotherLogDoNotCount(t *testing.T) {
	c := pair(t)
	for i := range 3 {
		c.add(1, i)
		c.hand(1, 2, everything)
	}
	old := c.messages(2) // an acknowledgment, under way for long
	require.NotEmpty(t, old)
	saved := c.sets[1].State()

	// 1 starts again with all that it had.
	c.nodes[1].Stop()
	c.ids = []crdt.ReplicaID{2}
	c.start(1, 77, antientropy.Config{ProbeTicks: 1 << 20})
	_, err := c.sets[1].Merge(saved)
	require.NoError(t, err)
	n := c.nodes[1]
	n.AddPeer(2)
	for i := range 9 {
		c.add(1, 10+i)
		n.Write(antientropy.All)
	}
	c.messages(1) // and lost
	kept := n.LogLen()
	for _, m := range old {
		require.NoError(t, n.Step(2, m))
	}
	require.Empty(t, n.Ready().Done, "written, by the word of one who has nothing of it")
	require.Equal(t, kept, n.LogLen(), "forgotten, by the word of one who has nothing of it")

	// The peer hears that this is another log, and says how far it is in that one.
	for range 4 {
		n.Tick()
	}
	c.hand(1, 2, func(kind int) bool { return kind == stretchKind })
	require.True(t, c.sets[2].Contains(18))
	c.hand(2, 1, func(kind int) bool { return kind == ackKind })
	require.Zero(t, n.LogLen())
	for range 20 {
		c.tick()
	}
	require.True(t, c.equal())
	require.Len(t, c.done[1], 9)
}

// What a Config cannot mean is taken for the nearest that it can.
func TestConfigOutOfRange(t *testing.T) {
	for _, x := range []int{math.MinInt, -1, 1, math.MaxInt} {
		for _, mesh := range []bool{false, true} {
			sets, nodes := map[crdt.ReplicaID]*crdt.Set[int]{}, map[crdt.ReplicaID]*antientropy.Node{}
			for id := range crdt.ReplicaID(3) {
				if id > 0 {
					sets[id] = crdt.NewSet[int](id)
					nodes[id] = antientropy.NewNode(antientropy.Config{
						Self: id, State: sets[id].Store(), MaxFrame: x, BufferBytes: x, ResendTicks: x, ProbeTicks: x, StableTicks: x, Mesh: mesh,
					})
					nodes[id].AddPeer(3 - id)
				}
			}
			for i := range 100 {
				if i < 50 {
					sets[1].Add(i)
					sets[2].Add(-i)
				}
				nodes[1].Tick()
				nodes[2].Tick()
				for _, id := range []crdt.ReplicaID{1, 2} { // the second hears the first before it speaks
					rd := nodes[id].Ready()
					nodes[id].Advance(rd)
					for _, e := range rd.Messages {
						require.NoError(t, nodes[e.To].Step(id, e.Message))
					}
				}
			}
			require.Equal(t, sets[1].Sorted(), sets[2].Sorted(), "%d", x)
		}
	}
}
