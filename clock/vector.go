package clock

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-calm/calm/internal/wire"
)

// Vector is a version vector: for each node, how many of its events are known, without
// gaps. A node that is not in it counts 0, so {a:1} and {a:1, b:0} are the same vector.
//
// The zero value is the empty vector, ready to use. Reads may run concurrently; a change
// needs the vector for itself. An assignment copies no counters: use [Vector.Clone].
//
// Ids are kept in one sorted slice that never changes once it is made. Clones share it, and
// so do vectors that were merged and the vectors of a [Roster]; between such vectors
// [Vector.Compare] and [Vector.Merge] look at counters alone and run in O(n) at the speed
// of a plain loop, whatever the ids are. Between others they walk both sorted slices.
//
// Source: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems" (1983);
// Fidge and Mattern (1988).
type Vector[ID cmp.Ordered] struct {
	ids []ID     // ascending; immutable, as other vectors may share it
	n   []uint64 // the counters, in the order of ids; 0 is as good as absent
}

// VectorOf returns the vector with the given counters.
func VectorOf[ID cmp.Ordered](counters map[ID]uint64) Vector[ID] {
	v := Vector[ID]{ids: make([]ID, 0, len(counters)), n: make([]uint64, 0, len(counters))}
	for id, n := range counters {
		if n > 0 {
			v.ids = append(v.ids, id)
		}
	}
	slices.Sort(v.ids)
	for _, id := range v.ids {
		v.n = append(v.n, counters[id])
	}
	return v
}

// Tick counts one more event of a node and returns its dot. O(log n), and O(n) with an
// allocation for a node that is new. It panics at 2⁶⁴-1, which no counting reaches.
func (v *Vector[ID]) Tick(id ID) Dot[ID] {
	n := v.At(id)
	if n == math.MaxUint64 {
		panic("clock: Tick of a counter at its end")
	}
	v.set(id, n+1)
	return Dot[ID]{id, n + 1}
}

// set makes n the counter of id.
func (v *Vector[ID]) set(id ID, n uint64) {
	i, ok := slices.BinarySearch(v.ids, id)
	if !ok {
		if n == 0 {
			return
		}
		ids := make([]ID, len(v.ids)+1)
		copy(ids, v.ids[:i])
		ids[i] = id
		copy(ids[i+1:], v.ids[i:])
		v.ids, v.n = ids, slices.Insert(v.n, i, 0)
	}
	v.n[i] = n
}

// Add makes sure that d and all events of its node before it are counted, and reports
// whether that is new.
func (v *Vector[ID]) Add(d Dot[ID]) bool {
	if d.N <= v.At(d.Node) {
		return false
	}
	v.set(d.Node, d.N)
	return true
}

// At returns how many events of a node are counted. O(log n).
func (v Vector[ID]) At(id ID) uint64 {
	if i, ok := slices.BinarySearch(v.ids, id); ok {
		return v.n[i]
	}
	return 0
}

// Has reports whether event d is counted. O(log n).
func (v Vector[ID]) Has(d Dot[ID]) bool { return d.N > 0 && d.N <= v.At(d.Node) }

// Len returns how many nodes have a counter above 0. O(n).
func (v Vector[ID]) Len() int {
	k := 0
	for _, n := range v.n {
		if n > 0 {
			k++
		}
	}
	return k
}

// All iterates over the nodes with a counter above 0, in ascending order. The vector must
// not be changed meanwhile.
func (v Vector[ID]) All() iter.Seq2[ID, uint64] {
	return func(yield func(ID, uint64) bool) {
		for i, n := range v.n {
			if n > 0 && !yield(v.ids[i], n) {
				return
			}
		}
	}
}

// Clone returns a copy with counters of its own. The ids, which never change, are shared.
func (v Vector[ID]) Clone() Vector[ID] {
	return Vector[ID]{v.ids, slices.Clone(v.n)}
}

// sameIDs reports whether both share one slice of ids.
func (v Vector[ID]) sameIDs(o Vector[ID]) bool {
	return len(v.ids) == len(o.ids) && (len(v.ids) == 0 || &v.ids[0] == &o.ids[0])
}

