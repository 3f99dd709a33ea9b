package backpressure

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"
)

// ErrWeight is returned when an item's weight is negative or more than the queue can ever
// hold, or a tenant's share is not positive. Waiting would not help, so no call waits.
var ErrWeight = errors.New("backpressure: bad weight")

// Option changes one thing about a [Queue]. Each may be given once.
type Option[T any] func(*config[T])

type config[T any] struct {
	given   []string // in the order given
	mistake error    // the first

	full     policy
	onDrop   func(T, Reason)
	rules    rules
	weigh    func(T) int64
	level    func(T) int
	tenant   func(T) (hash uint64, share int64)
	deadline func(T) time.Time
}

// policy is what happens when there is no room.
type policy uint8

const (
	block policy = iota
	reject
	dropOldest
	dropNewest
)

var errNilOption = errors.New("backpressure: NewQueue: nil option")

func (c *config[T]) wrong(format string, args ...any) {
	if c.mistake == nil {
		c.mistake = fmt.Errorf("backpressure: NewQueue: "+format, args...)
	}
}

// give notes that an option is given and reports the mistake in it, if any.
func (c *config[T]) give(name, mistake string) {
	switch {
	case mistake != "":
		c.wrong("%s: %s", name, mistake)
	case slices.Contains(c.given, name):
		c.wrong("%s is given twice", name)
	}
	c.given = append(c.given, name)
}

func (c *config[T]) policy(p policy, name string, onDrop func(T, Reason)) {
	c.give(name, "")
	if c.full != block {
		c.exclude(name, "RejectWhenFull", "DropOldest", "DropNewest")
	}
	c.full = p
	if onDrop != nil {
		if c.onDrop != nil {
			c.wrong("OnDrop and the function of %s exclude each other", name)
		}
		c.onDrop = onDrop
	}
}

// exclude reports the first given option that is among others.
func (c *config[T]) exclude(name string, others ...string) {
	for _, other := range c.given {
		if other != name && slices.Contains(others, other) {
			c.wrong("%s and %s exclude each other", other, name)
		}
	}
}

func (c *config[T]) check(capacity int) error {
	switch pushesOut := c.full == reject && (c.rules.fair || c.level != nil); {
	case capacity < 1:
		return fmt.Errorf("backpressure: NewQueue: capacity %d is not positive", capacity)
	case c.full == dropNewest && c.rules.lifo:
		c.wrong("AdaptiveLIFO and DropNewest exclude each other: one serves first what the other drops")
	case c.onDrop != nil && c.full <= reject && !pushesOut && c.rules.target == 0 && c.deadline == nil:
		c.wrong("OnDrop: with these options nothing is dropped")
	}
	return c.mistake
}

// scheduled says that the queue decides more than first come, first served.
func (c *config[T]) scheduled() bool {
	return c.full == dropOldest || c.rules != rules{} || c.weigh != nil || c.level != nil || c.deadline != nil
}

// RejectWhenFull makes Put answer an [*Overload] with reason [Full] at once instead of
// waiting. It allocates nothing.
func RejectWhenFull[T any]() Option[T] {
	return func(c *config[T]) { c.policy(reject, "RejectWhenFull", nil) }
}

// DropOldest makes a full queue drop its oldest item for each new one: a sliding window
// over what was put last. Put then never waits. onDrop, if not nil, is called with each
// dropped item and the reason, see [OnDrop].
//
// To drop and to put is one step under a lock, so a full queue stays exactly full. That
// engine, which serves all options but [RejectWhenFull] and [DropNewest], is slower than the
// other: two to five times the price of a channel.
func DropOldest[T any](onDrop func(v T, r Reason)) Option[T] {
	return func(c *config[T]) { c.policy(dropOldest, "DropOldest", onDrop) }
}

// DropNewest makes a full queue drop what is put into it. Put then never waits and reports
// no error. onDrop, if not nil, is called with each dropped item and the reason, see
// [OnDrop].
func DropNewest[T any](onDrop func(v T, r Reason)) Option[T] {
	return func(c *config[T]) { c.policy(dropNewest, "DropNewest", onDrop) }
}

// OnDrop names the function that is told of each item the queue drops, and why: so that
// whoever waits for an answer gets one. The reason is [Full] if there was no room, [Shed] if
// [CoDel] gave up on the item or one worth more needed its room, [Late] if its [Deadline]
// was over. The function is called by the Put or Get that found it, before that returns and
// outside the queue's lock; it may use the queue. [DropOldest] and [DropNewest] take the same
// function.
func OnDrop[T any](f func(v T, r Reason)) Option[T] {
	return func(c *config[T]) {
		c.give("OnDrop", missing(f == nil))
		if c.onDrop != nil {
			c.wrong("OnDrop and the function of %s exclude each other", c.given[0])
		}
		c.onDrop = f
	}
}

