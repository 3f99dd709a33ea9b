package lattice

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-calm/calm/internal/wire"
)

// TopK is the k elements of the highest scores seen, each with its highest: a leader board.
// Scores only rise, so an element that falls out can be forgotten: what pushed it out
// stays above. Of equal scores, the smaller element ranks higher.
//
// The bound k is part of the state: joining states of different bounds gives the smaller one.
// The zero value and nil are bottom, without a bound; a nil one answers all reads but cannot
// be put to. An element or score that is not equal to itself (NaN) is left out.
// A TopK must not be copied, nor written to while others use it. Putting takes O(k) time,
// constant for a score too low to get in, merging that for each of the argument's elements.
//
// The counts of a stream of events are not scores in this sense, since they are added up and
// not joined: rank the sums.
type TopK[E, S cmp.Ordered] struct {
	_  noCopy
	k  int           // 0: no bound
	es []Entry[E, S] // by rank
}

// NewTopK returns an empty board of k places; it panics if k < 1.
func NewTopK[E, S cmp.Ordered](k int) *TopK[E, S] {
	if k < 1 {
		panic("lattice: a TopK of less than 1")
	}
	return &TopK[E, S]{k: k}
}

// rank orders entries by falling score, then by element.
func rank[E, S cmp.Ordered](a, b Entry[E, S]) int {
	return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Key, b.Key))
}

// Put raises the score of e to score, if that is higher, and reports whether the board changed.
func (t *TopK[E, S]) Put(e E, score S) (grew bool) {
	if e != e || score != score {
		return false
	}
	var zero S
	if score == zero {
		score = zero // −0 becomes 0
	}
	entry := Entry[E, S]{e, score}
	if t.leaves(entry) {
		return false
	}
	if i := t.index(e); i >= 0 {
		t.es = slices.Delete(t.es, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(t.es, entry, rank[E, S])
	t.es = slices.Insert(t.es, i, entry)
	t.cut()
	return true
}

// leaves reports whether putting the entry would leave the board as it is.
func (t *TopK[E, S]) leaves(entry Entry[E, S]) bool {
	if t == nil {
		return false
	}
	if t.k > 0 && len(t.es) == t.k && rank(entry, t.es[len(t.es)-1]) > 0 {
		return true
	}
	i := t.index(entry.Key)
	return i >= 0 && entry.Value <= t.es[i].Value
}

func (t *TopK[E, S]) index(e E) int {
	return slices.IndexFunc(t.entries(), func(x Entry[E, S]) bool { return x.Key == e })
}

func (t *TopK[E, S]) cut() {
	if t.k > 0 && len(t.es) > t.k {
		clear(t.es[t.k:])
		t.es = t.es[:t.k]
	}
}

func (t *TopK[E, S]) entries() []Entry[E, S] {
	if t == nil {
		return nil
	}
	return t.es
}

// K returns the bound, 0 for none. It is a snapshot read: a lower one may come.
func (t *TopK[E, S]) K() int {
	if t == nil {
		return 0
	}
	return t.k
}

// Len returns how many elements are on the board, a snapshot read.
func (t *TopK[E, S]) Len() int { return len(t.entries()) }

// Score returns the score of e, and whether e is on the board. It is a snapshot read.
func (t *TopK[E, S]) Score(e E) (score S, ok bool) {
	if i := t.index(e); i >= 0 {
		return t.es[i].Value, true
	}
	return score, false
}

// All yields the elements and their scores, the highest first. It is a snapshot read.
func (t *TopK[E, S]) All() iter.Seq2[E, S] {
	return func(yield func(E, S) bool) {
		for _, e := range t.entries() {
			if !yield(e.Key, e.Value) {
				return
			}
		}
	}
}

// Merge joins o and reports whether the board changed. It keeps nothing of o.
func (t *TopK[E, S]) Merge(o *TopK[E, S]) (grew bool) {
	if o == nil || t == o {
		return false
	}
	if k := tighter(t.k, o.k); k != t.k {
		t.k, grew = k, true
		t.cut()
	}
	for _, e := range o.es {
		grew = t.Put(e.Key, e.Value) || grew
	}
	return grew
}

// Join is Merge in the form that [Lattice] asks for: it returns t, or a new board for nil.
func (t *TopK[E, S]) Join(o *TopK[E, S]) (*TopK[E, S], bool) {
	if t == nil && o != nil {
		t = &TopK[E, S]{}
	}
	return t, t.Merge(o)
}

// LessEq reports whether o's bound is as small or smaller, and no entry of t would change o.
func (t *TopK[E, S]) LessEq(o *TopK[E, S]) bool {
	if tighter(t.K(), o.K()) != o.K() {
		return false
	}
	for _, e := range t.entries() {
		if !o.leaves(e) {
			return false
		}
	}
	return true
}

// Delta returns of t what have lacks: its bound if it is smaller, and the entries that get
// onto the board of both.
func (t *TopK[E, S]) Delta(have *TopK[E, S]) *TopK[E, S] {
	d := &TopK[E, S]{}
	sum := Clone(have)
	sum, _ = sum.Join(t)
	if sum.K() != have.K() {
		d.k = sum.K()
	}
	for _, e := range t.entries() {
		if score, ok := sum.Score(e.Key); ok && score == e.Value {
			if was, ok := have.Score(e.Key); !ok || was != score {
				d.es = append(d.es, e)
			}
		}
	}
	return d
}

// Decompose yields an empty board for the bound, and one without a bound for each entry.
func (t *TopK[E, S]) Decompose() iter.Seq[*TopK[E, S]] {
	return func(yield func(*TopK[E, S]) bool) {
		if t.K() > 0 && !yield(NewTopK[E, S](t.k)) {
			return
		}
		for _, e := range t.entries() {
			if !yield(&TopK[E, S]{es: []Entry[E, S]{e}}) {
				return
			}
		}
	}
}

// String returns the entries by rank and the bound, as [a: 3, b: 1] of 10.
func (t *TopK[E, S]) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, e := range t.entries() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%v: %v", e.Key, e.Value)
	}
	b.WriteByte(']')
	if t.K() > 0 {
		fmt.Fprintf(&b, " of %d", t.k)
	}
	return b.String()
}

