package crdt

import (
	"cmp"
	"slices"

	"github.com/go-calm/calm/internal/interval"
)

// Store is one replica: a tree of values under one causal context. All that is opened in a store
// changes, merges and synchronizes together, and an entry that is removed leaves nothing behind.
//
// State is a set of live events, each at a place and with a payload, and the set of all events
// seen. An event that was seen and does not live is over, for ever and for everybody; this is all
// that merging needs to know (dot stores: Almeida, Shoker and Baquero, "Delta state replicated
// data types", 2018, §7). Events are indexed by replica and number, so merging walks along what
// both sides have and hashes only what is new.
//
// A Store is a pure data structure: it is not safe for concurrent use, starts no goroutine and
// reads no clock. Use [NewStore], [Open] or a constructor such as [NewSet]; the zero value is not
// usable.
//
// Cost: Merge, Since and Update are proportional to what differs, but for reading a given delta or
// digest once; State and Digest are proportional to the state. What comes between events of its replica
// that came before it also moves those on the shorter side of it.
type Store struct {
	self    ReplicaID
	own     int // index of the own lane, -1 until the first event
	lanes   []lane
	byID    map[ReplicaID]int
	tree    *tree
	version uint64 // counts changes of what lives
	schema  *schema
	codecs  codecs
	tx      transaction
	encoder encoder
	merger  merger
	told    []*func(Delta) // who is told of updates
	watch   watch
	log     Log
	refused error // of the last change made here
	tallies tallies
}

// transaction is what the running [Store.Update] has done so far.
type transaction struct {
	depth   int
	first   uint64 // number of the first own event
	next    uint64 // number of the next own event
	removed []located
	parts   []part
	past    []byte // of those removed: see remember
	steps   []step
	payload []byte
}

// located is an event, by lane.
type located struct {
	lane int
	seq  uint64
}

func newStore(self ReplicaID, root shape) *Store {
	return &Store{self: self, own: -1, byID: map[ReplicaID]int{}, tree: newTree(root)}
}

// ID returns the name under which this replica makes events.
func (s *Store) ID() ReplicaID { return s.self }

// Update runs f and returns one delta of all that f did in this store: others merge all of it or
// nothing. Changes of one counter within f become one event. Inside f, mutators return zero deltas;
// updates may nest. f must not merge into the store. If f panics, what it did so far stays. If the update is
// refused ([Store.Err]), nothing of it stays, and the delta is zero.
func (s *Store) Update(f func()) (d Delta) {
	s.begin()
	defer func() { d = s.end() }()
	f()
	return
}

// OnUpdate has f called with the delta of each change that is made in this store from now on, be it
// one mutator's or a whole Update's, but not with what Merge takes in. f must not change the store.
// It returns what ends this.
func (s *Store) OnUpdate(f func(Delta)) (stop func()) {
	if f == nil {
		panic("crdt: OnUpdate has no function")
	}
	s.told = append(s.told, &f)
	return func() { s.told = slices.DeleteFunc(s.told, func(g *func(Delta)) bool { return g == &f }) }
}

func (s *Store) begin() {
	if s.tx.depth == 0 {
		s.start() // may panic: then no update has begun
	}
	s.tx.depth++
}

func (s *Store) start() {
	if s.own < 0 {
		if s.self == 0 {
			panic("crdt: a replica needs an id to change its state; use crdt.NewReplicaID")
		}
		s.own = s.lane(s.self)
	}
	s.refused = nil
	s.tx.first = s.lanes[s.own].seen.Max() + 1
	s.tx.next = s.tx.first
}

func (s *Store) end() Delta {
	if s.tx.depth--; s.tx.depth > 0 {
		return Delta{}
	}
	tx := &s.tx
	if tx.next == tx.first && len(tx.removed) == 0 {
		clear(s.watch.before)
		return Delta{}
	}
	var d Delta
	if tx.next > tx.first && tx.next-1 > maxSeq {
		tx.removed = tx.removed[:0]
		s.refuse(&ExhaustedError{s.self}, tx.past)
		tx.past = tx.past[:0]
		return d
	}
	s.made(&d)
	if tx.past = spare(tx.past, 1<<10); isLong(tx.removed, 64) {
		tx.parts = nil
	}
	tx.removed = spare(tx.removed, 64)
	if !s.logged(d) {
		return Delta{}
	}
	for _, f := range s.told {
		(*f)(d)
	}
	s.tell(true)
	return d
}

