package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/journal"
	"github.com/go-calm/calm/examples/internal/gossip"
)

// soloConfig is a node without company; with a directory it has a journal.
func soloConfig(dir string) nodeConfig {
	cfg := testConfig(nil).node
	cfg.name, cfg.dir, cfg.input = "solo", dir, "test.log"
	cfg.local = true
	return cfg
}

const oneLine = `a - - [17/May/2015:10:05:03 +0000] "GET /x HTTP/1.1" 200 10` + "\n"

func requests(n *node) (sum int64) {
	n.view(func(s *site) { sum = s.totals(0).Requests })
	return sum
}

func TestNodeComesBackUnderItsName(t *testing.T) {
	dir := t.TempDir()
	var id crdt.ReplicaID
	for start := range 3 {
		n, err := startNode(soloConfig(dir))
		require.NoError(t, err)
		require.EqualValues(t, start, requests(n))
		if start > 0 {
			require.Equal(t, id, n.id)
		}
		require.Equal(t, start > 0, n.resumed)
		id = n.id
		require.EqualValues(t, 100*start, n.saved.offset)
		n.feed(chunk{oneLine, int64(100 * (start + 1)), 1})
		require.NoError(t, n.flush())
		require.NoError(t, n.close())
	}
}

func TestNodeForgetsItsPlaceInAnotherInput(t *testing.T) {
	dir := t.TempDir()
	n, err := startNode(soloConfig(dir))
	require.NoError(t, err)
	n.feed(chunk{oneLine, 100, 1})
	require.NoError(t, n.flush())
	require.NoError(t, n.close())

	cfg := soloConfig(dir)
	cfg.input = "another.log"
	n, err = startNode(cfg)
	require.NoError(t, err)
	require.EqualValues(t, 1, requests(n), "what was counted stays counted")
	require.Zero(t, n.saved)
	require.NoError(t, n.close())
}

// TestNodeRefusesADamagedJournal: to begin anew would count the same lines twice.
func TestNodeRefusesADamagedJournal(t *testing.T) {
	dir := t.TempDir()
	n, err := startNode(soloConfig(dir))
	require.NoError(t, err)
	require.NoError(t, n.close())
	path := filepath.Join(dir, "snapshot")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[len(b)-1] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	_, err = startNode(soloConfig(dir))
	require.ErrorIs(t, err, journal.ErrCorrupt)
}

// fullDisk is a log that takes nothing.
type fullDisk struct{ err error }

func (d fullDisk) Append(crdt.Delta, bool) error { return d.err }

// TestNothingIsToldBeforeItIsSaved fills a node's disk: what it reads then stays with it, counts nowhere,
// and is counted once when there is room again.
func TestNothingIsToldBeforeItIsSaved(t *testing.T) {
	t.Parallel()
	cfg := soloConfig(t.TempDir())
	cfg.flush = time.Hour
	a, err := startNode(cfg)
	require.NoError(t, err)
	defer a.close()
	cfg = soloConfig("")
	cfg.tick, cfg.join = 2*time.Millisecond, []string{a.agent.Addr()}
	b, err := startNode(cfg)
	require.NoError(t, err)
	defer b.close()

	a.feed(chunk{oneLine, 100, 1})
	require.NoError(t, a.flush())
	require.Eventually(t, func() bool { return requests(b) == 1 && a.agrees() }, patience, poll)

	full := errors.New("no space left on device")
	disk := func(l crdt.Log) { a.mu.Lock(); defer a.mu.Unlock(); a.store.SetLog(l) }
	for _, err := range []error{full, journal.ErrBroken} { // the second one has it write a snapshot
		before := requests(a)
		disk(fullDisk{err})
		a.feed(chunk{oneLine + strings.ReplaceAll(oneLine, "a -", "b -"), a.saved.offset + 200, 1})
		require.ErrorIs(t, a.flush(), err)
		a.feed(chunk{oneLine, a.saved.offset + 300, 1}) // in the next epoch
		require.ErrorIs(t, a.flush(), err)
		require.NotEmpty(t, a.status().Ingest.SaveFailed)
		// b asks for what a has that it lacks, and there is nothing.
		sent := func() uint64 { a.mu.Lock(); defer a.mu.Unlock(); return a.engine.Stats().MessagesSent }
		if from := sent(); errors.Is(err, full) {
			require.Eventually(t, func() bool { return sent() > from+3 }, patience, poll)
		}
		require.Equal(t, before, requests(a))
		require.Equal(t, before, requests(b))

		disk(a.journal)
		require.NoError(t, a.flush())
		require.Equal(t, before+3, requests(a), "what was read up to the place that is saved")
		require.Eventually(t, func() bool { return requests(b) == before+3 && b.agrees() }, patience, poll)
		require.Empty(t, a.status().Ingest.SaveFailed)
		b.view(func(s *site) { require.Equal(t, 2, s.Unique.Len()) })
	}
}

