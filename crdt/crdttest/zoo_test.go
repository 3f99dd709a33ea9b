package crdttest_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt/crdttest"
	"github.com/go-calm/calm/internal/testenv"
)

// layers are the three checks of one type, each stopping at its first failure.
type layers struct {
	laws, simulation func(seed, checks int) (crdttest.Report, error)
	exhaustive       func(crdttest.World) (crdttest.Report, error)
}

func layersOf[S, Op, V any](typ crdttest.Type[S, Op, V]) layers {
	return layers{
		laws:       func(seed, checks int) (crdttest.Report, error) { return crdttest.CheckLaws(typ, seed, checks) },
		simulation: func(seed, checks int) (crdttest.Report, error) { return crdttest.CheckSimulation(typ, seed, checks) },
		exhaustive: func(w crdttest.World) (crdttest.Report, error) { return crdttest.CheckExhaustive(typ, w) },
	}
}

// A mutant is a bug that somebody had, and how soon the layers must find it. A layer with a
// limit of 0 does not claim the mutant.
type mutant struct {
	bug    bug
	report string // where it happened, or is described
	layers layers

	laws       int            // drawn states within which the laws find it, whatever the seed
	exhaustive crdttest.World // the small world in which the enumeration finds it
	simulation int            // runs within which the simulation finds it, whatever the seed
	found      string         // the property by which the enumeration or the laws find it
}

func zoo() []mutant {
	set := func(b bug) layers { return layersOf(orsetType(b)) }
	world := func(replicas, steps int) crdttest.World { return crdttest.World{Replicas: replicas, Steps: steps} }
	const (
		converge = "replicas that exchanged everything are equal"
		value    = "value is what the specification says"
		forget   = "a replica forgets nothing that it had"
		own      = "a replica reads its own writes"
		stale    = "an old message changes nothing"
		bound    = "metadata stays bounded"
	)
	return []mutant{
		{
			tieKeptLocally, "github.com/CBaquero/delta-enabled-crdts/issues/7", layersOf(lwwType(tieKeptLocally)),
			50, world(2, 2), 100, converge,
		},
		{
			wallClock, "github.com/yantrikos/yantrikdb/issues/148", layersOf(lwwType(wallClock)),
			50, world(2, 2), 20, forget,
		},
		{
			maxContext, "github.com/akka/akka-core/issues/22188", set(maxContext),
			30, world(2, 3), 100, stale,
		},
		{
			forgetsDots, "github.com/basho/riak_dt/pull/78", set(forgetsDots),
			10, world(2, 2), 20, forget,
		},
		{
			bothSides, "github.com/basho/riak_dt/pull/82", set(bothSides),
			300, world(2, 3), 300, bound,
		},
		{
			sharesMap, "github.com/rust-crdt/rust-crdt/issues/135", set(sharesMap),
			100, world(2, 3), 100, "replicas share no memory",
		},
		{
			sameID, "github.com/pathosDev/actor-ts/issues/955", set(sameID),
			0, world(2, 3), 500, value,
		},
		{
			cachedWinner, "github.com/ipfs/go-ds-crdt/issues/238", layersOf(keyedType(cachedWinner)),
			1000, world(2, 3), 50, value,
		},
		{
			totalOnDot, "Weidner and Almeida, PaPoC 2022", layersOf(tallyType(totalOnDot)),
			0, world(2, 4), 200, value,
		},
		{
			fullContext, "github.com/derekkraan/delta_crdt_ex/issues/65", set(fullContext),
			30, world(2, 2), 20, own,
		},
		{
			keepsOldDots, "Bieniusa et al., arXiv:1210.3368", set(keepsOldDots),
			0, world(2, 2), 50, bound,
		},
		{
			keepsTombstones, "github.com/ipfs/go-ds-crdt/issues/228", set(keepsTombstones),
			0, world(2, 2), 100, bound,
		},
		{
			emptyRemove, "github.com/Horusiath/crdt-examples/issues/5", set(emptyRemove),
			30, world(2, 2), 30, own,
		},
		{
			contiguousOnly, "Almeida et al., arXiv:1603.01529", set(contiguousOnly),
			300, world(2, 4), 1000, "no delta, no change",
		},
		{
			lastRemoveOnly, "Almeida et al., arXiv:1603.01529", set(lastRemoveOnly),
			30, world(2, 4), 100, forget,
		},
		{
			quietRemove, "github.com/apple/swift-distributed-actors/pull/210", set(quietRemove),
			100, world(2, 3), 50, "Merge reports a change truthfully",
		},
		{
			mapOrder, "github.com/ipfs-cluster/ipfs-cluster/issues/1547", set(mapOrder),
			30, world(2, 2), 50, "",
		},
		{
			halfApplied, "github.com/maidsafe/sn_routing/issues/2118", set(halfApplied),
			30, world(0, 0), 0, "damaged bytes do no damage",
		},
		{
			addsArrivals, "github.com/sourcenetwork/defradb.rs/issues/847", layersOf(gcounterType(addsArrivals)),
			10, world(2, 2), 10, stale,
		},
		{
			sendsIncrement, "github.com/weaveworks/mesh/issues/16", layersOf(gcounterType(sendsIncrement)),
			20, world(2, 3), 100, value,
		},
	}
}

