package clock

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func join(t require.TestingT, a, b Tree) Tree {
	j, err := a.Join(b)
	require.NoError(t, err)
	return j
}

// TestTreeFollowsThePaper runs the example of section 5.3.2 of the paper, figure 4.
func TestTreeFollowsThePaper(t *testing.T) {
	is := func(want string, tree Tree) {
		t.Helper()
		require.Equal(t, want, tree.String())
	}
	seed := Seed()
	is("(1, 0)", seed)
	a, b := seed.Fork()
	is("((1, 0), 0)", a)
	is("((0, 1), 0)", b)
	a = a.Event()
	is("((1, 0), (0, 1, 0))", a)
	b = b.Event()
	is("((0, 1), (0, 0, 1))", b)
	a1, a2 := a.Fork()
	is("(((1, 0), 0), (0, 1, 0))", a1)
	is("(((0, 1), 0), (0, 1, 0))", a2)
	b = b.Event()
	is("((0, 1), (0, 0, 2))", b)
	a1 = a1.Event()
	is("(((1, 0), 0), (0, (1, 1, 0), 0))", a1)
	bc := join(t, b, a2)
	is("(((0, 1), 1), (1, 0, 1))", bc)
	b, c := bc.Fork()
	is("(((0, 1), 0), (1, 0, 1))", b)
	is("((0, 1), (1, 0, 1))", c)
	abc := join(t, a1, b)
	is("((1, 0), (1, (0, 1, 0), 1))", abc)
	abc = abc.Event()
	is("((1, 0), 2)", abc)
	is("(1, 2)", join(t, abc, c))
}

// world is a group of members with trees and, beside each, the set of events it knows of.
type world struct {
	trees []Tree
	known []map[int]bool
	next  int
}

func (w *world) compare(i int, known map[int]bool) Order {
	var ord Order
	for e := range w.known[i] {
		if !known[e] {
			ord |= After
		}
	}
	for e := range known {
		if !w.known[i][e] {
			ord |= Before
		}
	}
	return ord
}

func requireTree(t require.TestingT, tree Tree) {
	b, err := tree.MarshalBinary()
	require.NoError(t, err)
	var back Tree
	require.NoError(t, back.UnmarshalBinary(b), "%v is not in its simplest form", tree)
	require.Equal(t, tree.String(), back.String())
}

// TestTreeAgreesWithCausalHistories forks, joins, counts and sends, in any order.
func TestTreeAgreesWithCausalHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world{trees: []Tree{Seed()}, known: []map[int]bool{{}}}
		type message struct {
			tree  Tree
			known map[int]bool
		}
		mail := []message{{Tree{}, map[int]bool{}}}
		pick := func(label string) int { return rapid.IntRange(0, len(w.trees)-1).Draw(t, label) }
		t.Repeat(map[string]func(*rapid.T){
			"fork": func(*rapid.T) {
				i := pick("member")
				a, b := w.trees[i].Fork()
				w.trees[i] = a
				w.trees, w.known = append(w.trees, b), append(w.known, maps.Clone(w.known[i]))
			},
			"event": func(t *rapid.T) {
				i := pick("member")
				before := w.trees[i]
				w.trees[i] = before.Event()
				require.Equal(t, After, w.trees[i].Compare(before))
				w.known[i][w.next] = true
				w.next++
			},
			"send": func(*rapid.T) {
				i := pick("member")
				mail = append(mail, message{w.trees[i].Peek(), maps.Clone(w.known[i])})
			},
			"receive": func(t *rapid.T) {
				i, m := pick("member"), rapid.SampledFrom(mail).Draw(t, "message")
				w.trees[i] = join(t, w.trees[i], m.tree)
				maps.Copy(w.known[i], m.known)
			},
			"leave": func(t *rapid.T) {
				i, j := pick("leaves"), pick("heir")
				if i == j {
					return
				}
				w.trees[j] = join(t, w.trees[j], w.trees[i])
				maps.Copy(w.known[j], w.known[i])
				last := len(w.trees) - 1
				w.trees[i], w.known[i] = w.trees[last], w.known[last]
				w.trees, w.known = w.trees[:last], w.known[:last]
			},
			"": func(t *rapid.T) {
				all := w.trees[0]
				for i, a := range w.trees {
					requireTree(t, a)
					require.False(t, a.IsAnonymous())
					for j, b := range w.trees {
						require.Equal(t, w.compare(i, w.known[j]), a.Compare(b), "%v %v", a, b)
						if i != j {
							require.Equal(t, join(t, a, b).String(), join(t, b, a).String())
						}
					}
					for _, m := range mail {
						require.Equal(t, w.compare(i, m.known), a.Compare(m.tree))
					}
					if i > 0 {
						all = join(t, all, a)
					}
				}
				require.Equal(t, []byte{idAll}, all.id, "something of the interval was lost")
			},
		})
	})
}

