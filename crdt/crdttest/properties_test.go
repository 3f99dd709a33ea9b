package crdttest_test

import (
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt/crdttest"
)

// A mask is about the smallest replicated type: eight flags that can only be raised. Its bytes are
// a magic number and the flags.
type mask struct {
	flags byte
	buf   []byte // for bugs that keep what is not theirs
}

const magic = 0xA7

type maskType = crdttest.Type[*mask, int, byte]

var errMagic = errors.New("not a mask")

func masks() maskType {
	return maskType{
		New: func(crdttest.Replica) *mask { return &mask{} },
		Ops: []int{0, 1},
		Apply: func(m *mask, op int) []byte {
			if m.flags>>op&1 == 1 {
				return nil
			}
			m.flags |= 1 << op
			return []byte{magic, 1 << op}
		},
		Merge: func(m *mask, b []byte) (bool, error) {
			if len(b) != 2 || b[0] != magic {
				return false, errMagic
			}
			before := m.flags
			m.flags |= b[1]
			return m.flags != before, nil
		},
		State: func(m *mask) []byte { return []byte{magic, m.flags} },
		Value: func(m *mask) byte { return m.flags },
		Spec: func(h crdttest.History[int]) (v byte) {
			for _, e := range h.All() {
				v |= 1 << e.Op
			}
			return v
		},
	}
}

