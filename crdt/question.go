package crdt

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/go-calm/calm/internal/interval"
	"github.com/go-calm/calm/internal/wire"
)

// Question is what one replica tells another one of itself so that the other finds what it lacks:
// what it has seen, and fingerprints of what lives of it. It holds no content. [Store.Questions]
// makes the first ones, [Store.Answer] answers each and makes those that follow, which ask only
// where fingerprints differ.
//
// Between replicas that are equal a question is some twenty bytes for each replica that ever made
// an event, however much they hold. It is a value; safe for concurrent use. The zero value asks
// nothing.
//
// Source: range-based set reconciliation (Meyer, "Range-based set reconciliation", SRDS 2023),
// along the event numbers of each replica.
type Question struct{ b []byte }

// IsZero reports whether nothing is asked.
func (q Question) IsZero() bool { return len(q.b) == 0 }

// Len returns the length of the wire form in bytes.
func (q Question) Len() int { return len(q.b) }

// String says about how many replicas is asked: "about 2 replicas, 45 bytes". O(Len).
func (q Question) String() string {
	if q.IsZero() {
		return "nothing"
	}
	in, _ := readQuestion(q.b) // was checked
	return fmt.Sprintf("about %s, %s", count(uint64(len(in.lanes)), "replica"), count(uint64(q.Len()), "byte"))
}

// AppendBinary appends the wire form (FORMAT.md) to b. It never fails.
func (q Question) AppendBinary(b []byte) ([]byte, error) { return append(b, q.b...), nil }

// MarshalBinary returns a copy of the wire form.
func (q Question) MarshalBinary() ([]byte, error) { return q.AppendBinary(nil) }

// UnmarshalBinary sets q to the question that b is the wire form of, and keeps nothing of b. Errors
// match [ErrCorrupt] or [ErrVersion]; q is then unchanged.
func (q *Question) UnmarshalBinary(b []byte) error {
	if len(b) == 0 {
		*q = Question{}
		return nil
	}
	if _, err := readQuestion(b); err != nil {
		return err
	}
	q.b = slices.Clone(b)
	return nil
}

const (
	questionMagic = 0x1F
	// A place where fingerprints differ is compared in so many blocks: first, and inside of a block.
	firstBlocks, moreBlocks = 64, 16
	// leafSpan is how many event numbers are compared one by one, leafRuns how many runs are told
	// however many numbers they span.
	leafSpan, leafRuns = 1024, 12
	// minQuestion is the least length that questions are cut to.
	minQuestion = 128
)

// What an entry of a question tells of a stretch of a replica's events.
const (
	formSeen   = 0 // what was seen, a fingerprint of what lives of it
	formBlocks = 1 // a context, fingerprints of what lives in each of n parts of it
	formRuns   = 2 // a context, what lives of it as runs
	formBitmap = 3 // … as a bit for each number from the least of the context to its greatest
)

// entry is a part of a question.
type entry struct {
	form   uint8
	lo, hi uint64 // formSeen: the stretch that is told
	ctx    interval.Set
	prints []uint64
	live   interval.Set
}

// asked is a question, read.
type asked struct {
	cover    bool // tells of all replicas from first to last: of those not named, nothing was seen
	from, to ReplicaID
	lanes    []askedLane // ascending
}

type askedLane struct {
	id      ReplicaID
	entries []entry
}

func (a *asked) has(id ReplicaID) bool {
	_, ok := slices.BinarySearchFunc(a.lanes, id, func(l askedLane, id ReplicaID) int { return cmp.Compare(l.id, id) })
	return ok
}

// questioner writes questions of at most size bytes.
type questioner struct {
	size  int
	cover bool
	from  ReplicaID // of the question being written
	body  []byte    // its lanes but for the last
	count uint64
	id    ReplicaID // the last lane
	last  []byte
	n     uint64
	out   []Question
}

const questionHead = 3 + 1 + 16 + 3 // magic, version, flag, cover, count of lanes

// add puts an entry into the question, or into a new one if it has no room.
func (w *questioner) add(id ReplicaID, e []byte) {
	if w.id != id {
		w.lane()
	}
	if w.n+w.count > 0 && questionHead+len(w.body)+len(w.last)+len(e)+11 > w.size {
		w.end(id)
	}
	w.id, w.last, w.n = id, append(w.last, e...), w.n+1
}

// lane ends the last lane.
func (w *questioner) lane() {
	if w.n == 0 {
		return
	}
	w.body = binary.BigEndian.AppendUint64(w.body, uint64(w.id))
	w.body = binary.AppendUvarint(w.body, w.n)
	w.body = append(w.body, w.last...)
	w.count++
	w.n, w.last = 0, w.last[:0]
}

