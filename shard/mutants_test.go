package shard

import (
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// The mutants of placement, of plans and of what is counted. Each is a bug of some peer, or one
// slip away from this code.
var mutants = []planted.Bug{
	{
		Name: "a cap is forgotten", Tests: "TestBoundsHold$", File: "matching.go",
		Old: "for len(heaps[i]) > room {",
		New: "for len(heaps[i]) > room && !bug() {",
	},
	{
		Name: "the last replica ignores the zones", Tests: "TestReplicasAreSpread", File: "matching.go",
		Old: "m.p.zones.eligible(0, c.used, c.eligible)",
		New: "m.p.zones.eligible(0, c.used, c.eligible); if bug() && m.rank == m.p.replicas-1 { for z := range c.eligible { c.eligible[z] = true } }",
	},
	{
		Name: "With keeps a stale first choice", Tests: "TestVaryEqualsNew$", File: "vary.go",
		Old: "if int(v.out[b.slot]) != int(d.pos) {",
		New: "if int(v.out[b.slot]) != int(d.pos) && !bug() {",
	},
	{
		Name: "With leaves a map lists that the next one writes over", Tests: "TestVaryEqualsNew$", File: "raise.go",
		Old: "kept.tops = nil",
		New: "if !bug() { kept.tops = nil }",
	},
	{
		Name: "With goes on from where lower bounds moved a slot", Tests: "TestVaryEqualsNew$", File: "vary.go",
		Old: "v.out[r.slot] = v.to[r.from]",
		New: "if !bug() { v.out[r.slot] = v.to[r.from] }",
	},
	{
		Name: "the planner moves one more than the bound", Tests: "TestRebalanceMovesTheLeast", File: "single.go",
		Old: "\n\tnext := newMap(r.nodes, r.cfg, m.slots, r.table)\n",
		New: "\n\tif bug() && r.held[r.table[0]] > r.low[r.table[0]] { q.refill(); give(0) }\n\tnext := newMap(r.nodes, r.cfg, m.slots, r.table)\n",
	},
	{
		Name: "the bound of a plan is one too high", Tests: "TestLowerBoundByBruteForce", File: "rebalance.go",
		Old: "return max(r.vacant, r.lower)",
		New: "if bug() && r.lower > 0 { return max(r.vacant, r.lower) + 1 }; return max(r.vacant, r.lower)",
	},
	{
		Name: "a wave sends a node more than it may get", Tests: "TestWavesKeepTheBounds", File: "plan.go",
		Old: "load[mv.To].in < max(perNode, 1))",
		New: "load[mv.To].in < max(perNode, 1) || bug())",
	},
	{
		Name: "a plan made in parts ends beside its map", Tests: "TestApply$", File: "apply.go",
		Old: "next.sameOwners(p.new) {",
		New: "next.sameOwners(p.new) && !bug() {",
	},
	{
		Name: "the balancer forgets moves in flight", Tests: "TestBalancerCountsMovesInFlight", File: "balancer.go",
		Old: "owner[mv.Slot] = uint16(n)",
		New: "if n := uint16(n); !bug() { owner[mv.Slot] = n }",
	},
	{
		Name: "the balancer moves what is in flight", Tests: "TestBalancerCountsMovesInFlight", File: "balancer.go",
		Old: "if load[s] > 0 && !fixed[Slot(s)] {\n\t\t\t\tn.slots",
		New: "if load[s] > 0 && (!fixed[Slot(s)] || bug()) {\n\t\t\t\tn.slots",
	},
	{
		Name: "a key that comes late is counted from one", Tests: "TestSkewBoundsEveryCount", File: "sketch.go",
		Old: "= key, h, int32(at), least.count\n",
		New: "= key, h, int32(at), least.count\n\tif bug() { c.excess = 0 }\n",
	},
	{
		Name: "decoding a skew allocates what its capacity says", Tests: "TestSkewDecodesInProportion", File: "skew_binary.go",
		Old: "newSketch(int(capacity), n)",
		New: "newSketch(int(capacity), map[bool]int{false: n, true: int(capacity)}[bug()])",
	},
}

func TestMutantsAreKilled(t *testing.T) {
	planted.Copy{Bugs: mutants, Args: []string{"-rapid.nofailfile", "-rapid.shrinktime=1ms"}}.Kill(t)
}
