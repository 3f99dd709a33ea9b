package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNonsenseIsRefused: what strangers send is counted and changes nothing.
func TestNonsenseIsRefused(t *testing.T) {
	a, b := startPair(t)
	require.Eventually(t, func() bool { return len(a.peerList()) == 1 }, patience, poll)
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.fingerprint()
	for kind := range byte(8) {
		for _, msg := range []string{"", "x", "12345678nonsense", "{"} {
			require.Error(t, a.take(received{b.id, kind, []byte(msg)}), "kind %d %q", kind, msg)
		}
	}
	require.Equal(t, before, a.fingerprint())
}

func TestFingerprintTellsStatesApart(t *testing.T) {
	a, _ := startPair(t)
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := map[string]bool{}
	for _, v := range []string{"x", "y", "z"} {
		a.site.Unique.Add(v)
		seen[a.fingerprint()] = true
	}
	require.Len(t, seen, 3)
	require.True(t, seen[a.fingerprint()])
}
