package crdt

import (
	"bytes"
	"encoding/binary"

	"github.com/go-calm/calm/internal/interval"
)

// skimmer finds out that a big delta tells nothing new, as most that gossip brings do, by walking along
// the store and the delta's bytes in step, without taking the delta apart. It is kept for its buffers.
type skimmer struct {
	c     cursor
	s     *Store
	nodes []slot // where the nodes are that were named so far, by number; noSlot: unknown

	// Of the lane that is being read:
	local      uint32
	told, live []interval.Range
	toldAt     int    // of told, where next is
	liveAt     int    // of live, where next is
	next       uint64 // the event whose content comes next
	at         int    // of the store's lane: all before it was compared
}

// gone is where an event lives that is over here.
var gone = [1]slot{noSlot}

// knows reports whether a merge of the delta would change nothing and refuse nothing. It may say no
// where a merge would find out the same: then nothing is lost but time.
func (k *skimmer) knows(s *Store, b []byte) bool {
	if s.tree.at(rootSlot).shape != (shape{kind(b[3]), b[4]}) {
		return false
	}
	k.s, k.c = s, cursor{b, headerLen}
	defer func() {
		k.c.b, k.nodes, k.told, k.live = nil, spare(k.nodes, 256), spare(k.told, 64), spare(k.live, 64)
	}()
	n := int(k.c.uvarint())
	ids := k.c.at
	k.c.at += 8 * n
	for i := range n {
		local, ok := s.byID[ReplicaID(binary.BigEndian.Uint64(b[ids+8*i:]))]
		if !ok || !k.lane(local) {
			return false
		}
	}
	return true
}

func (k *skimmer) lane(local int) bool {
	l := &k.s.lanes[local]
	k.local, k.told, k.live = uint32(local), k.c.runs(k.told[:0]), k.c.runs(k.live[:0])
	known, left := true, 0
	for _, r := range k.told { // most often this is where news shows
		if !l.seen.ContainsRange(r.Lo, r.Hi) {
			return false
		}
		// What absorbed an event goes with it, if who tells that it is over did not know: see Compact.
		l.absorbers(r.Lo, r.Hi, func(upto, by uint64) {
			known = known && (within(k.told, by) || within(k.live, upto))
		})
	}
	if len(k.nodes) == 0 {
		k.nodes = append(k.nodes, rootSlot)
	}
	for _, r := range k.live {
		left += int(r.Hi - r.Lo + 1)
	}
	k.toldAt, k.liveAt, k.at = 0, 0, l.find(k.told[0].Lo, 0)
	if len(k.live) > 0 {
		k.next = k.live[0].Lo
	}
	for left > 0 && known {
		known = k.group(l, &left)
	}
	return known && k.upTo(l, k.told[len(k.told)-1].Hi)
}

// upTo goes to the end of what is told up to an event. It reports false if something that lives here
// is told to be over.
func (k *skimmer) upTo(l *lane, seq uint64) bool {
	for k.told[k.toldAt].Hi < seq {
		if !k.over(l, k.told[k.toldAt].Hi) {
			return false
		}
		k.toldAt++
		k.at = l.find(k.told[k.toldAt].Lo, k.at)
	}
	return k.over(l, seq)
}

// over passes entries of the store's lane up to an event, which must all be over.
func (k *skimmer) over(l *lane, seq uint64) bool {
	for ; k.at < len(l.seqs) && l.seqs[k.at] <= seq; k.at++ {
		if l.slots[k.at] != noSlot {
			return false
		}
	}
	return true
}

// where returns where the next events live here, at most so many of them and at least one; and where
// they start.
func (k *skimmer) where(l *lane, most int) (at []slot, first uint64, ok bool) {
	if k.next > k.live[k.liveAt].Hi {
		k.liveAt++
		k.next = k.live[k.liveAt].Lo
	}
	first = k.next
	if !k.upTo(l, first-1) {
		return nil, 0, false
	}
	if k.at == len(l.seqs) || l.seqs[k.at] != first {
		k.next++
		return gone[:], first, true
	}
	// Numbers ascend: if the last one is as far as it is long, none is left out between.
	n := min(most, len(l.seqs)-k.at)
	if left := k.live[k.liveAt].Hi - first + 1; uint64(n) > left {
		n = int(left)
	}
	if l.seqs[k.at+n-1] != first+uint64(n-1) {
		n = 1
	}
	at = l.slots[k.at : k.at+n]
	k.at += n
	k.next += uint64(n)
	return at, first, true
}