// made sets d to the delta of the running update.
func (s *Store) made(d *Delta) {
	tx := &s.tx
	own := &s.lanes[s.own]
	single := tx.next == tx.first+1
	if single && len(tx.removed) == 0 {
		if s.encoder.one(d, s, []interval.Range{{Lo: tx.first, Hi: tx.first}}, tx.past) {
			return
		}
	}
	parts := s.parts(tx.removed)
	if tx.next > tx.first {
		i := slices.IndexFunc(parts, func(p part) bool { return p.lane == s.own })
		if i < 0 {
			i = len(parts)
			parts = morePart(parts, s.own)
		}
		parts[i].seen.AddRange(tx.first, tx.next-1)
		tx.parts = parts
		if single && len(parts) == 1 {
			if s.encoder.one(d, s, parts[0].seen.Runs(), tx.past) {
				return
			}
		}
		if from := own.last(tx.first); from < len(own.seqs) {
			parts[i].spans = append(parts[i].spans, span{from, len(own.seqs)})
		}
	}
	tx.parts = parts
	s.encoder.past = tx.past
	*d = s.encoder.encode(s, parts)
	s.encoder.past = nil
}

// parts returns parts that tell that the given events are over.
func (s *Store) parts(over []located) []part {
	parts := s.tx.parts[:0]
	if len(over) > 1 {
		slices.SortFunc(over, func(a, b located) int {
			return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.seq, b.seq))
		})
	}
	for _, o := range over {
		if k := len(parts); k == 0 || parts[k-1].lane != o.lane {
			parts = morePart(parts, o.lane)
		}
		parts[len(parts)-1].seen.Add(o.seq)
	}
	return parts
}

// morePart appends an empty part; it makes use of what an earlier one left beyond the end.
func morePart(parts []part, laneIndex int) []part {
	if len(parts) == cap(parts) {
		return append(parts, part{lane: laneIndex})
	}
	parts = parts[:len(parts)+1]
	p := &parts[len(parts)-1]
	p.lane, p.spans = laneIndex, p.spans[:0]
	p.seen.Clear()
	return parts
}

// lane returns the index of a replica's lane, made if need be.
func (s *Store) lane(id ReplicaID) int {
	i, ok := s.byID[id]
	if !ok {
		i = len(s.lanes)
		s.lanes = append(s.lanes, lane{id: id})
		s.byID[id] = i
	}
	return i
}

// ---- what mutators are made of ------------------------------------------------------------------

// mint makes a new own event at a leaf.
func (s *Store) mint(at slot, payload string) {
	seq := s.tx.next
	s.tx.next++
	s.touch(at)
	s.lanes[s.own].seen.Add(seq)
	s.attach(s.own, seq, at, payload)
}

// minted returns the event that the running update has made at a leaf, if there is one.
func (s *Store) minted(at slot) *dot {
	n := s.tree.at(at)
	if n.leaf() == 0 || s.tx.next == s.tx.first {
		return nil // without a payload there is nothing to change
	}
	dots := s.tree.leaves[n.leaf()-1]
	for i := range slices.Backward(dots) {
		if dots[i].lane == uint32(s.own) && dots[i].seq >= s.tx.first {
			return &dots[i]
		}
	}
	return nil
}

// write makes a new event at a leaf that takes the place of all that live there.
func (s *Store) write(at slot, payload string) {
	if n := s.tree.at(at); n.live() == 1 { // what this update has written, it may write again
		if payload == "" && n.alone && int(n.y) == s.own && n.x >= s.tx.first {
			return
		}
		if d := s.minted(at); d != nil {
			d.payload = payload
			s.version++
			return
		}
	}
	mark := len(s.tx.removed)
	s.collect(at)
	s.mint(at, payload) // first, so that the leaf does not vanish in between
	s.over(mark)
}

// clear ends all events at and below a node.
func (s *Store) clear(at slot) {
	mark := len(s.tx.removed)
	s.collect(at)
	s.over(mark)
}

// collect puts all events at and below a node on the list of those that are over.
func (s *Store) collect(at slot) {
	if s.tree.at(at).child() == noSlot {
		s.touch(at)
		s.remember(at, nil)
	}
	s.tree.dots(at, func(d dot) { s.tx.removed = append(s.tx.removed, located{int(d.lane), d.seq}) })
	for c := s.tree.at(at).child(); c != noSlot; c = s.tree.at(c).next {
		s.collect(c)
	}
}

