package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLoad offers far more than anything carries, for a moment: what is let in must be counted exactly,
// whatever gives way.
func TestLoad(t *testing.T) {
	for _, full := range []fullPolicy{fullBlock, fullReject, fullDropOldest} {
		var out bytes.Buffer
		args := "-load -full " + string(full) + " -lines 5000 -nodes 2 -queue 256 -rate 2000000 -step 50ms"
		code, err := command(context.Background(), strings.Fields(args), nil, &out, io.Discard)
		require.NoError(t, err, out.String())
		require.Equal(t, exitOK, code, out.String())
		require.Contains(t, out.String(), "exactly those that were let in", full)
		require.Contains(t, out.String(), "the nodes carry about")
	}
}

func TestLoadDealsWhatWasAskedFor(t *testing.T) {
	l := &loader{lines: []string{"a", "b", "c"}, cluster: &cluster{nodes: make([]*node, 3)}}
	var n int64
	for _, plan := range l.deal(1000, chunksPerSecond) {
		require.Len(t, plan, chunksPerSecond)
		for _, text := range plan {
			n += chunk{text: text}.lines()
		}
	}
	require.InDelta(t, 1000, n, 3)
}