// Compare returns how v relates to o: [Before] if o counts all that v counts, and more.
// It does not allocate.
func (v Vector[ID]) Compare(o Vector[ID]) Order {
	if v.sameIDs(o) {
		return compareCounts(v.n, o.n)
	}
	var ord Order
	i, j := 0, 0
	for i < len(v.ids) && j < len(o.ids) {
		switch c := cmp.Compare(v.ids[i], o.ids[j]); {
		case c == 0:
			ord |= compareCount(v.n[i], o.n[j])
			i++
			j++
		case c < 0:
			ord |= compareCount(v.n[i], 0)
			i++
		default:
			ord |= compareCount(0, o.n[j])
			j++
		}
		if ord == Concurrent {
			return ord
		}
	}
	for ; i < len(v.n); i++ {
		ord |= compareCount(v.n[i], 0)
	}
	for ; j < len(o.n); j++ {
		ord |= compareCount(0, o.n[j])
	}
	return ord
}

func compareCount(a, b uint64) Order {
	switch {
	case a < b:
		return Before
	case a > b:
		return After
	}
	return Equal
}

func compareCounts(a, b []uint64) Order {
	var ord Order
	b = b[:len(a)]
	for i, x := range a {
		if y := b[i]; x != y {
			if x < y {
				ord |= Before
			} else {
				ord |= After
			}
			if ord == Concurrent {
				return ord
			}
		}
	}
	return ord
}

// Merge raises each counter to that of o if that is higher: the least vector that counts
// the events of both. It reports whether v changed. It allocates only when o has nodes that
// v has not. o stays as it is; its ids may be shared from now on.
func (v *Vector[ID]) Merge(o Vector[ID]) bool {
	if v.sameIDs(o) {
		return mergeCounts(v.n, o.n)
	}
	changed := false
	missing, same := 0, len(v.ids) == len(o.ids)
	i := 0
	for j, id := range o.ids {
		for i < len(v.ids) && cmp.Less(v.ids[i], id) {
			i++
		}
		if i == len(v.ids) || cmp.Less(id, v.ids[i]) {
			same = false
			if o.n[j] > 0 {
				missing++
			}
			continue
		}
		if o.n[j] > v.n[i] {
			v.n[i] = o.n[j]
			changed = true
		}
	}
	switch {
	case same:
		v.ids = o.ids // from now on they compare and merge as counters alone
		return changed
	case missing == 0:
		return changed
	}
	v.widen(o, len(v.ids)+missing)
	return true
}

// widen takes in the size - len(v.ids) nodes that only o has; the others' counters are
// merged already.
func (v *Vector[ID]) widen(o Vector[ID], size int) {
	if size == len(o.ids) { // perhaps o has all nodes of v: then its ids serve both
		n := make([]uint64, size)
		i := 0
		for j, id := range o.ids {
			n[j] = o.n[j]
			if i < len(v.ids) && cmp.Compare(v.ids[i], id) == 0 {
				n[j] = v.n[i]
				i++
			}
		}
		if i == len(v.ids) {
			v.ids, v.n = o.ids, n
			return
		}
	}
	ids, n := make([]ID, 0, size), make([]uint64, 0, size)
	i := 0
	for j, id := range o.ids {
		for i < len(v.ids) && cmp.Less(v.ids[i], id) {
			ids, n = append(ids, v.ids[i]), append(n, v.n[i])
			i++
		}
		if i < len(v.ids) && cmp.Compare(v.ids[i], id) == 0 || o.n[j] == 0 {
			continue
		}
		ids, n = append(ids, id), append(n, o.n[j])
	}
	v.ids, v.n = append(ids, v.ids[i:]...), append(n, v.n[i:]...)
}

func mergeCounts(a, b []uint64) bool {
	var diff uint64
	b = b[:len(a)]
	for i, x := range a {
		m := max(x, b[i])
		diff |= x ^ m
		a[i] = m
	}
	return diff != 0
}

