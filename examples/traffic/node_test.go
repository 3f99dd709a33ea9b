package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/examples/internal/cutnet"
	"github.com/go-calm/calm/lattice"
)

// TestVisitorsThatDidNotArriveAreToldAgain: as often as it takes.
func TestVisitorsThatDidNotArriveAreToldAgain(t *testing.T) {
	var network cutnet.Network
	cfg := testConfig(nil).node
	cfg.local, cfg.network = true, &network
	a, err := startNode(cfg)
	require.NoError(t, err)
	defer a.close()
	cfg.join = []string{a.agent.Addr()}
	b, err := startNode(cfg)
	require.NoError(t, err)
	defer b.close()
	require.Eventually(t, func() bool { return len(a.peerList()) == 1 && len(b.peerList()) == 1 && a.agrees() }, patience, poll)

	network.Cut([]string{a.agent.Addr()}, []string{b.agent.Addr()})
	a.feed(chunk{oneLine, 80, 0})
	require.NoError(t, a.flush())
	tries := map[uint64]bool{}
	require.Eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, p := range a.peers {
			if p.flight != nil {
				require.Equal(t, []string{"a"}, p.flight.Sorted())
				tries[p.flightID] = true
			}
		}
		return len(tries) >= 3
	}, patience, poll)
	network.Heal()
	require.Eventually(t, func() bool {
		known := 0
		b.view(func(_ *site, visitors *lattice.Set[string]) { known = visitors.Len() })
		return known == 1 && a.agrees()
	}, patience, poll)
}

func TestSplit(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e"}
	for _, size := range []int{1, 2, 5, 9} {
		var sum []string
		for part, rest := split(lattice.SetOf(all...), size); part.Len() > 0; part, rest = split(rest, size) {
			require.LessOrEqual(t, part.Len(), size)
			sum = append(sum, part.Sorted()...)
		}
		require.ElementsMatch(t, all, sum)
	}
}

// TestManyVisitorsGoInParts: one part after the other is sent when the one before has arrived.
func TestManyVisitorsGoInParts(t *testing.T) {
	a, b := startPair(t)
	var names []string
	for i := range 2*visitorsPerMessage + 5 {
		names = append(names, fmt.Sprint(i))
	}
	a.mu.Lock()
	a.visitors.Add(names...)
	a.unsaidNew.Add(names...)
	a.mu.Unlock()
	require.NoError(t, a.flush())
	require.Eventually(t, func() bool { return b.agrees() && a.agrees() && b.status().Totals.Visitors == len(names) }, patience, poll)
	require.Eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		p := a.peers[b.id]
		return p.flight == nil && p.owed.Len() == 0
	}, patience, poll, "what arrived is not sent again")
}

func TestOnlyTheAnswerToTheLastMessageCounts(t *testing.T) {
	a, b := startPair(t)
	require.Eventually(t, func() bool { return len(a.peerList()) == 1 }, patience, poll)
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.peers[b.id]
	p.flight, p.flightID, p.flightAt = lattice.SetOf("x"), 9, time.Now()
	for _, answer := range []string{"", "\x09", "\x00\x00\x00\x00\x00\x00\x00\x08", "\x00\x00\x00\x00\x00\x00\x00\x09more"} {
		require.NoError(t, a.take(received{b.id, kindHave, []byte(answer)}))
		require.NotNil(t, p.flight)
	}
	require.NoError(t, a.take(received{b.id + 1, kindHave, []byte("\x00\x00\x00\x00\x00\x00\x00\x09")}))
	require.NotNil(t, p.flight)
	require.NoError(t, a.take(received{b.id, kindHave, []byte("\x00\x00\x00\x00\x00\x00\x00\x09")}))
	require.Nil(t, p.flight)
}

func TestFingerprintTellsVisitorsApart(t *testing.T) {
	a, _ := startPair(t)
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := map[string]bool{}
	for _, v := range []string{"x", "y", "z"} {
		a.visitors.Add(v)
		seen[a.fingerprint()] = true
	}
	require.Len(t, seen, 3)
	require.True(t, seen[a.fingerprint()])
	a.site.Pages.Add("/")
	require.False(t, seen[a.fingerprint()])
}

// TestNonsenseIsRefused: what strangers send is counted and changes nothing.
func TestNonsenseIsRefused(t *testing.T) {
	a, b := startPair(t)
	require.Eventually(t, func() bool { return len(a.peerList()) == 1 }, patience, poll)
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.fingerprint()
	for kind := range byte(8) {
		for _, msg := range []string{"", "x", "12345678nonsense", "{"} {
			err := a.take(received{b.id, kind, []byte(msg)})
			if kind != kindHave {
				require.Error(t, err, "kind %d %q", kind, msg)
			}
		}
	}
	require.Equal(t, before, a.fingerprint())
}