// TestZoo releases known bugs and demands that the layers which claim them find them in time. It
// prints the table: go test ./crdt/crdttest -run 'TestZoo$' -v
func TestZoo(t *testing.T) {
	if testing.Short() {
		t.Skip("the limits hold for runs of full length")
	}
	seeds := 11
	if testenv.Race {
		seeds = 1
	}
	rows := []string{fmt.Sprintf("%-56s | %-11s | %-16s | %-11s | %-45s | %s",
		"mutant", "laws", "exhaustive", "simulation", "found as", "report")}
	for _, m := range zoo() {
		t.Run(string(m.bug), func(t *testing.T) {
			// drawn returns the median and the most checks that the seeds needed.
			drawn := func(layer string, check func(seed, checks int) (crdttest.Report, error), limit int) string {
				var needed []int
				for seed := 1; seed <= seeds && limit > 0; seed++ {
					_, err := check(seed, limit)
					f := failure(t, err)
					require.NotNil(t, f, "%s, seed %d: not found in %d checks", layer, seed, limit)
					require.Equal(t, layer, f.Layer)
					needed = append(needed, f.Checks)
				}
				if limit == 0 {
					return "–"
				}
				slices.Sort(needed)
				return fmt.Sprintf("%d, ≤ %d", needed[seeds/2], needed[seeds-1])
			}
			laws := drawn("laws", m.layers.laws, m.laws)
			simulation := drawn("simulation", m.layers.simulation, m.simulation)
			found, exhaustive := m.found, "–"
			if m.exhaustive.Steps > 0 {
				_, err := m.layers.exhaustive(m.exhaustive)
				f := failure(t, err)
				require.NotNil(t, f, "exhaustive: not found in %v", m.exhaustive)
				require.Equal(t, m.exhaustive.Steps, f.Steps, "a shorter world would do")
				require.Equal(t, cmp.Or(m.found, f.Property), f.Property)
				found, exhaustive = f.Property, fmt.Sprintf("%d×%d, no. %d", m.exhaustive.Replicas, f.Steps, f.Checks)
			} else {
				_, err := m.layers.laws(1, m.laws)
				require.Equal(t, m.found, failure(t, err).Property)
			}
			rows = append(rows, fmt.Sprintf("%-56s | %-11s | %-16s | %-11s | %-45s | %s",
				m.bug, laws, exhaustive, simulation, found, m.report))
		})
	}
	t.Logf("checks until found (median and most of %d seeds):\n%s", seeds, strings.Join(rows, "\n"))
}

// failure returns err as the failure that it must be.
func failure(t *testing.T, err error) *crdttest.Failure {
	t.Helper()
	if err == nil {
		return nil
	}
	var f *crdttest.Failure
	require.ErrorAs(t, err, &f)
	require.NotEmpty(t, f.Property)
	require.NotEmpty(t, f.Why)
	require.NotEmpty(t, f.Detail)
	require.Contains(t, f.Schedule, "r0   r1")
	return f
}

