package clock

import (
	"fmt"
	"time"
)

// Stats is what a clock has to tell to those who watch it. The counters are since it was
// created.
type Stats struct {
	Last     Timestamp     // the greatest timestamp issued or witnessed, covered by the store or not
	Physical Timestamp     // the physical clock
	Ahead    time.Duration // how far Last is ahead of Physical; 0 if it is not

	Refused  uint64        // remote timestamps refused as too far ahead
	Steps    uint64        // steps of the wall clock noticed
	LastStep time.Duration // by how much the last one went
	Resets   uint64        // successful calls of Reset

	Bound     Timestamp // what the store covers: MinTimestamp while it is being set back, MaxTimestamp without a store
	Saves     uint64    // successful saves
	SaveError error     // why the last save failed; nil if it did not
	Waits     uint64    // calls that had to wait for the store
}

// String tells it in a line, and what the store does only if there is one.
func (s Stats) String() string {
	text := fmt.Sprintf("at %v, %v ahead; %d refused, %d steps, %d resets", s.Last, s.Ahead, s.Refused, s.Steps, s.Resets)
	if s.Bound != MaxTimestamp {
		text += fmt.Sprintf("; stored up to %v, %d saves, %d waits", s.Bound, s.Saves, s.Waits)
	}
	if s.SaveError != nil {
		text += fmt.Sprintf("; the last save failed: %v", s.SaveError)
	}
	return text
}

// Stats returns a snapshot. Its parts are read one after the other.
func (c *Clock) Stats() Stats {
	st := Stats{
		Last:     Timestamp(c.state.Load()),
		Physical: Timestamp(c.physical()),
		Refused:  c.refused.Load(),
		Steps:    c.steps.Load(),
		LastStep: time.Duration(c.stepped.Load()),
		Resets:   c.resets.Load(),
		Bound:    MaxTimestamp,
	}
	st.Ahead = max(0, st.Last.Sub(st.Physical))
	if s := c.saver; s != nil {
		s.mu.Lock()
		st.Bound, st.Saves, st.SaveError, st.Waits = Timestamp(s.bound), s.saves, s.err, s.waits
		s.mu.Unlock()
	}
	return st
}
