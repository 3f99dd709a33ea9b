package latticetest_test

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/go-calm/calm/lattice/latticetest"
)

// Votes is a lattice of one's own: the most votes each candidate was seen with.
type Votes [3]int

func (v Votes) Join(o Votes) (joined Votes, grew bool) {
	for i := range v {
		grew = grew || o[i] > v[i]
		v[i] = max(v[i], o[i])
	}
	return v, grew
}

func (v Votes) LessEq(o Votes) bool { return v[0] <= o[0] && v[1] <= o[1] && v[2] <= o[2] }

func TestVotes(t *testing.T) {
	latticetest.Run(t, latticetest.Lattice[Votes]{
		Gen: func(t *rapid.T) Votes {
			count := rapid.IntRange(0, 3)
			return Votes{count.Draw(t, "a"), count.Draw(t, "b"), count.Draw(t, "c")}
		},
	})
}

// The whole test of a type of one's own: say how to draw a state. Run it with go test.
func ExampleRun() {
	_ = func(t *testing.T) { // in a test file: func TestVotes(t *testing.T)
		latticetest.Run(t, latticetest.Lattice[Votes]{
			Gen: func(t *rapid.T) Votes {
				count := rapid.IntRange(0, 3)
				return Votes{count.Draw(t, "a"), count.Draw(t, "b"), count.Draw(t, "c")}
			},
		})
	}
}

// Latest is what one would write for "the newest value wins", and no lattice: of two values
// with one time, each side keeps its own.
type Latest struct {
	Time  int
	Value string
}

func (l Latest) Join(o Latest) (Latest, bool) {
	if o.Time > l.Time {
		return o, true
	}
	return l, false
}

func (l Latest) LessEq(o Latest) bool { return l.Time <= o.Time }

func ExampleCheck() {
	err := latticetest.Check(latticetest.Lattice[Latest]{
		Gen: func(t *rapid.T) Latest {
			return Latest{rapid.IntRange(1, 2).Draw(t, "time"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "value")}
		},
	})
	var broken *latticetest.LawError
	if errors.As(err, &broken) {
		fmt.Println(broken)
	}
	// Output:
	// commutative: a ⊔ b = b ⊔ a: the order of arrival does not matter
	//   a = {1 x}
	//   b = {1 y}
	//   a ⊔ b = {1 x}
	//   b ⊔ a = {1 y}
}