// Each property is found broken when just it is broken, by the layer that has it.
func TestProperties(t *testing.T) {
	const laws, exhaustive, simulation = "laws", "exhaustive", "simulation"
	right := masks()
	for _, c := range []struct {
		layer, property string
		spoil           func(*maskType)
	}{
		{laws, "merge is commutative", func(typ *maskType) {
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				before := m.flags
				if _, err := right.Merge(&mask{}, b); err != nil {
					return false, err
				}
				if m.flags == 0 {
					m.flags = b[1]
				}
				return m.flags != before, nil
			}
		}},
		{laws, "merge is associative", func(typ *maskType) {
			// The greater number of flags wins, and of equal numbers the join does.
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				before := m.flags
				if _, err := right.Merge(&mask{}, b); err != nil {
					return false, err
				}
				switch x, y := bits.OnesCount8(m.flags), bits.OnesCount8(b[1]); {
				case x == y:
					m.flags |= b[1]
				case x < y:
					m.flags = b[1]
				}
				return m.flags != before, nil
			}
			typ.Ops = []int{0, 1, 2, 3}
		}},
		{laws, "merge is idempotent", func(typ *maskType) {
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				if len(b) != 2 || b[0] != magic {
					return false, errMagic
				}
				m.flags += b[1]
				return b[1] != 0, nil
			}
		}},
		{laws, "decoding gives back what was encoded", func(typ *maskType) {
			typ.Value = func(m *mask) byte { return m.flags + byte(len(m.buf)) }
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				changed, err := right.Merge(m, b)
				if changed {
					m.buf = append(m.buf, 0)
				}
				return changed, err
			}
		}},
		{laws, "equal states have equal bytes", func(typ *maskType) {
			typ.State = func(m *mask) []byte {
				m.buf = append(m.buf, 0)
				return []byte{magic, m.flags | byte(len(m.buf)&1)<<7}
			}
		}},
		{laws, "Merge reports a change truthfully", func(typ *maskType) {
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				_, err := right.Merge(m, b)
				return err == nil, err
			}
		}},
		{laws, "operations inflate", func(typ *maskType) {
			typ.Apply = func(m *mask, op int) []byte {
				m.flags = 1 << op
				return []byte{magic, m.flags}
			}
		}},
		{laws, "state after = state before ⊔ delta", func(typ *maskType) {
			typ.Apply = func(m *mask, op int) []byte {
				if d := right.Apply(m, op); d == nil {
					return nil
				}
				return []byte{magic, 0}
			}
		}},
		{laws, "state after = state before ⊔ delta", func(typ *maskType) {
			typ.Apply = func(m *mask, op int) []byte {
				right.Apply(m, op)
				return nil
			}
		}},
		{laws, "arguments and results are nobody's afterwards", func(typ *maskType) {
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				changed, err := right.Merge(m, b)
				if err == nil {
					b[1] = 0
				}
				return changed, err
			}
		}},
		{laws, "arguments and results are nobody's afterwards", func(typ *maskType) {
			typ.State = func(m *mask) []byte {
				if m.buf == nil || m.buf[1]|m.flags != m.buf[1] {
					m.buf = []byte{magic, m.flags}
				}
				return m.buf
			}
		}},
		{laws, "damaged bytes do no damage", func(typ *maskType) {
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				if len(b) == 1 {
					_ = b[1] // panics
				}
				return right.Merge(m, b)
			}
		}},
		{laws, "damaged bytes do no damage", func(typ *maskType) {
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				changed, err := right.Merge(m, b)
				return changed || err != nil, err
			}
		}},
		{laws, "Since sends what lacks and no more", func(typ *maskType) {
			typ.Digest = typ.State
			typ.Since = func(m *mask, digest []byte) []byte { return []byte{magic, m.flags} }
		}},
		{laws, "Since sends what lacks and no more", func(typ *maskType) {
			typ.Digest = typ.State
			typ.Since = func(m *mask, digest []byte) []byte { return []byte{magic, m.flags &^ digest[1] & 1} }
		}},
		{laws, "Join keeps no part of its argument", func(typ *maskType) {
			typ.Join = func(dst, src *mask) bool {
				before := dst.flags
				dst.flags |= src.flags
				src.flags = dst.flags
				return dst.flags != before
			}
		}},
		{exhaustive, "Merge reports a change truthfully", func(typ *maskType) {
			typ.Join = func(dst, src *mask) bool {
				dst.flags |= src.flags
				return true
			}
		}},
		{exhaustive, "replicas that exchanged everything are equal", func(typ *maskType) {
			typ.Join = func(dst, src *mask) bool { return false }
		}},
		{exhaustive, "Merge takes what replicas send", func(typ *maskType) {
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				if len(b) == 2 && b[1] == 3 {
					return false, errMagic
				}
				return right.Merge(m, b)
			}
		}},
		{exhaustive, "Merge leaves its argument alone", func(typ *maskType) {
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				changed, err := right.Merge(m, b)
				b[1] = m.flags ^ 1
				return changed, err
			}
		}},
		{exhaustive, "Merge leaves its argument alone", func(typ *maskType) {
			// The bytes that came first are kept, and read again.
			typ.Merge = func(m *mask, b []byte) (bool, error) {
				if m.flags == 0 {
					m.buf = b
				}
				return right.Merge(m, b)
			}
			typ.State = func(m *mask) []byte {
				if len(m.buf) == 2 {
					return []byte{magic, m.flags | m.buf[1]}
				}
				return right.State(m)
			}
		}},
		{exhaustive, "no delta, no change", func(typ *maskType) {
			typ.Apply = func(m *mask, op int) []byte {
				right.Apply(m, op)
				return nil
			}
		}},
		{exhaustive, "value is what the specification says", func(typ *maskType) {
			typ.Apply = func(*mask, int) []byte { return nil } // an operation that is lost
		}},
		{exhaustive, "nothing panics", func(typ *maskType) {
			typ.Value = func(m *mask) byte { return []byte{0, 1, 2}[m.flags] }
		}},
		{exhaustive, "invariant holds of every read", func(typ *maskType) {
			typ.Invariant = func(_ crdttest.History[int], v byte) error {
				if v == 3 {
					return errors.New("both flags")
				}
				return nil
			}
		}},
		{exhaustive, "value only grows", func(typ *maskType) {
			typ.Monotone = func(before, after byte) bool { return after <= before || before == 0 }
		}},
		{exhaustive, "replicas that exchanged everything are equal", func(typ *maskType) {
			typ.Digest = typ.State
			typ.Since = func(m *mask, digest []byte) []byte { return nil }
			typ.Spec = func(crdttest.History[int]) byte { return 0 }
			typ.Value = func(*mask) byte { return 0 }
		}},
		{simulation, "a saved replica restarts", func(typ *maskType) {
			typ.Resume = func(crdttest.Replica, []byte) (*mask, error) { return nil, errMagic }
		}},
		{simulation, "a saved replica restarts", func(typ *maskType) {
			typ.Resume = func(crdttest.Replica, []byte) (*mask, error) { return &mask{}, nil }
		}},
		{simulation, "replicas that exchanged everything are equal", func(typ *maskType) {
			// Who is told twice by a wire that lost something in between.
			typ.Digest = typ.State
			typ.Since = func(m *mask, digest []byte) []byte { return nil }
			typ.Spec = func(crdttest.History[int]) byte { return 0 }
			typ.Value = func(*mask) byte { return 0 }
		}},
	} {
		t.Run(c.layer+"/"+c.property, func(t *testing.T) {
			typ := masks()
			c.spoil(&typ)
			var err error
			switch c.layer {
			case laws:
				_, err = crdttest.CheckLaw(typ, c.property, 1, 200)
			case exhaustive:
				_, err = crdttest.CheckExhaustive(typ, crdttest.World{Replicas: 2, Steps: 4})
			case simulation:
				_, err = crdttest.CheckSimulation(typ, 1, 200)
			}
			f := failure(t, err)
			require.NotNil(t, f)
			require.Equal(t, c.property, f.Property, "%v", f)
			require.Equal(t, c.layer, f.Layer)
		})
	}
	for _, check := range []func(maskType) error{
		func(typ maskType) error { _, err := crdttest.CheckLaws(typ, 1, 200); return err },
		func(typ maskType) error { _, err := crdttest.CheckSimulation(typ, 1, 200); return err },
		func(typ maskType) error {
			_, err := crdttest.CheckExhaustive(typ, crdttest.World{Replicas: 3, Steps: 4})
			return err
		},
	} {
		require.NoError(t, check(right))
	}
}