// end ends the question. The next one tells of replicas from next on.
func (w *questioner) end(next ReplicaID) {
	to := w.id
	w.lane()
	b := append(make([]byte, 0, questionHead+len(w.body)), magic0, questionMagic, version)
	if w.cover {
		if to < next {
			to = next - 1 // nothing was seen of those between
		}
		if next == 0 {
			to = ^ReplicaID(0)
		}
		b = binary.BigEndian.AppendUint64(append(b, 1), uint64(w.from))
		b = binary.BigEndian.AppendUint64(b, uint64(to))
		w.from = next
	} else {
		b = append(b, 0)
	}
	b = binary.AppendUvarint(b, w.count)
	w.out = append(w.out, Question{append(b, w.body...)})
	w.body, w.count = w.body[:0], 0
}

func (e *entry) append(b []byte) []byte {
	b = append(b, e.form)
	if e.form == formSeen {
		b = binary.AppendUvarint(b, e.lo-1)
		b = binary.AppendUvarint(b, maxSeq-e.hi)
	}
	b = appendRuns(b, e.ctx.Runs())
	switch e.form {
	case formSeen:
		b = binary.BigEndian.AppendUint64(b, e.prints[0])
	case formBlocks:
		b = binary.AppendUvarint(b, uint64(len(e.prints)))
		for _, p := range e.prints {
			b = binary.BigEndian.AppendUint64(b, p)
		}
	case formRuns:
		b = appendRuns(b, e.live.Runs())
	case formBitmap:
		lo := e.ctx.Runs()[0].Lo
		at := len(b)
		b = append(b, make([]byte, (e.ctx.Max()-lo)/8+1)...)
		for _, r := range e.live.Runs() {
			for n := r.Lo; n <= r.Hi; n++ {
				b[at+int((n-lo)/8)] |= 1 << ((n - lo) % 8)
			}
		}
	}
	return b
}

func readQuestion(b []byte) (q asked, err error) {
	r := wire.NewReader(b)
	if r.Byte() != magic0 || r.Byte() != questionMagic {
		return q, fmt.Errorf("%w: not a question", ErrCorrupt)
	}
	if v := r.Byte(); r.Err() == nil && v != version {
		return q, fmt.Errorf("%w: %d, this package reads %d", ErrVersion, v, version)
	}
	switch r.Byte() {
	case 0:
	case 1:
		q.cover, q.from, q.to = true, ReplicaID(r.Uint64()), ReplicaID(r.Uint64())
	default:
		r.Fail("unknown flags of a question")
	}
	last := ReplicaID(0)
	for n := r.Count(11); n > 0 && r.Err() == nil; n-- {
		l := askedLane{id: ReplicaID(r.Uint64())}
		if l.id <= last || q.cover && (l.id < q.from || l.id > q.to) {
			r.Fail("replicas not ascending, or not covered")
		}
		last = l.id
		for k := r.Count(3); k > 0 && r.Err() == nil; k-- {
			l.entries = append(l.entries, readEntry(&r))
		}
		if len(l.entries) == 0 {
			r.Fail("a replica of which nothing is told")
		}
		q.lanes = append(q.lanes, l)
	}
	if err := r.Done(); err != nil {
		return asked{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return q, nil
}

func readEntry(r *wire.Reader) (e entry) {
	if e.form = r.Byte(); e.form == formSeen {
		lo, hi := r.Uvarint(), r.Uvarint()
		if lo >= maxSeq || hi > maxSeq || lo+1 > maxSeq-hi {
			r.Fail("a stretch that ends before it starts")
			return
		}
		e.lo, e.hi = lo+1, maxSeq-hi
	}
	if e.ctx = pushAll(readRuns(r, nil)); e.ctx.IsEmpty() {
		r.Fail("an entry that tells nothing")
		return
	}
	lo, hi := e.ctx.Runs()[0].Lo, e.ctx.Max()
	switch e.form {
	case formSeen:
		if lo < e.lo || hi > e.hi {
			r.Fail("events outside of their stretch")
		}
		e.prints = []uint64{r.Uint64()}
	case formBlocks:
		n := r.Count(8)
		if n == 0 || uint64(n) > hi-lo+1 {
			r.Fail("%d blocks", n)
			return
		}
		e.prints = make([]uint64, n)
		for i := range e.prints {
			e.prints[i] = r.Uint64()
		}
	case formRuns:
		if e.live = pushAll(readRuns(r, nil)); !e.ctx.Contains(e.live) {
			r.Fail("an event lives that is not told")
		}
	case formBitmap:
		if (hi-lo)/8 >= uint64(r.Len()) {
			r.Fail("a bitmap that is cut off")
			return
		}
		bits := r.Take(int((hi-lo)/8) + 1)
		for i := range hi - lo + 1 {
			if bits[i/8]>>(i%8)&1 == 1 {
				e.live.Add(lo + i)
			}
		}
		if !e.ctx.Contains(e.live) {
			r.Fail("an event lives that is not told")
		}
	default:
		r.Fail("an unknown form of entry")
	}
	return e
}

// width returns how many event numbers each block of an entry spans.
func (e *entry) width() uint64 {
	return (e.ctx.Max()-e.ctx.Runs()[0].Lo)/uint64(len(e.prints)) + 1
}