// TestNothingIsAcknowledgedBeforeItIsSynced: what a node could take in, and not sync, it keeps silent
// about, for peers forget what is acknowledged.
func TestNothingIsAcknowledgedBeforeItIsSynced(t *testing.T) {
	a, err := startNode(soloConfig(""))
	require.NoError(t, err)
	defer a.close()
	cfg := soloConfig(t.TempDir())
	cfg.flush, cfg.join = time.Hour, []string{a.agent.Addr()}
	b, err := startNode(cfg)
	require.NoError(t, err)
	defer b.close()
	require.Eventually(t, b.agrees, patience, poll)
	b.mu.Lock()
	b.store.SetLog(nil)
	require.NoError(t, b.journal.Close())
	b.mu.Unlock()
	a.feed(chunk{oneLine, 100, 1})
	require.NoError(t, a.flush())
	require.Eventually(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.stuck }, patience, poll)
	require.EqualValues(t, 1, requests(b))

	heard := func() uint64 { a.mu.Lock(); defer a.mu.Unlock(); return a.engine.Stats().MessagesReceived }
	beats := func(n int) { // what was on its way before has arrived then
		for range n {
			at := a.peerList()[0].beatAt
			require.Eventually(t, func() bool { return a.peerList()[0].beatAt != at }, patience, poll)
		}
	}
	beats(2)
	before := heard()
	beats(1)
	require.Equal(t, before, heard())
	require.NotEmpty(t, b.status().Ingest.SaveFailed)
}

// bytesOf is how large a node's state is.
func bytesOf(n *node) (size int) {
	n.view(func(*site) { size = n.store.State().Len() })
	return size
}

// threeNodes are three nodes on loopback, of which those with a directory keep what they know; each may be
// killed, and started again at its address.
type threeNodes struct {
	t     *testing.T
	cfgs  [3]nodeConfig
	nodes [3]*node
	lines int64
}

func startThree(t *testing.T, over func(*gossip.Agent) (gossip.Transport, error), dirs [3]string) *threeNodes {
	c := &threeNodes{t: t}
	for i := range c.nodes {
		c.cfgs[i] = soloConfig(dirs[i])
		c.cfgs[i].over, c.cfgs[i].tick, c.cfgs[i].flush = over, 2*time.Millisecond, time.Hour
		for _, n := range c.nodes[:i] {
			c.cfgs[i].join = append(c.cfgs[i].join, n.agent.Addr())
		}
		c.start(i)
		c.cfgs[i].bind = c.nodes[i].agent.Addr()
	}
	c.cfgs[0].join = []string{c.cfgs[1].bind}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			if n != nil {
				n.close()
			}
		}
	})
	c.settle()
	return c
}

func (c *threeNodes) start(i int) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { // its port may be somebody's for a moment
		n, err := startNode(c.cfgs[i])
		if err != nil {
			c.t.Log(err)
			return false
		}
		c.nodes[i] = n
		return true
	}, patience, poll)
}

// count has each node count lines for some pages, and tell of them, so many times.
func (c *threeNodes) count(times int) {
	c.t.Helper()
	for range times {
		for _, n := range c.nodes {
			n.feed(chunk{oneLine + strings.ReplaceAll(oneLine, "/x", "/y"), n.saved.offset + 1, 1})
			require.NoError(c.t, n.flush())
			c.lines += 2
		}
	}
}

// settle waits until all know each other, and all there is.
func (c *threeNodes) settle() {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		for _, n := range c.nodes {
			if len(n.peerList()) != 2 || requests(n) != c.lines || !c.sameAsFirst(n) {
				return false
			}
		}
		return true
	}, patience, poll)
}

// sameAsFirst reports whether a node holds what the first one does.
func (c *threeNodes) sameAsFirst(n *node) bool {
	first, _ := c.nodes[0].settled()
	mine, _ := n.settled()
	return mine == first
}

