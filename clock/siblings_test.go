package clock

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// history is the specification of Siblings: every write ever known of, as its dot, and
// which of them are alive.
type history struct{ known, alive dots }

func (h history) clone() history { return history{maps.Clone(h.known), maps.Clone(h.alive)} }

func (h history) merge(o history) {
	for d := range h.alive {
		if o.known[d] && !o.alive[d] {
			delete(h.alive, d)
		}
	}
	for d := range o.alive {
		if !h.known[d] {
			h.alive[d] = true
		}
	}
	maps.Copy(h.known, o.known)
}

func requireSiblings(t require.TestingT, h history, s Siblings[string, Dot[string]]) {
	got := dots{}
	for d, v := range s.Values() {
		require.Equal(t, d, v, "a value under another write's dot")
		got[d] = true
	}
	require.Equal(t, h.alive, got)
	require.Equal(t, len(h.alive), s.Len())
	ctx := ContextOf(s.Context())
	require.Equal(t, h.known.sorted(), slices.Collect(ctx.Dots()))
}

func appendDot(dst []byte, d Dot[string]) ([]byte, error) {
	return append(append(dst, byte(d.N)), d.Node...), nil
}

func parseDot(b []byte) (Dot[string], error) {
	if len(b) < 1 || b[0] == 0 {
		return Dot[string]{}, errors.New("no dot")
	}
	return Dot[string]{string(b[1:]), uint64(b[0])}, nil
}

// TestSiblingsAgreeWithCausalHistories lets clients read, write with what they have read,
// delete and sync, at three servers in any order.
func TestSiblingsAgreeWithCausalHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := []string{"a", "b", "c"}
		sets := make([]Siblings[string, Dot[string]], len(nodes))
		specs := make([]history, len(nodes))
		for i := range specs {
			specs[i] = history{dots{}, dots{}}
		}
		type read struct {
			v    Vector[string]
			past dots
		}
		reads := []read{{Vector[string]{}, dots{}}}
		node := rapid.IntRange(0, len(nodes)-1)
		discard := func(i int, r read) {
			for d := range r.past {
				specs[i].known[d] = true
				delete(specs[i].alive, d)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"read": func(t *rapid.T) {
				i := node.Draw(t, "node")
				reads = append(reads, read{sets[i].Context(), maps.Clone(specs[i].known)})
			},
			"put": func(t *rapid.T) {
				i, r := node.Draw(t, "node"), rapid.SampledFrom(reads).Draw(t, "read")
				discard(i, r)
				next := Dot[string]{nodes[i], sets[i].Context().At(nodes[i]) + 1}
				require.Equal(t, next, sets[i].Put(r.v, nodes[i], next))
				specs[i].known[next], specs[i].alive[next] = true, true
			},
			"discard": func(t *rapid.T) {
				i, r := node.Draw(t, "node"), rapid.SampledFrom(reads).Draw(t, "read")
				before := specs[i].clone()
				discard(i, r)
				same := maps.Equal(before.known, specs[i].known) && maps.Equal(before.alive, specs[i].alive)
				require.Equal(t, !same, sets[i].Discard(r.v))
			},
			"sync": func(t *rapid.T) {
				i, j := node.Draw(t, "into"), node.Draw(t, "from")
				before := specs[i].clone()
				specs[i].merge(specs[j])
				want := maps.Equal(before.known, specs[i].known) && maps.Equal(before.alive, specs[i].alive)
				old := sets[i].Clone()
				ord := sets[i].Compare(sets[j])
				require.Equal(t, !want, sets[i].Merge(sets[j]))
				require.Equal(t, want, ord&Before == 0)
				require.Equal(t, ord&Before, old.Compare(sets[i]))
			},
			"": func(t *rapid.T) {
				for i := range sets {
					requireSiblings(t, specs[i], sets[i])
					b, err := sets[i].Append(nil, appendDot)
					require.NoError(t, err)
					back, err := ParseSiblings[string](b, parseDot)
					require.NoError(t, err)
					requireSiblings(t, specs[i], back)
				}
			},
		})
	})
}

func TestReconcile(t *testing.T) {
	var s Siblings[string, string]
	pick := func(values iter.Seq2[Dot[string], string]) string {
		all := ""
		for _, v := range values {
			all += v
		}
		return all
	}
	s.Reconcile("a", pick)
	require.Zero(t, s.Len())
	s.Put(Vector[string]{}, "a", "x")
	s.Put(Vector[string]{}, "a", "y")
	s.Put(Vector[string]{}, "b", "z")
	require.Equal(t, 3, s.Len())
	s.Reconcile("b", pick)
	require.Equal(t, 1, s.Len())
	for d, v := range s.Values() {
		require.Equal(t, Dot[string]{"b", 2}, d)
		require.Equal(t, "yxz", v)
	}
}

func TestSiblingsRefuseOtherBytes(t *testing.T) {
	parse := func(b []byte) (string, error) {
		if string(b) == "bad" {
			return "", errors.New("bad value")
		}
		return string(b), nil
	}
	for _, b := range []string{
		"", "\x02\x00", "\x01\x01", "\x01\x00x", "\x01\x01\x01a\x00\x00", "\x01\x01\x01a\x01\x02\x00\x00", "\x01\x01\x01a\x01\x01\x03bad",
		"\x01\x02\x01b\x01\x00\x01a\x01\x00", "\x01\x01\x01a\x01\x01\x09x", "\x01\x01\x01a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x00",
	} {
		_, err := ParseSiblings[string](([]byte)(b), parse)
		require.ErrorIs(t, err, ErrMalformed, "%q", b)
	}
	var s Siblings[string, string]
	s.Put(Vector[string]{}, "a", "x")
	boom := errors.New("boom")
	b, err := s.Append([]byte("p"), func([]byte, string) ([]byte, error) { return nil, boom })
	require.ErrorIs(t, err, boom)
	require.Equal(t, "p", string(b))
	s.Discard(VectorOf(map[string]uint64{"a": maxCount + 1}))
	_, err = s.Append(nil, nil)
	require.ErrorContains(t, err, "cannot be encoded")
}

func FuzzSiblings(f *testing.F) {
	var s Siblings[string, Dot[string]]
	s.Put(Vector[string]{}, "a", Dot[string]{"a", 1})
	s.Put(VectorOf(map[string]uint64{"a": 1, "b": 4}), "a", Dot[string]{"a", 2})
	b, _ := s.Append(nil, appendDot)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSiblings[string](b, parseDot)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again, err := s.Append(nil, appendDot)
		require.NoError(t, err)
		require.Equal(t, b, again)
		require.False(t, s.Merge(s.Clone()))
	})
}