// Weigh makes the capacity count weight, such as bytes, instead of items. An item that weighs
// 0 counts as 1. Put refuses one of negative weight, or of more than the whole capacity, with
// an error that matches [ErrWeight]; it never waits for what cannot be. A heavy item that
// waits for its room is not overtaken by lighter ones, so TryPut may find no room, too, while
// one waits. weight is called once for each Put of an item, by the caller.
func Weigh[T any](weight func(v T) int64) Option[T] {
	return func(c *config[T]) {
		c.give("Weigh", missing(weight == nil))
		c.weigh = weight
	}
}

// Deadline keeps items from being handed out when it is too late for them: what has its
// deadline behind it is dropped with reason [Late] when its turn comes, or to make room. Put
// refuses such an item with an [*Overload] of that reason; a queue that drops drops it. A zero
// time stands for no deadline.
func Deadline[T any](of func(v T) time.Time) Option[T] {
	return func(c *config[T]) {
		c.give("Deadline", missing(of == nil))
		c.deadline = of
	}
}

// CoDel keeps the delay in the queue short (controlled delay, as folly adapted RFC 8289 for
// requests). Once the least delay within interval was over target, the queue is no burst but
// stands, and Get drops, with reason [Shed], whatever has waited for more than twice target;
// until the least delay of an interval is back under target. 5 ms and 100 ms are good values
// for requests that take milliseconds. With [Fair] each tenant's delay is its own, so only
// tenants that bring too much lose anything.
func CoDel[T any](target, interval time.Duration) Option[T] {
	return func(c *config[T]) {
		mistake := ""
		if target <= 0 || interval < target {
			mistake = fmt.Sprintf("target %v must be positive and interval %v no shorter", target, interval)
		}
		c.give("CoDel", mistake)
		c.rules.target, c.rules.interval = target, interval
	}
}

// AdaptiveLIFO serves the newest first while the queue has not been empty for longer than
// after: then it does not catch up, its oldest items are probably late, and only the newest
// can be in time (Maurer, "Fail at Scale", ACM Queue 2015). The rest of the time it is first
// in, first out. After 0 it is always newest first. Add [Deadline], [CoDel] or [DropOldest] to
// be rid of the old. Puts that wait for room are let in in the same way. With [Fair] this goes
// for each tenant's line by itself.
func AdaptiveLIFO[T any](after time.Duration) Option[T] {
	return func(c *config[T]) {
		mistake := ""
		if after < 0 {
			mistake = fmt.Sprintf("%v is negative", after)
		}
		c.give("AdaptiveLIFO", mistake)
		c.rules.lifo, c.rules.after = true, after
	}
}

// Priority serves items of a higher level before any of a lower; within a level as without
// it. Levels may be any numbers; a handful is plenty. Puts that wait for room are let in in
// the same order. A full queue that does not wait pushes out, with reason [Shed], items of
// the lowest level for one of a higher, before it refuses or drops that: of a level goes
// what would be served last, or, with [DropOldest], the oldest. There is no aging: a low
// level gets what the others leave.
func Priority[T any](of func(v T) int) Option[T] {
	return func(c *config[T]) {
		c.give("Priority", missing(of == nil))
		c.level = of
	}
}

// Fair shares the queue among tenants, named by key: each has a line to itself, and the lines
// are served in proportion to their weights, or equally if weight is nil (start-time fair
// queueing, Goyal, Vin and Cheng, SIGCOMM 1996). What one tenant brings delays the others by
// one item at most. Puts that wait for room are let in fairly, too. A full queue that does not
// wait pushes out, with reason [Shed], what others have waiting beyond their share of the
// capacity for a tenant within its own. With [Weigh], shares are of weight.
//
// Up to 256 tenants that have something waiting get a line each. Those beyond share 64 more,
// the shortest of four that their key deals them (shuffle sharding), so that a flood of names
// costs neither memory nor the other tenants' service. Order holds within a line.
//
// A weight below 1 is refused by Put with an error that matches [ErrWeight].
func Fair[T any, K comparable](key func(v T) K, weight func(k K) int) Option[T] {
	return func(c *config[T]) {
		c.give("Fair", missing(key == nil))
		c.rules.fair = true
		seed := maphash.MakeSeed()
		c.tenant = func(v T) (hash uint64, share int64) {
			k := key(v)
			share = 1
			if weight != nil {
				share = int64(weight(k))
			}
			return maphash.Comparable(seed, k), share
		}
	}
}

func missing(function bool) string {
	if function {
		return "nil function"
	}
	return ""
}