func TestTreeRefusesToBeTwice(t *testing.T) {
	a, b := Seed().Fork()
	for _, pair := range [][2]Tree{{Seed(), Seed()}, {Seed(), a}, {a, a}, {b, Seed()}, {join(t, a, b), b}} {
		_, err := pair[0].Join(pair[1])
		require.ErrorIs(t, err, ErrOverlap)
	}
	c, d := a.Fork()
	_, err := join(t, c, b).Join(a)
	require.ErrorIs(t, err, ErrOverlap)
	require.Equal(t, "(1, 0)", join(t, join(t, b, d), c).String())
}

func TestTheZeroTree(t *testing.T) {
	var zero Tree
	require.True(t, zero.IsAnonymous())
	require.Equal(t, "(0, 0)", zero.String())
	a, b := zero.Fork()
	require.True(t, a.IsAnonymous())
	require.True(t, b.IsAnonymous())
	require.Equal(t, Equal, zero.Compare(Seed()))
	require.Equal(t, "(1, 1)", join(t, zero, Seed().Event()).String())
	require.Panics(t, func() { zero.Event() })
	requireTree(t, zero)
	noAllocs(t, "Compare", func() { zero.Compare(a) })
}

func TestDeepTrees(t *testing.T) {
	tree, others := Seed(), []Tree(nil)
	for range 300 {
		var b Tree
		tree, b = tree.Fork()
		others = append(others, b)
	}
	for i := len(others) - 1; i >= 0; i-- {
		tree = join(t, tree, others[i])
		if i%70 == 0 {
			tree = tree.Event()
		}
	}
	require.Equal(t, []byte{idAll}, tree.id)
	require.Len(t, tree.ev, 1)

	deep := Tree{}
	for range treeDepth {
		deep.id = append(deep.id, idInner)
	}
	deep.id = append(deep.id, idAll)
	for range treeDepth {
		deep.id = append(deep.id, idNone)
	}
	requireTree(t, deep)
	requireTree(t, deep.Event())
	deep, _ = deep.Fork()
	_, err := deep.MarshalBinary()
	require.ErrorContains(t, err, "depth of 10001")

	high := Tree{ev: []uint64{(evMax + 1) << 1}}
	_, err = high.MarshalBinary()
	require.ErrorContains(t, err, "cannot be encoded")
}

func TestTreeRefusesOtherBytes(t *testing.T) {
	tree := Seed().Event()
	refuses(t, &tree, "", "\x01", "\x02\x40\x00", "\x01\x40", "\x01\x40\x00\x00", "\x01\x41\x00",
		"\x01\x80\x00", "\x01\xa8\x00", // (0, 0) and (1, 1)
		"\x01\x40\x01\x00", "\x01\x40\x01\x00\x00", "\x01\x40\x01\x02\x02", "\x01\x40\x01\x02\x04",
		"\x01\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	require.Equal(t, "(1, 1)", tree.String())
	deep := append([]byte{1}, make([]byte, 5000)...)
	for i := range deep[1:] {
		deep[i+1] = 0xff
	}
	refuses(t, &tree, string(deep))
	events := append([]byte{1, 0x40}, make([]byte, 50000)...)
	for i := range events[2:] {
		events[i+2] = 1
	}
	refuses(t, &tree, string(events))
}

func FuzzTree(f *testing.F) {
	a, b := Seed().Fork()
	c, d := b.Event().Fork()
	for _, tree := range []Tree{{}, a, b, c.Event(), d.Event().Event()} {
		bytes, _ := tree.MarshalBinary()
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var tree, again Tree
		if !fuzzDecoder(t, b, &tree, &again) || len(b) > 1000 {
			return
		}
		require.Equal(t, Equal, tree.Compare(again))
		l, r := tree.Fork()
		require.Equal(t, tree.String(), join(t, l, r).String())
		if !tree.IsAnonymous() {
			grown := tree.Event()
			require.Equal(t, After, grown.Compare(tree))
			requireTree(t, grown)
			requireTree(t, join(t, tree.Peek(), grown))
		}
	})
}

// TestEventFillsBeforeItGrows: what is owned beside something higher rises to it at once.
func TestEventFillsBeforeItGrows(t *testing.T) {
	left := Tree{[]byte{idInner, idAll, idInner, idNone, idAll}, []uint64{0 | evInner, 0, 4 | evInner, 4, 6}}
	require.Equal(t, "((1, (0, 1)), (0, 0, (2, 0, 1)))", left.String())
	require.Equal(t, "((1, (0, 1)), (2, 0, (0, 0, 1)))", left.Event().String())
	right := Tree{[]byte{idInner, idInner, idAll, idNone, idAll}, []uint64{0 | evInner, 4 | evInner, 6, 4, 0}}
	require.Equal(t, "(((1, 0), 1), (2, (0, 1, 0), 0))", right.Event().String())
}