// LogValue returns the number of entries and the bound.
func (t *TopK[E, S]) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("len", t.Len()), slog.Int("k", t.K()))
}

type topKJSON[E, S any] struct {
	K       int               `json:"k,omitempty"`
	Entries []entryJSON[E, S] `json:"entries"`
}

type entryJSON[E, S any] struct {
	Element E `json:"element"`
	Score   S `json:"score"`
}

// MarshalJSON returns an object of k and the entries by rank.
func (t *TopK[E, S]) MarshalJSON() ([]byte, error) {
	j := topKJSON[E, S]{K: t.k, Entries: []entryJSON[E, S]{}}
	for _, e := range t.es {
		j.Entries = append(j.Entries, entryJSON[E, S]{e.Key, e.Value})
	}
	return json.Marshal(j)
}

// UnmarshalJSON replaces t by what MarshalJSON wrote.
func (t *TopK[E, S]) UnmarshalJSON(b []byte) error {
	var j topKJSON[E, S]
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	if j.K < 0 {
		return fmt.Errorf("lattice: %w: the top %d", ErrMalformed, j.K)
	}
	t.k, t.es = j.K, nil
	for _, e := range j.Entries {
		t.Put(e.Element, e.Score)
	}
	return nil
}

// AppendBinary appends the canonical binary form of t to b: equal states have equal bytes.
// Its error matches [ErrUnsupported].
func (t *TopK[E, S]) AppendBinary(b []byte) ([]byte, error) { return appendForm(b, t) }

// MarshalBinary returns the canonical binary form of t.
func (t *TopK[E, S]) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

// UnmarshalBinary replaces t by what AppendBinary wrote, keeping nothing of b; its errors
// match [ErrMalformed] or [ErrUnsupported] and leave t as it was.
func (t *TopK[E, S]) UnmarshalBinary(b []byte) error { return decodeTo(b, t.take) }

func (t *TopK[E, S]) take(x *TopK[E, S]) { t.k, t.es = x.k, x.es }

func (t *TopK[E, S]) shape(dst []byte) ([]byte, error) {
	return shapes(append(dst, kindTopK), shapeOfElement[E], shapeOfElement[S])
}

func (t *TopK[E, S]) put(dst []byte) ([]byte, error) {
	elements, scores := element[E](), element[S]()
	dst = appendCount(appendCount(dst, t.K()), t.Len())
	for _, e := range t.entries() {
		dst = scores.Put(elements.Put(dst, e.Key), e.Value)
	}
	return dst, nil
}

func (t *TopK[E, S]) get(r *wire.Reader) *TopK[E, S] {
	elements, scores := element[E](), element[S]()
	x := &TopK[E, S]{k: getInt(r)}
	n := r.Count(2)
	if x.k > 0 && n > x.k {
		r.Fail("%d entries in the top %d", n, x.k)
	}
	if r.Err() != nil || n == 0 {
		return x
	}
	seen := make(map[E]struct{}, n)
	x.es = make([]Entry[E, S], 0, n)
	for i := range n {
		e := Entry[E, S]{elements.Get(r), scores.Get(r)}
		if r.Err() == nil && i > 0 && rank(x.es[i-1], e) >= 0 {
			r.Fail("entries are not by rank")
		}
		if _, twice := seen[e.Key]; twice {
			r.Fail("an element ranks twice")
		}
		if r.Err() != nil {
			return x
		}
		seen[e.Key] = struct{}{}
		x.es = append(x.es, e)
	}
	return x
}
