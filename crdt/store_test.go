package crdt

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/clock"
)

// naive is the specification of a store: the events seen, and the content of those that live. It
// merges as the formula of Almeida, Shoker and Baquero says, one event at a time.
type naive struct {
	seen map[Dot]bool
	live map[Dot]string
}

func newNaive() naive { return naive{map[Dot]bool{}, map[Dot]string{}} }

func (n naive) merge(o naive) {
	for d, content := range o.live {
		if !n.seen[d] {
			n.live[d] = content
		}
	}
	for d := range n.live {
		if _, lives := o.live[d]; o.seen[d] && !lives {
			delete(n.live, d)
		}
	}
	maps.Copy(n.seen, o.seen)
}

func (n naive) clone() naive { return naive{maps.Clone(n.seen), maps.Clone(n.live)} }

// look reads a store by way of its lanes and tree and checks that these agree.
func look(t require.TestingT, s *Store) naive {
	out := newNaive()
	perNode := map[slot]uint32{}
	living := uint64(0)
	for li := range s.lanes {
		l := &s.lanes[li]
		for _, r := range l.seen.Runs() {
			for seq := r.Lo; seq <= r.Hi; seq++ {
				out.seen[Dot{Node: l.id, N: seq}] = true
			}
		}
		dead := 0
		for i, seq := range l.seqs {
			require.True(t, i == 0 || l.seqs[i-1] < seq, "lane not ascending")
			if l.slots[i] == noSlot {
				dead++
				continue
			}
			require.True(t, l.seen.Has(seq), "an event lives that was not seen")
			at := l.slots[i]
			d := s.tree.dot(at, uint32(li), seq)
			require.Equal(t, seq, d.seq)
			content := fmt.Sprintf("=%q", d.payload)
			for n := at; n != rootSlot; n = s.tree.at(n).parent {
				nd := s.tree.at(n)
				content = fmt.Sprintf("/%v:%q%s", nd.shape, nd.key, content)
				found, ok := s.tree.find(nd.parent, nd.shape, nd.key)
				require.True(t, ok && found == n, "a node is not in the table")
			}
			out.live[Dot{Node: l.id, N: seq}] = content
			perNode[at]++
			living += mix(uint64(l.id) ^ mix(seq))
		}
		require.Equal(t, dead, l.dead)
		require.Equal(t, living, l.living)
		living = 0
	}
	// Every node reachable from the root has the right count, and nothing is reachable that is empty.
	reachable := 0
	var walk func(at slot) uint32
	walk = func(at slot) uint32 {
		reachable++
		want := perNode[at]
		prev := noSlot
		for c := s.tree.at(at).child(); c != noSlot; c = s.tree.at(c).next {
			require.Equal(t, at, s.tree.at(c).parent)
			require.Equal(t, prev, s.tree.at(c).prev)
			require.NotZero(t, walk(c), "an empty node stays")
			want++
			prev = c
		}
		require.Equal(t, want, s.tree.at(at).live())
		return want
	}
	walk(rootSlot)
	require.Equal(t, reachable-1, s.tree.table.full)
	return out
}

// doc is a struct with one field of each type, all the way down.
type doc struct {
	Stock *Map[string, *Map[uint8, *Counter]] `crdt:"1"`
	Tags  *Map[string, *Set[int]]             `crdt:"2"`
	Seen  *Set[string]                        `crdt:"3"`
	Hits  *GCounter                           `crdt:"4"`
	Note  *LWW[string]                        `crdt:"5"`
	Notes *Map[[2]bool, *LWW[float64]]        `crdt:"300"`
}

type replica struct {
	*Store
	doc  *doc
	spec naive
}

func newReplica(id ReplicaID) *replica {
	s := NewStore(id)
	return &replica{Store: s, doc: OpenStruct[doc](s, "doc"), spec: newNaive()}
}

var opNames = []string{"add", "add2", "remove", "count", "counts", "hit", "write", "reset", "tag", "untag", "note", "delete", "clear"}

// operate does something random.
func operate(t *rapid.T, r *replica) Delta {
	k := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
	n := rapid.IntRange(0, 3).Draw(t, "n")
	d := r.doc
	switch op := rapid.SampledFrom(opNames).Draw(t, "op"); op {
	case "counts": // adjacent events below different parents
		return r.Update(func() {
			for i, k := range []string{"a", "b", "c"} {
				d.Stock.At(k).At(uint8(i * n)).Add(1)
			}
		})
	case "add":
		return d.Seen.Add(k)
	case "add2":
		return r.Update(func() {
			d.Seen.Add(k)
			d.Seen.Add("z", k)
			d.Stock.At(k).At(1).Add(int64(n))
			d.Stock.At(k).At(1).Add(1)
			d.Stock.At(k).At(2).Add(-1)
			d.Stock.At(k).Remove(2)
		})
	case "remove":
		return d.Seen.Remove(k)
	case "count":
		return d.Stock.At(k).At(uint8(n)).Add(int64(n) - 1)
	case "hit":
		return d.Hits.Add(uint64(n))
	case "write":
		return d.Note.Set(clock.Timestamp(n)<<16, k)
	case "reset":
		return d.Stock.Remove(k)
	case "tag":
		return d.Tags.At(k).Add(n, n+1)
	case "untag":
		return d.Tags.At(k).Remove(n)
	case "note":
		return d.Notes.At([2]bool{n%2 == 0, true}).Set(clock.Timestamp(n)<<16, float64(n))
	case "delete":
		return r.Delete("doc")
	case "clear":
		return d.Seen.Clear()
	}
	panic("unknown operation")
}

