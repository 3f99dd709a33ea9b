package main

import (
	"time"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

// limit admits calls, in windows of a hybrid logical clock. In each window a node mints its share of
// permits; what it does not need it may lend. A permit is good in its own window only, so no window
// admits more than all shares together, whoever is cut off from whom.
//
// A node that starts does not know what it minted, borrowed and used before, in the window that it
// starts in; so it admits nothing until the next one.
//
// It is not safe for concurrent use.
type limit struct {
	id      crdt.ReplicaID
	share   uint64
	length  time.Duration
	first   int64                // the number of the window that it started in
	window  int64                // of the one that permits is of
	permits *crdt.BoundedCounter // of that window
}

func newLimit(id crdt.ReplicaID, share uint64, length time.Duration, now clock.Timestamp) *limit {
	l := &limit{id: id, share: share, length: length, permits: crdt.NewBoundedCounter(id)}
	l.window = l.windowOf(now)
	l.first = l.window
	return l
}

func (l *limit) windowOf(t clock.Timestamp) int64 { return int64(t) / int64(l.length) }

// enter begins a new window if it is time.
func (l *limit) enter(now clock.Timestamp) {
	if w := l.windowOf(now); w > l.window {
		l.window, l.permits = w, crdt.NewBoundedCounter(l.id)
		l.permits.Add(l.share)
	}
}

// admit admits a call, or does not, in the window that it returns.
func (l *limit) admit(now clock.Timestamp) (window int64, ok bool) {
	l.enter(now)
	_, err := l.permits.Sub(1)
	return l.window, err == nil
}

// short reports whether it is time to ask others.
func (l *limit) short() bool { return l.permits.Rights() <= l.share/4 }

// lend gives half of the permits of a window to another node.
func (l *limit) lend(now clock.Timestamp, window int64, to crdt.ReplicaID) (crdt.Delta, bool) {
	l.enter(now)
	if window != l.window || l.permits.Rights() < 2 {
		return crdt.Delta{}, false
	}
	d, err := l.permits.Transfer(to, l.permits.Rights()/2)
	return d, err == nil
}

// take takes what was lent, if it is of this window.
func (l *limit) take(now clock.Timestamp, window int64, d crdt.Delta) {
	l.enter(now)
	if window == l.window && window != l.first {
		_, _ = l.permits.Merge(d) // what is refused counts as lost
	}
}