// A recorder is a test that may fail without failing the one that runs it.
type recorder struct {
	testing.TB
	log    strings.Builder
	failed bool
}

func (r *recorder) Helper()      {}
func (r *recorder) Name() string { return "recorded" }
func (r *recorder) Failed() bool { return r.failed }
func (r *recorder) Fail()        { r.failed = true }
func (r *recorder) FailNow() {
	r.failed = true
	runtime.Goexit()
}
func (r *recorder) Log(args ...any)                 { fmt.Fprintln(&r.log, args...) }
func (r *recorder) Logf(format string, args ...any) { r.Log(fmt.Sprintf(format, args...)) }
func (r *recorder) Error(args ...any)               { r.Log(args...); r.Fail() }
func (r *recorder) Errorf(f string, args ...any)    { r.Logf(f, args...); r.Fail() }
func (r *recorder) Fatal(args ...any)               { r.Log(args...); r.FailNow() }
func (r *recorder) Fatalf(f string, args ...any)    { r.Logf(f, args...); r.FailNow() }

// recorded runs a check and returns whether it failed, and what it printed.
func recorded(t *testing.T, check func(testing.TB)) (failed bool, log string) {
	t.Helper()
	t.Chdir(t.TempDir()) // where rapid writes its failure files
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(r)
	}()
	<-done
	return r.failed, r.log.String()
}

func TestReports(t *testing.T) {
	t.Run("simulate", func(t *testing.T) {
		failed, log := recorded(t, func(tb testing.TB) { crdttest.Simulate(tb, orsetType(forgetsDots)) })
		require.True(t, failed)
		require.Contains(t, log, "crdttest: simulation: ")
		require.Contains(t, log, "why it matters: ")
		require.Contains(t, log, "r0   r1")
	})
	t.Run("exhaustive", func(t *testing.T) {
		failed, log := recorded(t, func(tb testing.TB) {
			crdttest.Exhaustive(tb, orsetType(fullContext), crdttest.World{Replicas: 2, Steps: 3})
		})
		require.True(t, failed)
		require.Contains(t, log, "crdttest: exhaustive: a replica reads its own writes: ")
	})
	t.Run("right", func(t *testing.T) {
		failed, log := recorded(t, func(tb testing.TB) {
			crdttest.Simulate(tb, lwwType(""))
			crdttest.Exhaustive(tb, lwwType(""), crdttest.World{Replicas: 2, Steps: 3})
		})
		require.False(t, failed, log)
		require.Contains(t, log, "2 replicas × 3 steps: 232 schedules, ")
	})
	t.Run("law", func(t *testing.T) {
		const inflate = "operations inflate"
		failed, log := recorded(t, func(tb testing.TB) { crdttest.RunLaw(tb, orsetType(forgetsDots), inflate) })
		require.True(t, failed)
		require.Contains(t, log, "crdttest: laws: "+inflate+": state after ")
		failed, log = recorded(t, func(tb testing.TB) { crdttest.RunLaw(tb, orsetType(""), inflate) })
		require.False(t, failed, log)
		typ := masks()
		typ.Apply = func(*mask, int) []byte { return nil }
		failed, log = recorded(t, func(tb testing.TB) { crdttest.RunLaw(tb, typ, inflate) })
		require.True(t, failed)
		require.Contains(t, log, "vacuous: no operation ever changed a state")
	})
	t.Run("vacuous", func(t *testing.T) {
		if testing.Short() {
			t.Skip("a short run is not called vacuous")
		}
		typ := masks()
		typ.Apply = func(*mask, int) []byte { return nil } // nothing ever happens
		typ.Spec = func(crdttest.History[int]) byte { return 0 }
		failed, log := recorded(t, func(tb testing.TB) { crdttest.Simulate(tb, typ) })
		require.True(t, failed)
		require.Contains(t, log, "vacuous: in 100 runs no concurrent operations")
		failed, log = recorded(t, func(tb testing.TB) { crdttest.Exhaustive(tb, typ, crdttest.World{Replicas: 2, Steps: 2}) })
		require.True(t, failed)
		require.Contains(t, log, "vacuous: in all schedules of 2 replicas × 2 steps no concurrent operations")
	})
	t.Run("incomplete", func(t *testing.T) {
		for _, check := range []func(maskType) error{
			func(typ maskType) error { _, err := crdttest.CheckLaws(typ, 1, 1); return err },
			func(typ maskType) error { _, err := crdttest.CheckSimulation(typ, 1, 1); return err },
			func(typ maskType) error {
				_, err := crdttest.CheckExhaustive(typ, crdttest.World{Replicas: 1, Steps: 1})
				return err
			},
		} {
			err := check(maskType{New: masks().New, Digest: masks().State})
			for _, field := range []string{"Ops", "Apply", "Merge", "State", "Value", "Spec"} {
				require.ErrorContains(t, err, "Type."+field+" is required")
			}
			require.ErrorContains(t, err, "Digest and Type.Since go together")
		}
		_, err := crdttest.CheckExhaustive(masks(), crdttest.World{})
		require.ErrorContains(t, err, "at least one by one")
		failed, log := recorded(t, func(tb testing.TB) { crdttest.Simulate(tb, maskType{}) })
		require.True(t, failed)
		require.Contains(t, log, "Type.New is required")
	})
}

