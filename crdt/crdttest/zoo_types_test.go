package crdttest_test

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/go-calm/calm/crdt/crdttest"
	"github.com/go-calm/calm/internal/wire"
)

// The zoo's animals: small replicated types, each with its bugs behind a switch. With no bug
// they are right, and plain: maps everywhere, nothing is fast.

type bug string

type dot struct{ id, seq uint64 }

// row is a line of a table; all animals are encoded as sorted tables.
type row [4]uint64

func encodeRows(rows []row) []byte {
	slices.SortFunc(rows, func(a, b row) int { return slices.Compare(a[:], b[:]) })
	return encodeAsIs(slices.Compact(rows))
}

func encodeAsIs(rows []row) []byte {
	var out []byte
	for _, r := range rows {
		for _, n := range r {
			out = binary.AppendUvarint(out, n)
		}
	}
	return out
}

func decodeRows(b []byte) (rows []row, err error) {
	r := wire.NewReader(b)
	for r.Len() > 0 {
		var line row
		for i := range line {
			line[i] = r.Uvarint()
		}
		rows = append(rows, line)
	}
	return rows, r.Err()
}

type dots map[dot]bool

// An orset is an add-wins set: the live dots of each element, and all dots ever seen.
type orset struct {
	bug  bug
	id   uint64
	last uint64
	live map[string]dots
	seen dots

	early dots // for the bug lastRemoveOnly: dots of which only a removal is known
}

type setOp struct {
	remove bool
	e      string
}

func (o setOp) String() string {
	if o.remove {
		return "remove " + o.e
	}
	return "add " + o.e
}

const (
	maxContext      bug = "causal context compressed to a maximum per replica"
	forgetsDots     bug = "remove forgets its dots"
	sharesMap       bug = "join shares the sender's inner map"
	sameID          bug = "restart under the same id with an empty state"
	fullContext     bug = "partial delta sent with the full context"
	keepsOldDots    bug = "re-add keeps the replaced dots"
	emptyRemove     bug = "remove's delta removes nothing at the peer"
	contiguousOnly  bug = "remove covers only the dots below the first gap"
	lastRemoveOnly  bug = "a remove that is early replaces the one before it"
	quietRemove     bug = "merge of a remove reports no change"
	mapOrder        bug = "state encoded in the order of a map"
	halfApplied     bug = "bytes applied before they are validated"
	keepsTombstones bug = "elements kept as tombstones for ever"
	bothSides       bug = "what is on both sides of a merge stays"
)

func newOrset(b bug, r crdttest.Replica) *orset {
	id := r.ID
	if b == sameID {
		id = uint64(r.Host + 2)
	}
	return &orset{bug: b, id: id, live: map[string]dots{}, seen: dots{}}
}

func element(n uint64) string { return string(rune('a' + n%26)) }

func (s *orset) rows(live map[string]dots, seen dots) []byte {
	var rows []row
	for e, ds := range live {
		for d := range ds {
			rows = append(rows, row{1, d.id, d.seq, uint64(e[0] - 'a')})
		}
	}
	for d := range seen {
		rows = append(rows, row{0, d.id, d.seq})
	}
	if s.bug == mapOrder {
		return encodeAsIs(rows)
	}
	return encodeRows(rows)
}

func (s *orset) state() []byte { return s.rows(s.live, s.seen) }

func (s *orset) apply(o setOp) []byte {
	old := maps.Clone(s.live[o.e])
	if o.remove && len(old) == 0 {
		return nil
	}
	covers := dots{}
	maps.Copy(covers, old)
	live := map[string]dots{}
	if o.remove {
		delete(s.live, o.e)
		if s.bug == keepsTombstones {
			s.live[o.e] = dots{}
		}
		if s.bug == contiguousOnly {
			for d := range old {
				for seq := uint64(1); seq < d.seq; seq++ {
					if !s.seen[dot{d.id, seq}] {
						delete(covers, d)
					}
				}
			}
		}
		if s.bug == emptyRemove {
			covers = dots{{s.id, 0}: true}
		}
	} else {
		for s.last++; s.seen[dot{s.id, s.last}]; s.last++ {
		}
		d := dot{s.id, s.last}
		live[o.e] = dots{d: true}
		covers[d] = true
		if s.live[o.e] == nil {
			s.live[o.e] = dots{}
		}
		if s.bug == keepsOldDots {
			covers = dots{d: true}
		} else {
			clear(s.live[o.e])
		}
		s.live[o.e][d] = true
		s.seen[d] = true
		if s.bug == fullContext {
			covers = s.seen
			live = map[string]dots{o.e: {d: true}}
		}
	}
	delta := s.rows(live, covers)
	s.settle()
	return delta
}

