package backpressure

import "time"

// codel says which of those that wait have waited too long: controlled delay (Nichols and
// Jacobson, "Controlling Queue Delay", ACM Queue 2012; RFC 8289), as folly's Codel changed
// it for requests. A queue that is merely a burst empties soon: the least delay of an
// interval is small. Where even the least is over the target the queue stands, and then
// everybody who has waited twice the target is shed. RFC 8289 drops one now and then, which
// makes a TCP sender slow down; clients that give up and come again do not.
//
// The zero value is ready to use. Each line of those that wait has its own.
type codel struct {
	until time.Duration // the end of this interval
	least time.Duration // the least delay in it
	over  bool          // the least delay of the one before was over the target
}

// step takes the delay of who has waited longest, at the time now, and says whether to shed
// it. The first delay of an interval is only looked at.
func (c *codel) step(target, interval, now, delay time.Duration) (shed bool) {
	if now >= c.until {
		c.over = c.least > target
		c.until, c.least = later(now, interval), delay
		return false
	}
	c.least = min(c.least, delay)
	return c.over && delay-target > target
}

// newestFirst is adaptive LIFO (Maurer, "Fail at Scale", ACM Queue 2015): a line that has not
// been empty for longer than after is not caught up with any more. Then its newest have the
// best chance to be in time, and its oldest none.
func newestFirst(after, now, busySince time.Duration) bool { return now-busySince > after }