// small waits until no node's state is larger than size.
func (c *threeNodes) small(size int) {
	c.t.Helper()
	last := 0
	require.Eventually(c.t, func() bool {
		for _, n := range c.nodes {
			if last = bytesOf(n); last > size {
				return false
			}
		}
		return true
	}, patience, poll, "%d bytes is not small", last)
}

// TestStateStaysSmallThroughKills: nodes that keep what they know come back under their names, so that
// however often they are killed and however much is told meanwhile, the state stays what a page and a
// node take.
func TestStateStaysSmallThroughKills(t *testing.T) {
	t.Parallel()
	c := startThree(t, gossip.Memberlist, [3]string{t.TempDir(), t.TempDir(), t.TempDir()})
	c.count(20)
	c.small(1200)
	for round := range 12 {
		i := round % 3
		c.count(10)
		require.NoError(t, c.nodes[i].close())
		c.start(i)
		c.settle()
		c.small(1200)
	}
	for _, n := range c.nodes {
		n.view(func(s *site) {
			require.Equal(t, 3, s.Places.Len())
			require.Zero(t, s.Retired.Len())
			require.Equal(t, c.lines, s.totals(0).Requests)
		})
		require.Empty(t, n.status().Gossip.Missing)
	}
}

// TestWhoKeepsNothingIsRetired: who comes back at its address without a memory is another one, and the
// others do not wait for the one before.
func TestWhoKeepsNothingIsRetired(t *testing.T) {
	t.Parallel()
	c := startThree(t, gossip.Memberlist, [3]string{t.TempDir(), t.TempDir(), ""})
	c.count(5)
	for kills := range 5 {
		was := c.nodes[2].id
		c.settle()
		require.NoError(t, c.nodes[2].close())
		c.start(2)
		c.settle()
		for _, n := range c.nodes[:2] {
			require.Eventually(t, func() bool {
				n.mu.Lock()
				defer n.mu.Unlock()
				return len(n.engine.Retired()) == kills+1
			}, patience, poll)
			require.Contains(t, n.engine.Retired(), was)
		}
		c.count(20)
		c.small(1500 + 200*kills)
	}
	// One that starts again knows whom the others have retired.
	require.NoError(t, c.nodes[0].flush())
	require.NoError(t, c.nodes[0].close())
	c.start(0)
	require.Len(t, c.nodes[0].engine.Retired(), 5)
}

// TestWhoIsAwayIsWaitedFor: nodes that start again, while one that keeps what it knows is away, do not
// forget it; until it is back, or one of them is told to retire it. Then it must not go on.
func TestWhoIsAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	// Over HTTP, where nobody who has not met the third one takes it to be there.
	c := startThree(t, gossip.HTTP, [3]string{t.TempDir(), t.TempDir(), t.TempDir()})
	gone := c.nodes[2].id
	require.NoError(t, c.nodes[2].close())
	for i := range 2 {
		require.NoError(t, c.nodes[i].close())
		c.start(i)
	}
	both := func(holds func(n *node) bool) {
		t.Helper()
		require.Eventually(t, func() bool { return holds(c.nodes[0]) && holds(c.nodes[1]) }, patience, poll)
	}
	for range 40 {
		for _, n := range c.nodes[:2] {
			n.feed(chunk{oneLine, n.saved.offset + 1, 1})
			require.NoError(t, n.flush())
		}
	}
	reports := map[*node]uint64{}
	both(func(n *node) bool { // they know all, and have told each other so
		if requests(n) < 80 || !c.sameAsFirst(n) {
			return false
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		told := n.engine.Stats().ReportBytesSent
		if reports[n] == 0 {
			reports[n] = told
		}
		return told > reports[n]
	})
	for _, n := range c.nodes[:2] {
		require.Greater(t, bytesOf(n), 1200, "it has fused what the third one may not have seen")
		require.Equal(t, []string{gone.String() + " solo"}, n.status().Gossip.Missing)
	}

	require.NoError(t, c.nodes[1].close())
	c.cfgs[1].retire = []crdt.ReplicaID{gone}
	c.start(1)
	both(func(n *node) bool { return bytesOf(n) < 1200 && len(n.status().Gossip.Missing) == 0 })

	c.start(2)
	<-c.nodes[2].stopped.Done()
	require.ErrorIs(t, c.nodes[2].flush(), errRetired)
	require.NoError(t, c.nodes[2].close())
	_, err := startNode(c.cfgs[2])
	require.ErrorIs(t, err, errRetired)
}