// settle brings the context into the form that the bug keeps it in.
func (s *orset) settle() {
	switch s.bug {
	case maxContext:
		for d := range maps.Clone(s.seen) {
			for seq := uint64(1); seq < d.seq; seq++ {
				s.seen[dot{d.id, seq}] = true
			}
		}
	case forgetsDots:
		clear(s.seen)
		for _, ds := range s.live {
			maps.Copy(s.seen, ds)
		}
	}
}

func (s *orset) merge(b []byte) (bool, error) {
	rows, err := decodeRows(b)
	if err != nil && s.bug != halfApplied {
		return false, err
	}
	live, seen := map[string]dots{}, dots{}
	for _, r := range rows {
		d := dot{r[1], r[2]}
		seen[d] = true
		if e := element(r[3]); r[0] == 1 {
			if live[e] == nil {
				live[e] = dots{}
			}
			live[e][d] = true
		}
	}
	return s.join(live, seen, false), err
}

func (s *orset) join(live map[string]dots, seen dots, inMemory bool) (changed bool) {
	removed := false
	for e, ds := range s.live {
		for d := range ds {
			if seen[d] && !live[e][d] && (s.bug != bothSides || len(live[e]) == 0) {
				delete(ds, d)
				changed, removed = true, true
			}
		}
		if len(ds) == 0 && s.bug != keepsTombstones {
			delete(s.live, e)
		}
	}
	for e, ds := range live {
		for d := range ds {
			if s.seen[d] {
				continue
			}
			if s.live[e] == nil && inMemory && s.bug == sharesMap {
				s.live[e] = ds
			} else if s.live[e] == nil {
				s.live[e] = dots{}
			}
			s.live[e][d] = true
			changed = true
		}
	}
	early := dots{}
	for d := range seen {
		if !s.seen[d] {
			changed = true
			if !liveIn(live, d) {
				early[d] = true
			}
		}
	}
	if s.bug == lastRemoveOnly && len(early) > 0 {
		for d := range s.early {
			delete(s.seen, d)
		}
		s.early = early
	}
	maps.Copy(s.seen, seen)
	s.settle()
	if s.bug == quietRemove && removed {
		return false
	}
	return changed
}

func liveIn(live map[string]dots, d dot) bool {
	for _, ds := range live {
		if ds[d] {
			return true
		}
	}
	return false
}

