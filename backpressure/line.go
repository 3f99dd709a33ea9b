package backpressure

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// never is a deadline that does not come.
const never = time.Duration(math.MaxInt64)

// rules say in which order those that wait are served, and who is not served at all. The
// zero value is first come, first served.
type rules struct {
	fair     bool          // by tenant, in proportion to their shares
	lifo     bool          // newest first, once a line has not been empty for longer than after
	after    time.Duration //
	target   time.Duration // of the delay, if positive: CoDel
	interval time.Duration
}

// line is the core of everything that waits in this package: entries, ordered by level,
// within a level by tenant, within a tenant by age. It reads no clock, takes no lock, and
// knows nothing of what waits.
//
// A caller sets rules and drop, and then adds entries, takes the next, and removes whom it
// likes. The entries that the rules refuse are given to drop, when they are found; drop must
// not use the line.
type line[T any] struct {
	rules
	drop  func(e *entry[T], why Reason)
	size  int
	cost  int64
	tiers []*tier[T] // highest level first; some may be empty
}

// spareTiers is how many empty levels may be kept.
const spareTiers = 16

// add puts e into the line, behind all that came before. e.at must not be before the time of
// an earlier call.
func (l *line[T]) add(e *entry[T]) {
	t := l.tierFor(e.level)
	t.add(t.flowFor(e.tenant), e)
	l.size++
	l.cost += e.cost
}

func (l *line[T]) tierFor(level int) *tier[T] {
	if len(l.tiers) > 0 && l.tiers[0].level == level {
		return l.tiers[0]
	}
	i, ok := l.search(level)
	if ok {
		return l.tiers[i]
	}
	if len(l.tiers) > spareTiers {
		l.tiers = slices.DeleteFunc(l.tiers, func(t *tier[T]) bool { return t.size == 0 })
		i, _ = l.search(level)
	}
	t := &tier[T]{level: level, fair: l.fair}
	if l.fair {
		t.flows = map[uint64]*flow[T]{}
	}
	l.tiers = slices.Insert(l.tiers, i, t)
	return t
}

func (l *line[T]) search(level int) (int, bool) {
	return slices.BinarySearchFunc(l.tiers, level, func(t *tier[T], level int) int {
		return cmp.Compare(level, t.level)
	})
}

// remove takes e out, whose turn has not come. It does nothing if e is in no line.
func (l *line[T]) remove(e *entry[T]) {
	if e.flow == nil {
		return
	}
	l.size--
	l.cost -= e.cost
	e.flow.tier.remove(e)
}

// take removes and returns who is next at the time now, or nil if nobody is left. On its way
// it drops who is late and who has waited too long.
func (l *line[T]) take(now time.Duration) *entry[T] {
	for _, t := range l.tiers {
		for t.size > 0 {
			f := t.head()
			if e := l.choose(f, now); e != nil {
				l.remove(e)
				t.charge(f, e)
				return e
			}
		}
	}
	return nil
}

// choose returns whose turn it is in f, or nil if f ran empty.
func (l *line[T]) choose(f *flow[T], now time.Duration) *entry[T] {
	for f.size > 0 {
		if l.expire(f, now); f.size == 0 {
			break
		}
		// Whoever is served, the age of the oldest says how long this line is.
		if l.target > 0 && f.codel.step(l.target, l.interval, now, now-f.first.at) {
			l.discard(f.first, Shed)
			continue
		}
		if !l.newestFirst(f, now) {
			return f.first
		}
		if e := f.last; e.deadline > now {
			return e
		}
		l.discard(f.last, Late)
	}
	return nil
}

func (l *line[T]) newestFirst(f *flow[T], now time.Duration) bool {
	return l.lifo && newestFirst(l.after, now, f.since)
}

// expire drops the oldest of f as long as they are late.
func (l *line[T]) expire(f *flow[T], now time.Duration) {
	for f.size > 0 && f.first.deadline <= now {
		l.discard(f.first, Late)
	}
}

func (l *line[T]) discard(e *entry[T], why Reason) {
	l.remove(e)
	l.drop(e, why)
}

// expireAll drops, of each tenant, the oldest as long as they are late.
func (l *line[T]) expireAll(now time.Duration) {
	for _, t := range l.tiers {
		for i := 0; i < len(t.heap); i++ {
			l.expire(t.heap[i], now)
		}
	}
}

// peek returns who is next at the time now and leaves it there. It drops as take does; at the
// same time take would return the same. It is for lines without CoDel, which counts looks.
func (l *line[T]) peek(now time.Duration) *entry[T] {
	for _, t := range l.tiers {
		for t.size > 0 {
			if e := l.choose(t.head(), now); e != nil {
				return e
			}
		}
	}
	return nil
}

// makeRoom drops those that are worth less than e until e fits into capacity beside the
// rest, or, if that cannot be, nobody but the late, and reports which. e is not in the line.
//
// Lower levels are worth less. So is, on e's own level, what a tenant has waiting beyond its
// share of the capacity, if e's tenant stays within its own: the heaviest goes first. Of one
// tenant goes who would be served last, or who is oldest if so wanted.
//
// With own the oldest of e's own tenant go, too, if need be.
func (l *line[T]) makeRoom(e *entry[T], capacity int64, now time.Duration, oldest, own bool) bool {
	l.expireAll(now)
	above, below, mine := int64(0), int64(0), (*tier[T])(nil)
	for _, t := range l.tiers {
		switch {
		case t.level > e.level:
			above += t.cost
		case t.level < e.level:
			below += t.cost
		default:
			mine = t
		}
	}
	need := l.cost + e.cost - capacity
	if need > below {
		// The room of this level, were all below it gone, and who has how much of it.
		var f *flow[T]
		held, shares := int64(0), e.share
		if mine != nil && mine.size > 0 {
			if f = mine.flowFor(e.tenant); f.size > 0 {
				held, shares = f.cost, 0
			}
			shares += mine.shares
		}
		within := float64(held+e.cost)*float64(shares) <= float64(capacity-above)*float64(e.share)
		switch {
		case within:
		case own && held >= need-below:
			for need = l.cost + e.cost - capacity; need > below && f.size > 0; need = l.cost + e.cost - capacity {
				l.discard(f.first, Full)
			}
		default:
			return false
		}
	}
	for i := len(l.tiers) - 1; i >= 0 && l.cost+e.cost > capacity; i-- {
		t := l.tiers[i]
		for t.size > 0 && l.cost+e.cost > capacity {
			f := t.heaviest()
			if oldest || l.newestFirst(f, now) {
				l.discard(f.first, Shed)
			} else {
				l.discard(f.last, Shed)
			}
		}
	}
	return true
}
