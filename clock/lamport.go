package clock

import "sync/atomic"

// Lamport is a logical clock: a counter that grows with each event and past each counter
// it is shown. It orders events as a [Clock] does, without saying when they were.
//
// The zero value is at 0, ready to use; it must not be copied after first use. All methods
// may be called concurrently, take no lock and do not allocate.
//
// Source: Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System"
// (1978).
type Lamport struct{ n atomic.Uint64 }

// Tick counts a local event, or a message to be sent, and returns its number.
func (l *Lamport) Tick() uint64 { return l.n.Add(1) }

// Witness makes all numbers from now on greater than n, which came with a message, and
// reports whether they were not so already. Whoever takes an n from outside that is near 2⁶⁴
// lets the counter run over: there is no physical time to judge n by, as there is in a
// [Clock].
func (l *Lamport) Witness(n uint64) bool {
	for cur := l.n.Load(); cur < n; cur = l.n.Load() {
		if l.n.CompareAndSwap(cur, n) {
			return true
		}
	}
	return false
}

// Observe counts the receipt of a message that came with n and returns its number, which
// is greater than n.
func (l *Lamport) Observe(n uint64) uint64 {
	l.Witness(n)
	return l.Tick()
}

// Last returns the greatest number counted or witnessed.
func (l *Lamport) Last() uint64 { return l.n.Load() }
