package entity

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Stats is a snapshot of what [Entities] have done.
type Stats struct {
	Lanes   []LaneStats
	Errors  uint64 // turns that returned an error or panicked
	Panics  uint64
	Strays  uint64 // messages of turns and timers to slots not owned here
	Slowest []Slow // keys with the longest turns among those timed, one in 64, longest first
}

// String tells the sums over all lanes in a line.
func (s Stats) String() string {
	var all LaneStats
	for _, l := range s.Lanes {
		all.Depth += l.Depth
		all.Inner += l.Inner
		all.Keys += l.Keys
		all.Handled += l.Handled
	}
	return fmt.Sprintf("%d keys in %d lanes; %d messages waiting, %d handled, %d errors, %d panics, %d strays",
		all.Keys, len(s.Lanes), all.Depth+all.Inner, all.Handled, s.Errors, s.Panics, s.Strays)
}

// LaneStats is a snapshot of a lane.
type LaneStats struct {
	Depth   int // messages that wait in the mailbox
	Inner   int // messages of turns and timers that wait
	Keys    int
	Handled uint64
}

// Slow is a key and the longest of its turns that were timed.
type Slow struct {
	Key  string
	Took time.Duration
}

// Stats returns a snapshot. It is not one instant of all lanes.
func (e *Entities[S, M]) Stats() Stats {
	s := Stats{Errors: e.errs.Load(), Panics: e.panics.Load(), Strays: e.strays.Load()}
	for _, l := range e.lanes {
		l.mu.Lock()
		s.Lanes = append(s.Lanes, LaneStats{
			Inner: len(l.inner), Keys: int(l.keys.Load()), Handled: l.handled.Load(),
		})
		for _, box := range l.boxes {
			s.Lanes[len(s.Lanes)-1].Depth += box.Stats().Len
		}
		s.Slowest = append(s.Slowest, l.slow...)
		l.mu.Unlock()
	}
	slices.SortFunc(s.Slowest, slower)
	s.Slowest = s.Slowest[:min(len(s.Slowest), slowest)]
	return s
}

func slower(a, b Slow) int { return cmp.Or(cmp.Compare(b.Took, a.Took), cmp.Compare(a.Key, b.Key)) }
