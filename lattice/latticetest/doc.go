// Package latticetest checks that a type is a lattice: it is given a generator of states and
// checks every law, each as a subtest of its own that says in words what broke.
//
//	latticetest.Run(t, latticetest.Lattice[*lattice.Set[string]]{
//		Gen: func(t *rapid.T) *lattice.Set[string] {
//			return lattice.SetOf(rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c"})).Draw(t, "elements")...)
//		},
//	})
//
// States and counterexamples are drawn and shrunk by [pgregory.net/rapid]. [Check] is the same
// without package testing, and returns an error. [Exhaustive] looks at every state, pair and triple
// of a small world instead: it misses nothing there, and sees nothing else.
package latticetest
