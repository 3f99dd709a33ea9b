package backpressure

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStatsInALine(t *testing.T) {
	for want, s := range map[string]any{
		"2 items of 3; 9 put, 1 got, 4 rejected, 5 dropped, 6 shed, 7 late":              QueueStats{Len: 2, Cap: 3, Cost: 2, Put: 9, Got: 1, Rejected: 4, Dropped: 5, Shed: 6, Late: 7},
		"2 items that take 8 of 10; 9 put, 1 got, 4 rejected, 5 dropped, 6 shed, 7 late": QueueStats{Len: 2, Cap: 10, Cost: 8, Put: 9, Got: 1, Rejected: 4, Dropped: 5, Shed: 6, Late: 7},
		"2 of 4 at work, 3 waiting; 5 admitted, 6 rejected, 7 shed, 8 late; latency 9ms, baseline 1.23ms, wait 2s": LimiterStats{
			Limit: 4, InFlight: 2, Waiting: 3, Admitted: 5, Rejected: 6, Shed: 7, Late: 8, RTT: 9 * time.Millisecond, Baseline: 1234 * time.Microsecond, QueueDelay: 2 * time.Second,
		},
		"7 calls done, 2 refused by the server, 3 throttled":      ThrottleStats{Done: 7, Refused: 2, Throttled: 3},
		"7 attempts, 2 retries, 3 refused":                        BudgetStats{Attempts: 7, Retries: 2, Refused: 3},
		"4 keys known, 1 open; 7 calls done, 2 failed, 3 refused": BreakerStats{Known: 4, Open: 1, Done: 7, Failed: 2, Refused: 3},
		"12.5 % in; 3 dark runs, 2 skipped, 1 panicked":           GateStats{Share: 0.125, Dark: 3, Skipped: 2, Panicked: 1},
	} {
		require.Equal(t, want, fmt.Sprint(s))
	}
}