// Meet lowers each counter to that of o if that is lower: the greatest vector that counts
// only events of both. It reports whether v changed. It does not allocate.
func (v *Vector[ID]) Meet(o Vector[ID]) bool {
	changed := false
	same := v.sameIDs(o)
	j := 0
	for i, id := range v.ids {
		var n uint64
		if same {
			n = o.n[i]
		} else {
			for j < len(o.ids) && cmp.Less(o.ids[j], id) {
				j++
			}
			if j < len(o.ids) && cmp.Compare(o.ids[j], id) == 0 {
				n = o.n[j]
			}
		}
		if n < v.n[i] {
			v.n[i] = n
			changed = true
		}
	}
	return changed
}

// Since returns the counters of v that are above those of o: what to send to someone who
// has o, for o merged with it counts all that v counts.
func (v Vector[ID]) Since(o Vector[ID]) Vector[ID] {
	var d Vector[ID]
	j := 0
	for i, id := range v.ids {
		for j < len(o.ids) && cmp.Less(o.ids[j], id) {
			j++
		}
		var n uint64
		if j < len(o.ids) && cmp.Compare(o.ids[j], id) == 0 {
			n = o.n[j]
		}
		if v.n[i] > n {
			d.ids, d.n = append(d.ids, id), append(d.n, v.n[i])
		}
	}
	return d
}

// Retire forgets a node. It is sound only for a node that will never again be heard of,
// neither directly nor in a vector of someone else: one that is gone and whose last event
// is causally stable (see [Stability]). Dropping entries by age or number instead makes
// old events look new.
func (v *Vector[ID]) Retire(id ID) {
	i, ok := slices.BinarySearch(v.ids, id)
	if !ok {
		return
	}
	ids := make([]ID, 0, len(v.ids)-1)
	ids = append(append(ids, v.ids[:i]...), v.ids[i+1:]...)
	v.ids, v.n = ids, slices.Delete(v.n, i, i+1)
}

// String returns the vector as {a:1 b:2}.
func (v Vector[ID]) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for id, n := range v.All() {
		if b.Len() > 1 {
			b.WriteByte(' ')
		}
		fmt.Fprint(&b, id)
		b.WriteByte(':')
		b.WriteString(strconv.FormatUint(n, 10))
	}
	b.WriteByte('}')
	return b.String()
}

// AppendBinary implements [encoding.BinaryAppender]: a version byte, the number of nodes,
// and for each, ascending, its id and its counter. Equal vectors have equal bytes. It fails
// only for counters above 2⁶³-1, which no decoder takes.
func (v Vector[ID]) AppendBinary(dst []byte) ([]byte, error) {
	start := len(dst)
	dst = binary.AppendUvarint(append(dst, version), uint64(v.Len()))
	for id, n := range v.All() {
		if n > maxCount {
			return dst[:start], errCount("vector", id, n)
		}
		dst = binary.AppendUvarint(appendID(dst, id), n)
	}
	return dst, nil
}

// MarshalBinary implements [encoding.BinaryMarshaler].
func (v Vector[ID]) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It takes exactly what
// AppendBinary writes and keeps nothing of b. Its errors match [ErrMalformed] and leave v
// as it was.
func (v *Vector[ID]) UnmarshalBinary(b []byte) error {
	r := wire.NewReader(b)
	u := readVector[ID](&r)
	if err := r.Done(); err != nil {
		return fmt.Errorf("clock: vector: %w", err)
	}
	*v = u
	return nil
}

func readVector[ID cmp.Ordered](r *wire.Reader) Vector[ID] {
	readVersion(r)
	k := r.Count(idSize[ID]() + 1)
	v := Vector[ID]{make([]ID, 0, k), make([]uint64, 0, k)}
	for range k {
		id, n := readID[ID](r), readCount(r)
		if len(v.ids) > 0 && cmp.Compare(v.ids[len(v.ids)-1], id) >= 0 {
			r.Fail("node ids not ascending")
		}
		if r.Err() != nil {
			return Vector[ID]{}
		}
		v.ids, v.n = append(v.ids, id), append(v.n, n)
	}
	return v
}