// A store behaves as the formula says under any order of lost, doubled and reordered deltas; what it
// says of changes, differences, bytes and fingerprints is true.
func TestStoreAgreesWithTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := []*replica{newReplica(3), newReplica(1), newReplica(2)}
		type message struct {
			delta Delta
			spec  naive
		}
		var sent []message
		part := func(d Delta) naive {
			if d.IsZero() {
				return newNaive()
			}
			parsed, err := ParseDelta(slices.Clone(d.b), Limits{})
			require.NoError(t, err)
			return look(t, bare(parsed))
		}
		pick := func() *replica { return rapid.SampledFrom(replicas).Draw(t, "replica") }
		receive := func(r *replica, m message) {
			before := look(t, r.Store)
			fingerprint := r.Fingerprint()
			var changed bool
			if rapid.Bool().Draw(t, "learn") {
				fresh, err := r.Learn(m.delta)
				require.NoError(t, err)
				changed = !fresh.IsZero()
				again := before.clone()
				again.merge(part(fresh))
				want := before.clone()
				want.merge(m.spec)
				require.Equal(t, want, again, "what Learn returns is not what was new")
			} else {
				var err error
				changed, err = r.Merge(m.delta)
				require.NoError(t, err)
			}
			r.spec.merge(m.spec)
			now := look(t, r.Store)
			require.Equal(t, r.spec, now)
			require.Equal(t, changed, !maps.Equal(before.seen, now.seen) || !maps.Equal(before.live, now.live))
			require.Equal(t, changed, fingerprint != r.Fingerprint())
		}
		t.Repeat(map[string]func(*rapid.T){
			"operate": func(t *rapid.T) {
				r := pick()
				for range rapid.IntRange(1, 4).Draw(t, "operations") {
					before := look(t, r.Store)
					d := operate(t, r)
					now := look(t, r.Store)
					spec := part(d)
					before.merge(spec)
					require.Equal(t, now, before, "the delta is not what changed")
					r.spec = now.clone()
					sent = append(sent, message{d, spec})
				}
			},
			"deliver": func(t *rapid.T) {
				if len(sent) > 0 {
					receive(pick(), rapid.SampledFrom(sent).Draw(t, "message"))
				}
			},
			"state": func(t *rapid.T) {
				r := pick()
				d := r.State()
				require.Equal(t, r.spec, part(d))
				sent = append(sent, message{d, r.spec.clone()})
			},
			"difference": func(t *rapid.T) {
				a, b := pick(), pick()
				var digest Digest
				raw, err := b.Digest().MarshalBinary()
				require.NoError(t, err)
				require.NoError(t, digest.UnmarshalBinary(raw))
				require.True(t, digest.Equal(b.Digest()))
				d := a.Since(digest)
				require.Equal(t, !d.IsZero(), digest.Lacks(a.Digest()))
				spec := part(d)
				for e := range spec.seen {
					_, livesHere := b.spec.live[e]
					require.True(t, !b.spec.seen[e] || livesHere, "the difference tells %v, which the other one knows", e)
				}
				for e := range spec.live {
					require.False(t, b.spec.seen[e], "the difference sends %v again", e)
				}
				receive(b, message{d, spec})
				require.True(t, b.Digest().Covers(a.Digest()))
				require.True(t, a.Since(b.Digest()).IsZero())
			},
			"join": func(t *rapid.T) {
				if len(sent) == 0 {
					return
				}
				var ds []Delta
				spec := newNaive()
				for _, m := range rapid.SliceOfN(rapid.SampledFrom(sent), 0, 4).Draw(t, "messages") {
					ds = append(ds, m.delta)
					spec.merge(m.spec)
				}
				d, err := Join(ds...)
				require.NoError(t, err)
				require.Equal(t, spec, part(d))
				sent = append(sent, message{d, spec})
			},
			"split": func(t *rapid.T) {
				r, size := pick(), rapid.IntRange(1, 200).Draw(t, "size")
				s := newStore(0, r.tree.at(rootSlot).shape)
				for d := range r.State().Split(size) {
					_, err := s.Merge(d)
					require.NoError(t, err)
				}
				require.Equal(t, r.spec, look(t, s))
			},
			"": func(t *rapid.T) {
				for i, a := range replicas {
					for _, b := range replicas[:i] {
						same := maps.Equal(a.spec.seen, b.spec.seen) && maps.Equal(a.spec.live, b.spec.live)
						require.Equal(t, same, string(a.State().b) == string(b.State().b), "equal states, equal bytes")
						require.Equal(t, same, a.Fingerprint() == b.Fingerprint())
						require.Equal(t, same, a.Digest().Equal(b.Digest()))
					}
				}
			},
		})
		// In the end everybody tells everybody what they lack, and all are equal.
		for range 2 {
			for _, a := range replicas {
				for _, b := range replicas {
					_, err := b.Merge(a.Since(b.Digest()))
					require.NoError(t, err)
				}
			}
		}
		for _, r := range replicas {
			require.Equal(t, replicas[0].State(), r.State())
			require.Equal(t, replicas[0].doc.values(), r.doc.values())
		}
	})
}

