package crdt_test

import (
	"encoding"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

// What programs are written against: each line compiles only while names and shapes stay as they are.
var (
	_ uint64                                                                 = uint64(crdt.ReplicaID(1))
	_ func() crdt.ReplicaID                                                  = crdt.NewReplicaID
	_ func([]byte, crdt.Limits) (crdt.Delta, error)                          = crdt.ParseDelta
	_ func(...crdt.Delta) (crdt.Delta, error)                                = crdt.Join
	_ encoding.BinaryAppender                                                = crdt.Delta{}
	_ encoding.BinaryMarshaler                                               = crdt.Delta{}
	_ encoding.BinaryUnmarshaler                                             = (*crdt.Delta)(nil)
	_ encoding.BinaryAppender                                                = crdt.Digest{}
	_ encoding.BinaryUnmarshaler                                             = (*crdt.Digest)(nil)
	_ func(crdt.ReplicaID) *crdt.Set[string]                                 = crdt.NewSet[string]
	_ func(crdt.ReplicaID) *crdt.RWSet[string]                               = crdt.NewRWSet[string]
	_ func(crdt.ReplicaID) *crdt.LWWSet[string]                              = crdt.NewLWWSet[string]
	_ func(crdt.ReplicaID) *crdt.GSet[string]                                = crdt.NewGSet[string]
	_ func(crdt.ReplicaID) *crdt.TwoPhaseSet[string]                         = crdt.NewTwoPhaseSet[string]
	_ func(crdt.ReplicaID) *crdt.Counter                                     = crdt.NewCounter
	_ func(crdt.ReplicaID) *crdt.GCounter                                    = crdt.NewGCounter
	_ func(crdt.ReplicaID) *crdt.BoundedCounter                              = crdt.NewBoundedCounter
	_ func(crdt.ReplicaID) *crdt.Register[string]                            = crdt.NewRegister[string]
	_ func(crdt.ReplicaID) *crdt.LWW[string]                                 = crdt.NewLWW[string]
	_ func(crdt.ReplicaID) *crdt.Flag                                        = crdt.NewFlag
	_ func(crdt.ReplicaID) *crdt.StickyFlag                                  = crdt.NewStickyFlag
	_ func(crdt.ReplicaID) *crdt.Map[int, *crdt.Flag]                        = crdt.NewMap[int, *crdt.Flag]
	_ func(*crdt.Store, string) *crdt.Counter                                = crdt.At[*crdt.Counter]
	_ func(*crdt.Store, string) *cart                                        = crdt.OpenStruct[cart]
	_ func(*crdt.Set[string], ...string) crdt.Delta                          = (*crdt.Set[string]).Add
	_ func(*crdt.Set[string], ...string) crdt.Delta                          = (*crdt.Set[string]).Remove
	_ func(*crdt.Set[string]) iter.Seq[string]                               = (*crdt.Set[string]).All
	_ func(*crdt.Set[string]) []string                                       = (*crdt.Set[string]).Sorted
	_ func(*crdt.Set[string], crdt.Delta) (bool, error)                      = (*crdt.Set[string]).Merge
	_ func(*crdt.Set[string], crdt.Digest) crdt.Delta                        = (*crdt.Set[string]).Since
	_ func(*crdt.Set[string]) crdt.Digest                                    = (*crdt.Set[string]).Digest
	_ func(*crdt.Register[int]) []int                                        = (*crdt.Register[int]).Values
	_ func(*crdt.Register[int]) (int, bool)                                  = (*crdt.Register[int]).Value
	_ func(*crdt.Register[int], func([]int) int) crdt.Delta                  = (*crdt.Register[int]).Resolve
	_ func(*crdt.LWW[int], clock.Timestamp, int) crdt.Delta                  = (*crdt.LWW[int]).Set
	_ func(*crdt.BoundedCounter, crdt.ReplicaID, uint64) (crdt.Delta, error) = (*crdt.BoundedCounter).Transfer
	_ func(*crdt.Store, func()) crdt.Delta                                   = (*crdt.Store).Update
)

// The package comment and the README in one piece.
func TestTheShapeOfTheAPI(t *testing.T) {
	id := crdt.NewReplicaID()
	s, peer := crdt.NewSet[string](id), crdt.NewSet[string](crdt.NewReplicaID())
	d := s.Add("milk", "eggs")
	changed, err := peer.Merge(d)
	require.True(t, changed)
	require.NoError(t, err)
	d = s.Remove("milk")
	b, err := d.AppendBinary(nil)
	require.NoError(t, err)
	parsed, err := crdt.ParseDelta(b, crdt.Limits{})
	require.NoError(t, err)
	joined, err := crdt.Join(parsed, s.Since(peer.Digest()))
	require.NoError(t, err)
	changed, err = peer.Merge(joined)
	require.True(t, changed)
	require.NoError(t, err)
	for e := range peer.All() {
		require.Equal(t, "eggs", e)
	}
	require.Equal(t, []string{"eggs"}, peer.Sorted())
	require.True(t, s.Since(peer.Digest()).IsZero())

	stock := crdt.Open[*crdt.Map[string, *crdt.Map[string, *crdt.Counter]]](id)
	d = stock.At("lisbon").At("sku-1").Add(5)
	require.False(t, d.IsZero())
	stock.Remove("porto")

	store := crdt.NewStore(id)
	c := crdt.OpenStruct[cart](store, "cart/42")
	d = store.Update(func() {
		c.Items.At("sku").Add(1)
		c.Note.Set(clock.New().Now(), "a gift")
	})
	require.False(t, d.IsZero())
}
