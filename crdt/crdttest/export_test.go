package crdttest

import "testing"

// CheckLaw checks one law, so that a test can tell which of several finds a bug.
func CheckLaw[S, Op, V any](typ Type[S, Op, V], name string, seed, checks int) (Report, error) {
	return checkLaws(&typ, []law[S, Op, V]{named(&typ, name)}, seed, checks)
}

// RunLaw is one subtest of Run.
func RunLaw[S, Op, V any](t testing.TB, typ Type[S, Op, V], name string) {
	runLaw(t, &typ, named(&typ, name))
}

func named[S, Op, V any](typ *Type[S, Op, V], name string) law[S, Op, V] {
	for _, l := range lawsOf(typ) {
		if l.name == name {
			return l
		}
	}
	panic("no law is named " + name)
}