// The same seed draws the same runs, and finds the same failure by the same schedule.
func TestDeterministic(t *testing.T) {
	r1, err1 := crdttest.CheckSimulation(orsetType(sameID), 3, 500)
	r2, err2 := crdttest.CheckSimulation(orsetType(sameID), 3, 500)
	require.Error(t, err1)
	require.Equal(t, err1, err2)
	require.Equal(t, r1, r2)
	require.Equal(t, r1.String(), r2.String())
	_, other := crdttest.CheckSimulation(orsetType(sameID), 4, 500)
	require.NotEqual(t, failure(t, err1).Checks, failure(t, other).Checks)
}

// A shrunk schedule is about as short as the shortest that the enumeration finds.
func TestShrinks(t *testing.T) {
	for _, b := range []bug{maxContext, sameID, contiguousOnly, quietRemove} {
		_, err := crdttest.CheckExhaustive(orsetType(b), crdttest.World{Replicas: 2, Steps: 4})
		shortest := failure(t, err).Steps
		for seed := range 5 {
			_, err := crdttest.CheckSimulation(orsetType(b), seed, 1000)
			require.LessOrEqual(t, failure(t, err).Steps, shortest+4, "%s, seed %d", b, seed)
		}
	}
}

// A generator that looks at the replica is used, and Causal holds deltas back.
func TestOptions(t *testing.T) {
	typ := orsetType(maxContext) // right as long as deltas come in causal order
	typ.Bound, typ.Causal = nil, true
	drawn := 0
	typ.Gen = func(s *orset) *rapid.Generator[setOp] {
		drawn++
		return rapid.SampledFrom(slices.Concat(typ.Ops, []setOp{{e: "c"}}))
	}
	r, err := crdttest.CheckSimulation(typ, 1, 300)
	require.NoError(t, err)
	require.Zero(t, r.Mark("message overtook one it depends on"))
	require.Empty(t, r.Vacuous())
	require.Positive(t, drawn)
	_, err = crdttest.CheckLaws(typ, 1, 300)
	require.NoError(t, err)
	r, err = crdttest.CheckExhaustive(typ, crdttest.World{Replicas: 2, Steps: 4})
	require.NoError(t, err)
	require.Zero(t, r.Mark("message overtook one it depends on"))
	require.Contains(t, r.Marks(), "stale message")
}

// Worlds that differ only in who has heard of what are different: pruning must not mix them up.
func TestDistinctWorlds(t *testing.T) {
	r, err := crdttest.CheckExhaustive(gcounterType(""), crdttest.World{Replicas: 2, Steps: 4})
	require.NoError(t, err)
	require.Equal(t, 777, r.States)
	require.Equal(t, uint64(2200), r.Schedules)
}