// group compares the content of some of the lane's events, of which so many are left.
func (k *skimmer) group(l *lane, left *int) bool {
	head := k.c.uvarint()
	form, count := head&(1<<formBits-1), int(head>>formBits)
	payload, t := form&formFlag != 0, k.s.tree
	node := k.c.uvarint()
	if form&^formFlag == formRef {
		*left -= count
		for ; ; node = k.c.uvarint() {
			at, seq, ok := k.where(l, 1)
			if !ok || !k.same(at[0], seq, payload) || at[0] != noSlot && at[0] != k.nodes[node] {
				return false
			}
			if count--; count == 0 {
				return true
			}
		}
	}
	up, sh := k.nodes[node], k.c.shape()
	if form == formInner {
		for ; count > 0; count-- {
			key, at := k.key(), noSlot
			if up != noSlot {
				if c, ok := find(t, t.table.hashBytes(up, sh, key), up, sh, key); ok {
					at = c
				}
			}
			k.nodes = append(k.nodes, at)
		}
		return true
	}
	*left -= count
	for count > 0 {
		stretch, seq, ok := k.where(l, count)
		if !ok {
			return false
		}
		count -= len(stretch)
		k.nodes = append(k.nodes, stretch...)
		for len(stretch) > 0 {
			if stretch[0] == noSlot {
				k.key()
				k.same(noSlot, seq, payload)
				stretch, seq = stretch[1:], seq+1
				continue
			}
			row := t.row(stretch)
			if up == noSlot || !k.row(row, stretch, seq, up, sh, payload) {
				return false
			}
			stretch, seq = stretch[len(row):], seq+uint64(len(row))
		}
	}
	return true
}

// row compares the nodes where events live that stand side by side.
func (k *skimmer) row(row []node, slots []slot, seq uint64, up slot, sh shape, payload bool) bool {
	b, at := k.c.b, k.c.at
	for i := range row {
		size, from := int(b[at]), at+1
		if size >= 0x80 {
			k.c.at = at
			size, from = k.long()
		}
		at = from + size
		n := &row[i]
		if !equal([]byte(n.key), b[from:at]) || n.parent != up || n.shape != sh {
			return false
		}
		if n.alone && !payload {
			continue
		}
		k.c.at = at
		if !k.same(slots[i], seq+uint64(i), payload) {
			return false
		}
		at = k.c.at
	}
	k.c.at = at
	return true
}

// equal is bytes.Equal, of keys of common length without a call.
func equal(a, b []byte) bool {
	if n := len(a); n == len(b) && n >= 8 && n <= 16 {
		return binary.LittleEndian.Uint64(a) == binary.LittleEndian.Uint64(b) &&
			binary.LittleEndian.Uint64(a[n-8:]) == binary.LittleEndian.Uint64(b[n-8:])
	}
	return bytes.Equal(a, b)
}

func (k *skimmer) key() []byte {
	n, from := int(k.c.b[k.c.at]), k.c.at+1
	if n >= 0x80 {
		n, from = k.long()
	}
	k.c.at = from + n
	return k.c.b[from:k.c.at]
}

// long reads a length of several bytes, and returns what comes after it.
func (k *skimmer) long() (n, from int) {
	n = int(k.c.long())
	return n, k.c.at
}

// same reads an event's payload, if it has one, and reports whether the event is over here or brought
// the same.
func (k *skimmer) same(at slot, seq uint64, payload bool) bool {
	var told []byte
	if payload {
		told = k.key()
	}
	if at == noSlot {
		return true
	}
	have := ""
	if k.s.tree.at(at).leaf() != 0 {
		have = k.s.tree.dot(at, k.local, seq).payload
	}
	return have == string(told)
}
