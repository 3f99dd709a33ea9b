package latticetest

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/go-calm/calm/internal/testenv"
	"github.com/go-calm/calm/lattice"
)

// Lattice says how to test a lattice type. Only Gen is needed; each of the other fields adds
// laws. What the type itself can do (binary form, JSON, Delta, Decompose) is found out and
// checked without being asked for.
type Lattice[L lattice.Lattice[L]] struct {
	// Gen draws a state. Draw from a small domain (keys a to d rather than any string), so that
	// states overlap: laws break where two states share something.
	Gen func(t *rapid.T) L

	// Equal reports whether two states are the same. Without it, they are if each is LessEq the
	// other and, for plain data without pointers, if they are ==.
	Equal func(a, b L) bool

	// Top, if the type has a greatest state, returns it.
	Top func() L

	// Mutators change a state, which they may consume, and return the result: it must never be
	// below what it was.
	Mutators map[string]func(t *rapid.T, s L) L

	// DeltaMutators are mutators that also return what they changed: joining that to the state
	// before must give the state after.
	DeltaMutators map[string]func(t *rapid.T, s L) (after, delta L)

	// NoJSON says that JSON does not hold all of a state, so that it is not checked.
	NoJSON bool
}

// Run checks every law as one named subtest. A failure shows the law in words and a shrunk
// counterexample. The environment variable CALM_CHECKS multiplies the number of checks.
func Run[L lattice.Lattice[L]](t *testing.T, l Lattice[L]) {
	t.Helper()
	for _, law := range laws(l) {
		t.Run(law.name, func(t *testing.T) { law.run(t) })
	}
}

// Check is Run for use outside tests: it returns what broke, nil if nothing did. Of several
// counterexamples to one law it shows the shortest. The error is a join of *[LawError].
func Check[L lattice.Lattice[L]](l Lattice[L]) error { return checkAll(laws(l)) }

// LawError says which law broke, and how.
type LawError struct {
	Law     string // its name, as the subtest has it
	Meaning string // the law in words
	Example string // a counterexample
}

// Error gives the law, what it means, and the counterexample.
func (e *LawError) Error() string {
	return fmt.Sprintf("%s: %s\n%s", e.Law, e.Meaning, e.Example)
}

// law is one property: check draws what it needs and returns what contradicts it.
type law struct {
	name, meaning string
	check         func(t *rapid.T) error
}

func (l law) failure(err error) *LawError {
	return &LawError{Law: l.name, Meaning: l.meaning, Example: err.Error()}
}

func (l law) run(t *testing.T) {
	t.Helper()
	for range testenv.Checks(1) {
		rapid.Check(t, func(t *rapid.T) {
			if err := l.check(t); err != nil {
				t.Fatal(l.failure(err))
			}
		})
	}
}

// examples is how many states Check tries for each law.
const examples = 200

// try runs the law without package testing, whose flags a program outside tests has not
// parsed: it draws from fixed seeds and keeps the shortest counterexample.
func (l law) try() *LawError {
	var worst *LawError
	one := rapid.Custom(func(t *rapid.T) (err error) {
		rapid.Bool().Draw(t, "nothing") // rapid insists that something is drawn; a law may draw nothing
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		return l.check(t)
	})
	for seed := range testenv.Checks(examples) {
		if err := one.Example(seed + 1); err != nil {
			if e := l.failure(err); worst == nil || cmp.Or(cmp.Compare(len(e.Example), len(worst.Example)), cmp.Compare(e.Example, worst.Example)) < 0 {
				worst = e
			}
		}
	}
	return worst
}

func checkAll(laws []law) error {
	var errs broken
	for _, law := range laws {
		if err := law.try(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// broken is the error of Check.
type broken []*LawError

func (b broken) Error() string {
	texts := make([]string, len(b))
	for i, e := range b {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n")
}

func (b broken) Unwrap() []error {
	errs := make([]error, len(b))
	for i, e := range b {
		errs[i] = e
	}
	return errs
}