// over ends the events listed from mark on.
func (s *Store) over(mark int) {
	for _, o := range s.tx.removed[mark:] {
		s.detach(o.lane, o.seq)
	}
}

func (s *Store) attach(laneIndex int, seq uint64, at slot, payload string) {
	s.version++
	l := &s.lanes[laneIndex]
	l.insert(seq, at)
	l.living += mix(uint64(l.id) ^ mix(seq))
	s.tree.attach(at, dot{lane: uint32(laneIndex), seq: seq, payload: payload})
	if payload != "" {
		if took := absorbed(s.tree.at(at).shape.kind, payload); took.Hi > 0 {
			l.absorb(took.Hi, seq)
		}
	}
}

func (s *Store) detach(laneIndex int, seq uint64) {
	s.version++
	l := &s.lanes[laneIndex]
	at := l.kill(seq)
	l.living -= mix(uint64(l.id) ^ mix(seq))
	s.tree.detach(at, uint32(laneIndex), seq)
}

// ---- state --------------------------------------------------------------------------------------

// State returns the whole state as a delta: what [Store.Since] returns to who has nothing.
func (s *Store) State() Delta {
	d := s.encoder.encode(s, s.fullParts())
	if h, ok := s.merger.known.find(s, d.b); !ok && s.tx.depth == 0 { // what an Update does may come undone
		s.merger.known.add(h) // should it come back
	}
	return d
}

func (s *Store) fullParts() []part {
	parts := make([]part, 0, len(s.lanes))
	for i := range s.lanes {
		parts = append(parts, part{lane: i, seen: s.lanes[i].seen.Clone(), spans: []span{{0, len(s.lanes[i].seqs)}}})
	}
	return parts
}

// Digest returns what this replica has seen and what of it lives, without content: all that
// another one needs to know to tell exactly what is missing here.
func (s *Store) Digest() Digest {
	d := Digest{lanes: make([]digestLane, 0, len(s.lanes))}
	for i := range s.lanes {
		if l := &s.lanes[i]; !l.seen.IsEmpty() {
			d.lanes = append(d.lanes, digestLane{id: l.id, seen: l.seen.Clone(), live: l.live()})
		}
	}
	slices.SortFunc(d.lanes, func(a, b digestLane) int { return cmp.Compare(a.id, b.id) })
	return d
}

// Context returns what this replica has seen, as a digest in which nothing lives. O(replicas and gaps).
func (s *Store) Context() Digest {
	d := Digest{lanes: make([]digestLane, 0, len(s.lanes))}
	for i := range s.lanes {
		if l := &s.lanes[i]; !l.seen.IsEmpty() {
			d.lanes = append(d.lanes, digestLane{id: l.id, seen: l.seen.Clone()})
		}
	}
	slices.SortFunc(d.lanes, func(a, b digestLane) int { return cmp.Compare(a.id, b.id) })
	return d
}

// Since returns what a replica with the given digest lacks, and nothing that it has (the optimal
// difference of Enes et al., "Efficient synchronization of state-based CRDTs", ICDE 2019).
func (s *Store) Since(peer Digest) Delta {
	parts := make([]part, 0, len(s.lanes))
	for i := range s.lanes {
		l := &s.lanes[i]
		theirs := peer.lane(l.id)
		p := part{lane: i, seen: l.seen.Minus(theirs.seen)}
		for _, r := range p.seen.Runs() {
			if sp := (span{l.find(r.Lo, 0), l.find(r.Hi+1, 0)}); sp.from < sp.to {
				p.spans = append(p.spans, sp)
			}
		}
		// What lives there and is over here.
		if !theirs.live.IsEmpty() {
			over := theirs.live.Minus(l.live())
			p.seen.Merge(intersection(l.seen, over))
		}
		parts = append(parts, p)
	}
	return s.encoder.encode(s, parts)
}

func intersection(a, b interval.Set) interval.Set {
	rest := a.Minus(b)
	return a.Minus(rest)
}

// Fingerprint returns a number that is equal for equal states and differs for different ones but
// for a chance of 2⁻⁶⁴. O(replicas and gaps).
func (s *Store) Fingerprint() uint64 {
	h := uint64(0)
	for i := range s.lanes {
		l := &s.lanes[i]
		h += l.living
		lh := mix(uint64(l.id) + 1)
		for _, r := range l.seen.Runs() {
			lh = mix(mix(lh^r.Lo) ^ r.Hi)
		}
		if !l.seen.IsEmpty() {
			h += lh
		}
	}
	return h
}
