package main

import (
	"testing"

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
	tries := map[*lattice.Set[string]]bool{} // each try sends another set, with the same visitor
	require.Eventually(t, func() bool {
		a.lostMu.Lock()
		defer a.lostMu.Unlock()
		for _, l := range a.lost {
			require.Equal(t, []string{"a"}, l.set.Sorted())
			tries[l.set] = true
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

func TestParts(t *testing.T) {
	all := lattice.SetOf("a", "b", "c", "d", "e")
	for size, want := range map[int]int{1: 5, 2: 3, 5: 1, 9: 1} {
		n, sum := 0, &lattice.Set[string]{}
		for part := range parts(all, size) {
			require.LessOrEqual(t, part.Len(), size)
			sum.Merge(part)
			n++
		}
		require.Equal(t, want, n)
		require.Equal(t, all.Sorted(), sum.Sorted())
	}
	for range parts(&lattice.Set[string]{}, 3) {
		require.Fail(t, "nothing has no parts")
	}
}