func (s *orset) value() string {
	var out []string
	for e, ds := range s.live {
		if len(ds) > 0 {
			out = append(out, e)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// since returns what of s a replica lacks whose state is digest: live dots it has not seen, and removals.
func (s *orset) since(digest []byte) []byte {
	peer := newOrset("", crdttest.Replica{})
	if _, err := peer.merge(digest); err != nil {
		panic(err)
	}
	live, covers := map[string]dots{}, dots{}
	for d := range s.seen {
		if !peer.seen[d] || liveIn(peer.live, d) && !liveIn(s.live, d) {
			covers[d] = true
		}
	}
	for e, ds := range s.live {
		live[e] = dots{}
		for d := range ds {
			if covers[d] {
				live[e][d] = true
			}
		}
	}
	if len(covers) == 0 {
		return nil
	}
	return s.rows(live, covers)
}

func setSpec(h crdttest.History[setOp]) string {
	in := map[string]bool{}
	for i, e := range h.All() {
		if !e.Op.remove && !h.SeenBy(i, func(o setOp) bool { return o.remove && o.e == e.Op.e }) {
			in[e.Op.e] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(in)), " ")
}

func orsetType(b bug) crdttest.Type[*orset, setOp, string] {
	return crdttest.Type[*orset, setOp, string]{
		New:   func(r crdttest.Replica) *orset { return newOrset(b, r) },
		Ops:   []setOp{{false, "a"}, {true, "a"}, {false, "b"}},
		Apply: (*orset).apply,
		Merge: (*orset).merge,
		State: (*orset).state,
		Value: (*orset).value,
		Spec:  setSpec,
		Join: func(dst, src *orset) bool {
			return dst.join(src.live, src.seen, true)
		},
		Digest: (*orset).state,
		Since:  (*orset).since,
		Resume: func(r crdttest.Replica, saved []byte) (*orset, error) {
			s := newOrset(b, r)
			_, err := s.merge(saved)
			return s, err
		},
		Size: func(s *orset) int {
			n := len(s.live)
			for _, ds := range s.live {
				n += len(ds)
			}
			return n
		},
		// One entry for each element that is in, and one dot for each replica that added it.
		Bound: func(h crdttest.History[setOp]) int {
			in := map[string]bool{}
			for e := range strings.FieldsSeq(setSpec(h)) {
				in[e] = true
			}
			n := len(in)
			type adder struct {
				e  string
				id uint64
			}
			adders := map[adder]bool{}
			for _, e := range h.All() {
				if in[e.Op.e] && !e.Op.remove {
					adders[adder{e.Op.e, e.Replica}] = true
				}
			}
			return n + len(adders)
		},
	}
}

// An lww is a last-writer-wins register with hybrid logical stamps.
type lww struct {
	bug       bug
	r         crdttest.Replica
	stamp, id uint64
	v         uint64
}

const (
	tieKeptLocally bug = "LWW tie kept locally on both sides"
	wallClock      bug = "LWW compares wall clocks"
)

func (s *lww) apply(v uint64) []byte {
	now := uint64(s.r.Now().UnixMilli())
	if s.bug == wallClock {
		if now >= s.stamp {
			s.stamp, s.id, s.v = now, s.r.ID, v
		}
		return encodeRows([]row{{now, s.r.ID, v}})
	}
	s.stamp, s.id, s.v = max(now, s.stamp+1), s.r.ID, v
	return s.state()
}

func (s *lww) state() []byte {
	if s.stamp == 0 {
		return nil
	}
	return encodeRows([]row{{s.stamp, s.id, s.v}})
}

func (s *lww) merge(b []byte) (bool, error) {
	rows, err := decodeRows(b)
	if err != nil {
		return false, err
	}
	changed := false
	for _, r := range rows {
		if r[0] > s.stamp || r[0] == s.stamp && s.bug != tieKeptLocally && (r[1] > s.id || r[1] == s.id && r[2] > s.v) {
			s.stamp, s.id, s.v, changed = r[0], r[1], r[2], true
		}
	}
	return changed, nil
}

// lwwSpec stamps the writes anew, from their wall clocks and what they saw.
func lwwSpec(h crdttest.History[uint64]) uint64 {
	stamps := make([]uint64, h.Len())
	var top row
	for i, e := range h.All() {
		stamps[i] = uint64(e.Time.UnixMilli())
		for j := range i {
			if h.Sees(i, j) {
				stamps[i] = max(stamps[i], stamps[j]+1)
			}
		}
		if r := (row{stamps[i], e.Replica, e.Op}); slices.Compare(r[:], top[:]) > 0 {
			top = r
		}
	}
	return top[2]
}

func lwwType(b bug) crdttest.Type[*lww, uint64, uint64] {
	return crdttest.Type[*lww, uint64, uint64]{
		New:   func(r crdttest.Replica) *lww { return &lww{bug: b, r: r} },
		Ops:   []uint64{1, 2},
		Apply: (*lww).apply,
		Merge: (*lww).merge,
		State: (*lww).state,
		Value: func(s *lww) uint64 { return s.v },
		Spec:  lwwSpec,
	}
}

// A keyed is one key of a store of puts, each with a priority above those it saw, and of tombstones.
type keyed struct {
	bug    bug
	id     uint64
	last   uint64
	puts   map[dot]row // priority, replica, sequence number, value
	dead   dots
	winner row // for the bug: the best put ever, kept up to date instead of recomputed
}

const cachedWinner bug = "put, put, delete ∥ put: the winner is not recomputed"

func (s *keyed) apply(v uint64) []byte {
	var rows []row
	if v == 0 { // delete
		for d := range s.puts {
			rows = append(rows, row{0, d.id, d.seq})
		}
	} else {
		top := uint64(0)
		for _, p := range s.puts {
			top = max(top, p[0])
		}
		s.last++
		rows = []row{{top + 1, s.id, s.last, v}}
	}
	if len(rows) == 0 {
		return nil
	}
	s.take(rows)
	return encodeRows(rows)
}

func (s *keyed) take(rows []row) (changed bool) {
	for _, r := range rows {
		d := dot{r[1], r[2]}
		switch {
		case s.dead[d]:
		case r[0] == 0:
			s.dead[d], changed = true, true
			delete(s.puts, d)
		case s.puts[d] != r:
			s.puts[d], changed = r, true
			if slices.Compare(r[:], s.winner[:]) > 0 {
				s.winner = r
			}
		}
	}
	return changed
}

func (s *keyed) state() []byte {
	var rows []row
	for d := range s.dead {
		rows = append(rows, row{0, d.id, d.seq})
	}
	return encodeRows(slices.AppendSeq(rows, maps.Values(s.puts)))
}

func (s *keyed) value() uint64 {
	var top row
	for _, p := range s.puts {
		if slices.Compare(p[:], top[:]) > 0 {
			top = p
		}
	}
	if s.bug == cachedWinner && len(s.puts) > 0 {
		top = s.winner
	}
	return top[3]
}

// keyedSpec: of the puts that no delete saw, the one with the longest chain of puts before it wins.
func keyedSpec(h crdttest.History[uint64]) uint64 {
	alive := func(i int, at func(j int) bool) bool {
		for j, d := range h.All() {
			if d.Op == 0 && at(j) && h.Sees(j, i) {
				return false
			}
		}
		return true
	}
	priority := make([]uint64, h.Len())
	seq := map[uint64]uint64{}
	var top row
	for i, e := range h.All() {
		if e.Op == 0 {
			continue
		}
		for j, p := range h.All() {
			if p.Op != 0 && h.Sees(i, j) && alive(j, func(k int) bool { return h.Sees(i, k) }) {
				priority[i] = max(priority[i], priority[j])
			}
		}
		priority[i]++
		seq[e.Replica]++
		r := row{priority[i], e.Replica, seq[e.Replica], e.Op}
		if alive(i, func(int) bool { return true }) && slices.Compare(r[:], top[:]) > 0 {
			top = r
		}
	}
	return top[3]
}

func keyedType(b bug) crdttest.Type[*keyed, uint64, uint64] {
	return crdttest.Type[*keyed, uint64, uint64]{
		New: func(r crdttest.Replica) *keyed {
			return &keyed{bug: b, id: r.ID, puts: map[dot]row{}, dead: dots{}}
		},
		Ops:   []uint64{0, 1, 2},
		Apply: (*keyed).apply,
		Merge: func(s *keyed, b []byte) (bool, error) {
			rows, err := decodeRows(b)
			if err != nil {
				return false, err
			}
			return s.take(rows), nil
		},
		State: (*keyed).state,
		Value: (*keyed).value,
		Spec:  keyedSpec,
	}
}

// A tally is a counter that can be reset, as it stands in a map entry: one dot for each
// increment, and a reset removes the dots it sees.
type tally struct {
	bug  bug
	id   uint64
	last uint64
	live map[dot]uint64
	seen dots
}

const totalOnDot bug = "map counter keeps its total on its newest dot"

const (
	increment = iota
	reset
)

func (s *tally) apply(op int) []byte {
	rows := []row{}
	gone := func(d dot) {
		delete(s.live, d)
		rows = append(rows, row{0, d.id, d.seq})
	}
	if op == reset {
		for d := range s.live {
			gone(d)
		}
	} else {
		n := uint64(1)
		if d := (dot{s.id, s.last}); s.bug == totalOnDot && s.live[d] > 0 {
			n += s.live[d]
			gone(d)
		}
		s.last++
		d := dot{s.id, s.last}
		s.live[d], s.seen[d] = n, true
		rows = append(rows, row{n, d.id, d.seq})
	}
	if len(rows) == 0 {
		return nil
	}
	return encodeRows(rows)
}

func (s *tally) merge(b []byte) (changed bool, err error) {
	rows, err := decodeRows(b)
	if err != nil {
		return false, err
	}
	for _, r := range rows {
		d := dot{r[1], r[2]}
		switch {
		case r[0] == 0 && (!s.seen[d] || s.live[d] > 0):
			delete(s.live, d)
			s.seen[d], changed = true, true
		case r[0] > 0 && !s.seen[d]:
			s.live[d], s.seen[d], changed = r[0], true, true
		}
	}
	return changed, nil
}

func (s *tally) state() []byte {
	var rows []row
	for d := range s.seen {
		rows = append(rows, row{s.live[d], d.id, d.seq})
	}
	return encodeRows(rows)
}

func tallyType(b bug) crdttest.Type[*tally, int, int] {
	return crdttest.Type[*tally, int, int]{
		New: func(r crdttest.Replica) *tally {
			return &tally{bug: b, id: r.ID, live: map[dot]uint64{}, seen: dots{}}
		},
		Ops:   []int{increment, reset},
		Apply: (*tally).apply,
		Merge: (*tally).merge,
		State: (*tally).state,
		Value: func(s *tally) (n int) {
			for _, d := range s.live {
				n += int(d)
			}
			return n
		},
		Spec: func(h crdttest.History[int]) (n int) {
			for i, e := range h.All() {
				if e.Op == increment && !h.SeenBy(i, func(op int) bool { return op == reset }) {
					n++
				}
			}
			return n
		},
	}
}

// A gcounter is a grow-only counter: the number of increments of each replica.
type gcounter struct {
	bug bug
	id  uint64
	n   map[uint64]uint64
}

const (
	addsArrivals   bug = "counter adds what arrives"
	sendsIncrement bug = "counter's delta is an increment among totals"
)

func (s *gcounter) rows(n map[uint64]uint64) []byte {
	var rows []row
	for id, n := range n {
		rows = append(rows, row{id, n})
	}
	return encodeRows(rows)
}

func gcounterType(b bug) crdttest.Type[*gcounter, int, uint64] {
	return crdttest.Type[*gcounter, int, uint64]{
		New: func(r crdttest.Replica) *gcounter { return &gcounter{b, r.ID, map[uint64]uint64{}} },
		Ops: []int{1, 2},
		Apply: func(s *gcounter, by int) []byte {
			s.n[s.id] += uint64(by)
			if s.bug == sendsIncrement || s.bug == addsArrivals {
				return s.rows(map[uint64]uint64{s.id: uint64(by)})
			}
			return s.rows(map[uint64]uint64{s.id: s.n[s.id]})
		},
		Merge: func(s *gcounter, b []byte) (changed bool, err error) {
			rows, err := decodeRows(b)
			if err != nil {
				return false, err
			}
			for _, r := range rows {
				if s.bug == addsArrivals && r[0] != s.id {
					s.n[r[0]] += r[1]
					changed = true
				} else if r[1] > s.n[r[0]] {
					s.n[r[0]] = r[1]
					changed = true
				}
			}
			return changed, nil
		},
		State: func(s *gcounter) []byte { return s.rows(s.n) },
		Value: func(s *gcounter) (n uint64) {
			for _, m := range s.n {
				n += m
			}
			return n
		},
		Spec: func(h crdttest.History[int]) (n uint64) {
			for _, e := range h.All() {
				n += uint64(e.Op)
			}
			return n
		},
		Monotone: func(before, after uint64) bool { return before <= after },
	}
}
