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
