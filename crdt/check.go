package crdt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/internal/interval"
	"github.com/go-calm/calm/internal/wire"
)

// checker reads a delta that came from outside and refuses what is not of the form. Of the events and
// nodes it keeps nothing, but for what later bytes may refer to.
type checker struct {
	r       wire.Reader
	classes []class // the nodes named so far, the root first
	named   uint64  // how many they are

	// Of the lane that is being read: what is told, what of it lives, and the run of the event that was
	// looked at last, which so many are before.
	told, live  []interval.Range
	run, before int

	few struct { // of the above, as many as most deltas need
		classes [4]class
		runs    [2]interval.Range
	}

	replicas, events int
	latest           clock.Timestamp // the greatest stamp of a write
}

// class is nodes that were named one after the other: from the first one on they have this shape and
// depth.
type class struct {
	first uint32
	shape shape
	depth uint8
}

// check reads the whole delta. Errors match [ErrCorrupt], [ErrVersion] or [ErrLimit].
func (c *checker) check(b []byte) error {
	if uint64(len(b)) > math.MaxUint32 {
		return fmt.Errorf("%w: a delta of %d bytes, at most 4 GiB can be read", ErrLimit, len(b))
	}
	if len(b) < headerLen+checksumLen || b[0] != magic0 || b[1] != magic1 {
		return fmt.Errorf("%w: not a delta (%d bytes)", ErrCorrupt, len(b))
	}
	if b[2] != version {
		return fmt.Errorf("%w: %d, this package reads %d", ErrVersion, b[2], version)
	}
	body, sum := b[:len(b)-checksumLen], binary.BigEndian.Uint32(b[len(b)-checksumLen:])
	if crc32.Checksum(body, castagnoli) != sum {
		return fmt.Errorf("%w: the checksum does not match", ErrCorrupt)
	}
	c.r = wire.NewReader(body[headerLen:])
	c.latest = math.MinInt64
	c.classes, c.told, c.live = c.few.classes[:0], c.few.runs[:0:1], c.few.runs[1:1]
	c.name(1, shape{kind(b[3]), b[4]}, 0)
	c.replicas = c.r.Count(8)
	ids := c.r.Take(8 * c.replicas)
	last := ReplicaID(0)
	for i := 0; i < c.replicas && c.r.Err() == nil; i++ {
		id := ReplicaID(binary.BigEndian.Uint64(ids[8*i:]))
		if id <= last {
			c.r.Fail("replicas are not ascending")
		}
		last = id
		c.lane()
	}
	if c.replicas == 0 {
		c.r.Fail("no replicas")
	}
	if err := c.r.Done(); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

func (c *checker) lane() {
	if c.told = readRuns(&c.r, c.told[:0]); len(c.told) == 0 {
		c.r.Fail("a replica of which nothing is told")
	}
	c.live = readRuns(&c.r, c.live[:0])
	c.run, c.before = 0, 0
	at, n := 0, 0
	for _, run := range c.live {
		for at < len(c.told) && c.told[at].Hi < run.Lo {
			at++
		}
		if at == len(c.told) || run.Lo < c.told[at].Lo || run.Hi > c.told[at].Hi {
			c.r.Fail("an event lives that is not told")
			return
		}
		// Each live event has at least one byte of content.
		left := c.r.Len()
		if run.Hi-run.Lo >= uint64(left) {
			c.r.Fail("more live events than bytes")
			return
		}
		if n += int(run.Hi - run.Lo + 1); n > left {
			c.r.Fail("more live events than bytes")
			return
		}
	}
	c.events += n
	for i := 0; i < n && c.r.Err() == nil; {
		i = c.group(i, n)
	}
}

// group reads the content of a lane's events from the i-th of n on and returns which is next.
func (c *checker) group(i, n int) int {
	r := &c.r
	head := r.Uvarint()
	form, count := head&(1<<formBits-1), head>>formBits
	if count == 0 || count > uint64(r.Len()) || (form&^formFlag != formInner && count > uint64(n-i)) {
		r.Fail("a group of %d", count)
		return n
	}
	payload := form&formFlag != 0
	switch form &^ formFlag {
	case formRef:
		for ; count > 0 && r.Err() == nil; count-- {
			at, ok := c.node(r.Uvarint())
			if !ok {
				r.Fail("a node not named before")
				return n
			}
			c.content(i, at.shape, payload)
			i++
		}
	case formNew, formInner:
		parent, ok := c.node(r.Uvarint())
		sh := shape{kind(r.Byte()), r.Byte()}
		if !ok || parent.depth >= maxDepth {
			r.Fail("a parent not named before, or too deep")
			return n
		}
		inner := form == formInner
		if form == formInner|formFlag || inner && sh.kind.isLeaf() || parent.shape.kind.isLeaf() {
			r.Fail("a %v below a %v", sh.kind, parent.shape.kind)
			return n
		}
		if parent.shape.kind != kindStruct && !payload { // all keys are alike
			c.child(parent.shape, sh, nil)
			if !inner {
				c.content(i, sh, false)
				i += int(count)
			}
			r.SkipBytes(count)
			c.name(count, sh, parent.depth+1)
			return i
		}
		for ; count > 0 && r.Err() == nil; count-- {
			c.child(parent.shape, sh, r.Bytes())
			c.name(1, sh, parent.depth+1)
			if !inner {
				c.content(i, sh, payload)
				i++
			}
		}
	default:
		r.Fail("an unknown form of group")
	}
	return i
}

// name counts nodes as named.
func (c *checker) name(n uint64, sh shape, depth uint8) {
	if k := len(c.classes); k == 0 || c.classes[k-1].shape != sh || c.classes[k-1].depth != depth {
		c.classes = append(c.classes, class{uint32(c.named), sh, depth})
	}
	c.named += n
}

// node returns what is known of a node that was named before.
func (c *checker) node(number uint64) (class, bool) {
	if number >= c.named {
		return class{}, false
	}
	lo, hi := 0, len(c.classes) // the last one that starts at the number or before
	for hi-lo > 1 {
		if mid := int(uint(lo+hi) / 2); uint64(c.classes[mid].first) <= number {
			lo = mid
		} else {
			hi = mid
		}
	}
	return c.classes[lo], true
}

func (c *checker) child(parent, sh shape, key []byte) {
	if c.r.Err() == nil {
		if err := checkChild(parent, sh, key); err != nil {
			c.r.Fail("%v", err)
		}
	}
}

// content reads what an event brought.
func (c *checker) content(i int, sh shape, payload bool) {
	var p []byte
	if payload {
		if p = c.r.Bytes(); len(p) == 0 {
			c.r.Fail("an empty payload")
		}
	}
	if c.r.Err() != nil {
		return
	}
	if err := checkPayload(sh, p); err != nil {
		c.r.Fail("%v", err)
		return
	}
	if sh.kind == kindLWW || sh.kind == kindLWWElem {
		c.latest = max(c.latest, timeOf(string(p[:stampLen])))
	}
	if len(p) == 0 {
		return
	}
	if took := absorbed(sh.kind, p); took.Hi > 0 && (took.Hi >= c.seq(i) || !within(c.told, took.Hi) || within(c.live, took.Hi)) {
		c.r.Fail("an event that absorbed one that is not over")
	}
}

// seq returns the number of the lane's i-th live event; i never goes back.
func (c *checker) seq(i int) uint64 {
	for {
		run := c.live[c.run]
		if n := int(run.Hi - run.Lo + 1); i >= c.before+n {
			c.before += n
			c.run++
			continue
		}
		return run.Lo + uint64(i-c.before)
	}
}
