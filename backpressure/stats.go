package backpressure

import (
	"fmt"
	"time"
)

// String tells it in a line.
func (s QueueStats) String() string {
	room := ""
	if s.Cost != int64(s.Len) {
		room = fmt.Sprintf(" that take %d", s.Cost)
	}
	return fmt.Sprintf("%d items%s of %d; %d put, %d got, %d rejected, %d dropped, %d shed, %d late",
		s.Len, room, s.Cap, s.Put, s.Got, s.Rejected, s.Dropped, s.Shed, s.Late)
}

// String tells it in a line.
func (s LimiterStats) String() string {
	short := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d of %d at work, %d waiting; %d admitted, %d rejected, %d shed, %d late; latency %v, baseline %v, wait %v",
		s.InFlight, s.Limit, s.Waiting, s.Admitted, s.Rejected, s.Shed, s.Late, short(s.RTT), short(s.Baseline), short(s.QueueDelay))
}

// String tells it in a line.
func (s BreakerStats) String() string {
	return fmt.Sprintf("%d keys known, %d open; %d calls done, %d failed, %d refused", s.Known, s.Open, s.Done, s.Failed, s.Refused)
}

// String tells it in a line.
func (s ThrottleStats) String() string {
	return fmt.Sprintf("%d calls done, %d refused by the server, %d throttled", s.Done, s.Refused, s.Throttled)
}

// String tells it in a line.
func (s BudgetStats) String() string {
	return fmt.Sprintf("%d attempts, %d retries, %d refused", s.Attempts, s.Retries, s.Refused)
}

// String tells it in a line.
func (s GateStats) String() string {
	return fmt.Sprintf("%.4g %% in; %d dark runs, %d skipped, %d panicked", 100*s.Share, s.Dark, s.Skipped, s.Panicked)
}
