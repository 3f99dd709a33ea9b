package shard

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStats(t *testing.T) {
	m := must(t, []Node{{"a", 1, "x/1"}, {"b", 2, "x/2"}, {"c", 1, "y"}}, Slots(512), Slack(0))
	s := m.Stats()
	require.Equal(t, 3, s.Nodes)
	require.Equal(t, 512, s.Slots)
	require.Equal(t, 1, s.Replicas)
	require.Equal(t, 1024, s.Bytes)
	require.Equal(t, 1.0, s.Peak)
	require.Equal(t, 1.0, s.Trough)
	require.Equal(t, []Holding{{"a", 128, 128, 128}, {"b", 256, 256, 256}, {"c", 128, 128, 128}}, s.ByNode)
	require.Equal(t, []Holding{{"x", 384, 384, 384}, {"y", 128, 128, 128}}, s.ByZone)
	require.Equal(t, 0.0, Holding{}.Load())

	// Two replicas in two zones: c holds one of every slot, and its fair share says so.
	s = must(t, []Node{{"a", 1, "x/1"}, {"b", 2, "x/2"}, {"c", 1, "y"}}, Slots(512), Slack(0), Replicas(2)).Stats()
	require.Equal(t, 512, s.ByNode[2].Replicas)
	require.InDelta(t, 1, s.Peak, 0.01)
	require.InDelta(t, 1, s.Trough, 0.01)
}