// The correct twins raise no alarm, in any layer, with any seed.
func TestZooTwins(t *testing.T) {
	twins := map[string]layers{
		"set":      layersOf(orsetType("")),
		"register": layersOf(lwwType("")),
		"store":    layersOf(keyedType("")),
		"tally":    layersOf(tallyType("")),
		"counter":  layersOf(gcounterType("")),
	}
	for name, twin := range twins {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := 1; seed <= 5 && !(testenv.Race && seed > 1); seed++ {
				_, err := twin.laws(seed, testenv.Checks(20))
				require.NoError(t, err)
				r, err := twin.simulation(seed, testenv.Checks(100))
				require.NoError(t, err)
				require.Empty(t, r.Vacuous())
			}
			for _, w := range []crdttest.World{{Replicas: 2, Steps: 4}, {Replicas: 3, Steps: 3}} {
				r, err := twin.exhaustive(w)
				require.NoError(t, err)
				require.Empty(t, r.Vacuous())
				t.Logf("%d replicas × %d steps: %v", w.Replicas, w.Steps, r)
			}
		})
	}
}

// The oracle is code too: a specification that is wrong about a right type is found as well.
func TestZooOracles(t *testing.T) {
	type history = crdttest.History[setOp]
	sorted := func(in map[string]bool) string {
		var out []string
		for e, is := range in {
			if is {
				out = append(out, e)
			}
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	oracles := map[string]struct {
		spec  func(history) string
		found string
	}{
		"removes win": {func(h history) string {
			in := map[string]bool{}
			for i, e := range h.All() {
				ended := false
				for j := range h.Len() {
					r := h.At(j).Op
					ended = ended || r.remove && r.e == e.Op.e && !h.Sees(i, j)
				}
				in[e.Op.e] = in[e.Op.e] || !e.Op.remove && !ended
			}
			return sorted(in)
		}, "value is what the specification says"},
		"the last one listed wins": {func(h history) string {
			in := map[string]bool{}
			for _, e := range h.All() {
				in[e.Op.e] = !e.Op.remove
			}
			return sorted(in)
		}, ""},
		"removes are forgotten": {func(h history) string {
			in := map[string]bool{}
			for _, e := range h.All() {
				in[e.Op.e] = true
			}
			return sorted(in)
		}, "value is what the specification says"},
		"an add ends where any remove saw it": {func(h history) string {
			in := map[string]bool{}
			for i, e := range h.All() {
				in[e.Op.e] = in[e.Op.e] || !e.Op.remove && !h.SeenBy(i, func(o setOp) bool { return o.remove })
			}
			return sorted(in)
		}, "value is what the specification says"},
	}
	for name, o := range oracles {
		t.Run(name, func(t *testing.T) {
			typ := orsetType("")
			typ.Spec, typ.Bound = o.spec, nil
			_, err := crdttest.CheckSimulation(typ, 1, 100)
			f := failure(t, err)
			require.NotNil(t, f)
			require.Equal(t, cmp.Or(o.found, f.Property), f.Property)
			_, err = crdttest.CheckExhaustive(typ, crdttest.World{Replicas: 2, Steps: 4})
			require.NotNil(t, failure(t, err))
		})
	}

	// A type that takes sides by the order of arrival, and an oracle that does so by the order of
	// listing, agree on one replica: the listing is what gives them away.
	t.Run("takes sides by listing", func(t *testing.T) {
		typ := lwwType("")
		typ.Value = func(*lww) uint64 { return 0 }
		typ.Spec = func(h crdttest.History[uint64]) uint64 {
			if h.Len() < 2 || h.Sees(h.Len()-1, 0) || h.At(0).Replica < h.At(1).Replica {
				return 0
			}
			return 1
		}
		_, err := crdttest.CheckExhaustive(typ, crdttest.World{Replicas: 2, Steps: 2})
		f := failure(t, err)
		require.NotNil(t, f)
		require.Equal(t, "specification follows from visibility alone", f.Property)
	})
}
