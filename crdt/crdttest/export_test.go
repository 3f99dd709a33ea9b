package crdttest

// CheckLaw checks one law, so that a test can tell which of several finds a bug.
func CheckLaw[S, Op, V any](typ Type[S, Op, V], name string, seed, checks int) (Report, error) {
	for _, l := range lawsOf(&typ) {
		if l.name == name {
			return checkLaws(&typ, []law[S, Op, V]{l}, seed, checks)
		}
	}
	panic("no law is named " + name)
}