// values reads everything.
func (d *doc) values() map[string]any {
	out := map[string]any{"seen": d.Seen.Sorted(), "hits": d.Hits.Value(), "note": d.Note.String()}
	for k, m := range d.Stock.All() {
		for i, c := range m.All() {
			out[fmt.Sprint("stock ", k, i)] = c.Value()
		}
	}
	for k, s := range d.Tags.All() {
		out["tags "+k] = s.Sorted()
	}
	for k, l := range d.Notes.All() {
		out[fmt.Sprint("notes ", k)] = l.String()
	}
	return out
}

// Many elements come and go in big deltas as they do in small ones.
func TestStoreWithManyElements(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	a, b := NewSet[int](1), NewSet[int](2)
	want := map[int]bool{}
	var deltas []Delta
	for range 300 {
		e := rng.IntN(2000)
		batch := []int{e, e + 1, e + 2, e + 3, e + 4}
		if rng.IntN(3) == 0 {
			deltas = append(deltas, a.Remove(batch...))
			for _, e := range batch {
				delete(want, e)
			}
		} else {
			deltas = append(deltas, a.Add(batch...))
			for _, e := range batch {
				want[e] = true
			}
		}
	}
	rng.Shuffle(len(deltas), func(i, j int) { deltas[i], deltas[j] = deltas[j], deltas[i] })
	for _, d := range deltas {
		_, err := b.Merge(d)
		require.NoError(t, err)
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), a.Sorted())
	require.Equal(t, a.Sorted(), b.Sorted())
	require.Equal(t, look(t, a.store), look(t, b.store))
	pieces := 0
	c := NewSet[int](3)
	for d := range a.State().Split(500) {
		require.LessOrEqual(t, d.Len(), 500)
		_, err := c.Merge(d)
		require.NoError(t, err)
		pieces++
	}
	require.Greater(t, pieces, 3)
	require.Equal(t, a.State(), c.State())
	a.Clear()
	require.Equal(t, 1, int(a.store.tree.count)-free(a.store.tree), "nodes are left over")
}

func free(t *tree) int {
	n := 0
	for s := t.free; s != noSlot; s = t.at(s).next {
		n++
	}
	return n
}

// What a mutator returns is, to the byte, what one lacks who has seen all but this change: an update
// that makes one event is written another way than a difference.
func TestAMutatorsDeltaIsTheDifference(t *testing.T) {
	check := func(s *Store, name string, change func() Delta) {
		t.Helper()
		before := s.Digest()
		d := change()
		require.Equal(t, s.Since(before).b, d.b, name)
	}
	c, g, f := NewCounter(5), NewGCounter(5), Open[*Flag](5)
	b, l, e := NewBoundedCounter(5), NewLWW[string](5), NewSet[string](5)
	for i := range 3 {
		check(c.store, "counter", func() Delta { return c.Add(int64(i) - 1) })
		check(g.store, "grow-only counter", func() Delta { return g.Add(uint64(i)) })
		check(f.store, "flag", f.Enable)
		check(b.store, "bounded counter", func() Delta { return b.Add(300) })
		check(l.store, "register", func() Delta { return l.Set(clock.Timestamp(i+1), "v") })
		check(e.store, "element", func() Delta { return e.Add(strings.Repeat("long", 50*i)) })
		check(e.store, "the same again", func() Delta { return e.Add("") })
		check(e.store, "added and removed", func() Delta {
			return e.store.Update(func() {
				e.Add("x")
				e.Remove("x")
			})
		})
		check(e.store, "removed", func() Delta { return e.Remove("") })
	}
	rapid.Check(t, func(t *rapid.T) {
		rs := []*replica{newReplica(1), newReplica(2)}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			r := rs[rapid.IntRange(0, 1).Draw(t, "replica")]
			before := r.Digest()
			d := operate(t, r)
			require.Equal(t, r.Since(before).b, d.b)
			if rapid.Bool().Draw(t, "merge") {
				o := rs[0]
				if o == r {
					o = rs[1]
				}
				_, err := o.Merge(d)
				require.NoError(t, err)
			}
			if rapid.IntRange(0, 5).Draw(t, "compact") == 0 {
				rs[0].Merge(rs[1].State())
				rs[1].Merge(rs[0].State())
				rs[0].Compact(rs[0].Digest())
			}
		}
	})
}
