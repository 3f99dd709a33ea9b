package latticetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/lattice"
	"github.com/go-calm/calm/lattice/latticetest"
)

// Bugs in what the exhaustive check looks at are found by it too; it needs the right states to join.
func TestExhaustiveFindsWhatItLooksAt(t *testing.T) {
	check := func(b bug) (err error) {
		gen := rapid.Custom(toys(b).Gen)
		for world := 0; world < 20 && err == nil; world++ {
			var states []*toy
			for i := range 4 {
				states = append(states, gen.Example(4*world+i))
			}
			err = latticetest.CheckExhaustive(toys(b), states...)
		}
		return err
	}
	require.NoError(t, check(none))
	for b, found := range map[bug][]string{
		alwaysChanged: {"change-is-reported"},
		neverChanged:  {"change-is-reported"},
		orderByLen:    {"change-is-reported", "order-agrees-with-join"}, // whichever comes first
		deltaLacks:    {"delta-suffices"},
	} {
		var broken *latticetest.LawError
		require.ErrorAs(t, check(b), &broken, "%s", b)
		require.Contains(t, found, broken.Law, "%s", b)
		require.NotEmpty(t, broken.Example)
	}

	var broken *latticetest.LawError
	require.ErrorAs(t, latticetest.CheckExhaustive(latticetest.Lattice[stamped]{}, stamped{1, "x"}, stamped{1, "y"}), &broken)
	require.Equal(t, "commutative", broken.Law)
	require.ErrorAs(t, latticetest.CheckExhaustive(latticetest.Lattice[domPair]{}, domPair{1, 0, 1}, domPair{0, 1, 2}, domPair{1, 1, 0}), &broken)
	require.Equal(t, "associative", broken.Law)

	require.Panics(t, func() {
		latticetest.Exhaustive(t, latticetest.Lattice[lattice.Any]{}, make([]lattice.Any, 8)...)
	})
}
