package shard

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What prints itself does so in words, and in logs in a few figures: never as its whole table.
func TestPrinting(t *testing.T) {
	m := must(t, []Node{{ID: "a", Zone: "x"}, {ID: "b", Weight: 2, Zone: "x"}, {ID: "c", Zone: "y"}}, Slots(8), Replicas(2))
	_, plan := m.Rebalance([]Node{{ID: "a", Zone: "x"}, {ID: "c", Zone: "y"}})
	one := must(t, []Node{{ID: "a"}, {ID: "b"}}, Slots(8))
	load := []float64{0, 0, 0, 9, 0, 0, 0, 1}
	proposal := Balancer{}.Propose(one, load)
	skew := NewSkew("s", 0)
	skew.Add("k")
	for _, c := range []struct {
		what      any
		text, log string
	}{
		{m, fmt.Sprintf("8 slots on 3 nodes, replicas: 2, fingerprint %016x", m.Fingerprint()), fmt.Sprintf("v.slots=8 v.nodes=3 v.replicas=2 v.fingerprint=%016x", m.Fingerprint())},
		{one.Stats(), "8 slots on 2 nodes, replicas: 1, in 16 bytes: fullest node 1.000 of its share, emptiest 1.000", "v.slots=8 v.nodes=2 v.replicas=1 v.bytes=16 v.peak=1 v.trough=1"},
		{Move{Slot: 3, From: "a", To: "b"}, "slot 3: a → b", ""},
		{Move{Slot: 3, Rank: 1, To: "b"}, "slot 3, rank 1: another owner, b", ""},
		{Move{Slot: 3, Rank: 1, From: "a"}, "slot 3, rank 1: no longer a", ""},
		{plan, plan.String(), fmt.Sprintf("v.moves=%d v.lower=%d", len(plan.Moves), plan.Lower)},
		{Plan{Err: ErrNoNodes}, "no plan: " + ErrNoNodes.Error(), `v.err="` + ErrNoNodes.Error() + `"`},
		{
			proposal, fmt.Sprintf("nothing to move\nhottest node 1.800 → 1.800 of its share\n  slot 3 of %s: %s\n", proposal.Hot[0].Owner, proposal.Hot[0].Why),
			"v.moves=0 v.cost=0 v.before=1.8 v.after=1.8 v.hot=1",
		},
		{Balancer{}.Propose(one, nil), "no plan: " + Balancer{}.Propose(one, nil).Err.Error(), `v.err="shard: 0 loads: the map has 8 slots; give each its load"`},
		{skew.Report(4), "1 keys, the top one 100 %; at most 1 shards can ever be busy; peak/avg over 4 shards 4.00: bad", `v.name="" v.events=1 v.distinct=1 v.share=1 v.ceiling=1 v.shards=4 v.peak=4 v.verdict=bad`},
	} {
		require.Equal(t, c.text, fmt.Sprint(c.what))
		if c.log == "" {
			continue
		}
		var b strings.Builder
		slog.New(slog.NewTextHandler(&b, nil)).Info("", "v", c.what)
		_, log, _ := strings.Cut(strings.TrimSpace(b.String()), `msg="" `)
		require.Equal(t, c.log, log)
	}
}

// An error says once what is wrong, and what is not given is not quoted.
func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  error
		text string
	}{
		{new(Map).UnmarshalBinary([]byte("x")), "shard: malformed bytes at byte 1: version 120 of a map is unknown"},
		{new(Assignments).UnmarshalBinary(nil), "shard: malformed bytes at byte 0: want 1 byte, have none"},
		{&NodeError{Err: ErrEmptyID}, ErrEmptyID.Error()},
		{&NodeError{ID: "a", Err: ErrWeight}, `shard: node "a": the weight must be finite and not negative`},
	} {
		require.Equal(t, c.text, c.err.Error())
	}
	require.True(t, errors.Is(new(Map).UnmarshalBinary(nil), ErrMalformed))
}
