//go:build !race

package lattice_test

// raceEnabled says that the race detector is on, under which allocations are not counted.
const raceEnabled = false
