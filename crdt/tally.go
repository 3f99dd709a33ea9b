package crdt

// Tally collects additions to a [Counter] and makes them one event when it is flushed: adding is a
// plain addition, some hundred times as fast as [Counter.Add], and others learn of the sum at once.
// Use it where there are many more additions than messages. [Counter.Tally] makes one; the zero value
// belongs to no counter and is not usable.
//
// What was not flushed is lost in a crash and unknown to all but this Tally. Like the counter, it is
// not safe for concurrent use.
type Tally struct {
	counter *Counter
	n       int64
}

// Tally returns a tally of the counter with nothing in it. There may be several.
func (c *Counter) Tally() *Tally { return &Tally{counter: c} }

// Add adds n, which may be negative. O(1), without a look at the store.
func (t *Tally) Add(n int64) { t.n += n }

// Pending returns what was added since the last flush.
func (t *Tally) Pending() int64 { return t.n }

// Value returns the counter's value with what is pending (a snapshot read).
func (t *Tally) Value() int64 { return t.counter.Value() + t.n }

// Flush adds what is pending to the counter and returns the delta, which is zero if it comes to
// nothing. If the store's [Log] refuses it (see [Store.Err]), it stays pending; but inside an Update
// that is refused later it does not.
func (t *Tally) Flush() Delta {
	d := t.counter.Add(t.n)
	if t.counter.store.refused == nil {
		t.n = 0
	}
	return d
}

// GTally collects additions to a [GCounter] as [Tally] does to a [Counter]. [GCounter.Tally] makes one;
// the zero value belongs to no counter and is not usable.
//
// What was not flushed is lost in a crash and unknown to all but this GTally. Like the counter, it is
// not safe for concurrent use.
type GTally struct {
	counter *GCounter
	n       uint64
}

// Tally returns a tally of the counter with nothing in it. There may be several.
func (c *GCounter) Tally() *GTally { return &GTally{counter: c} }

// Add adds n; the sum stops at the greatest uint64. O(1), without a look at the store.
func (t *GTally) Add(n uint64) { t.n = saturate(t.n, n) }

// Pending returns what was added since the last flush.
func (t *GTally) Pending() uint64 { return t.n }

// Value returns the counter's value with what is pending (a snapshot read).
func (t *GTally) Value() uint64 { return saturate(t.counter.Value(), t.n) }

// Flush adds what is pending to the counter and returns the delta, which is zero if there is nothing.
// If the store's [Log] refuses it (see [Store.Err]), it stays pending; but inside an Update that is
// refused later it does not.
func (t *GTally) Flush() Delta {
	d := t.counter.Add(t.n)
	if t.counter.store.refused == nil {
		t.n = 0
	}
	return d
}
