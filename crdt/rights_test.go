package crdt_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/crdt"
)

// Whatever is lost, doubled, late or never arrives: more is never taken than was added, and rights
// are neither made nor, once all is known, lost.
func TestBoundedCounterNeverFallsBelowZero(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cs := []*crdt.BoundedCounter{crdt.NewBoundedCounter(1), crdt.NewBoundedCounter(2), crdt.NewBoundedCounter(3)}
		var sent []crdt.Delta
		var added, taken uint64
		pick := func(t *rapid.T) *crdt.BoundedCounter { return rapid.SampledFrom(cs).Draw(t, "replica") }
		n := rapid.Uint64Range(0, 5)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k := n.Draw(t, "n")
				added += k
				sent = append(sent, pick(t).Add(k))
			},
			"sub": func(t *rapid.T) {
				c, k := pick(t), n.Draw(t, "n")
				before := c.State()
				d, err := c.Sub(k)
				if err == nil {
					taken += k
					sent = append(sent, d)
				} else {
					require.Equal(t, before, c.State())
				}
			},
			"transfer": func(t *rapid.T) {
				c, k := pick(t), n.Draw(t, "n")
				if d, err := c.Transfer(crdt.ReplicaID(rapid.IntRange(1, 3).Draw(t, "to")), k); err == nil {
					sent = append(sent, d)
				}
			},
			"deliver": func(t *rapid.T) {
				if len(sent) > 0 {
					_, err := pick(t).Merge(rapid.SampledFrom(sent).Draw(t, "delta"))
					require.NoError(t, err)
				}
			},
			"": func(t *rapid.T) {
				require.LessOrEqual(t, taken, added)
				held := uint64(0)
				for _, c := range cs {
					held += c.Rights()
				}
				require.LessOrEqual(t, held, added-taken, "rights out of nothing")
			},
		})
		for _, c := range cs {
			for _, o := range cs {
				_, err := c.Merge(o.State())
				require.NoError(t, err)
			}
		}
		held := uint64(0)
		for _, c := range cs {
			_, err := c.Merge(cs[2].State())
			require.NoError(t, err)
			require.Equal(t, added-taken, c.Value())
			held += c.Rights()
		}
		require.Equal(t, added-taken, held)
	})
}
