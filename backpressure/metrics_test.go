package backpressure

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Every number there is, each different, as the whole page.
func TestWriteMetrics(t *testing.T) {
	var b strings.Builder
	require.NoError(t, WriteMetrics(&b,
		Metric{"jobs", QueueStats{Len: 1, Cap: 2, Cost: 3, Put: 4, Got: 5, Rejected: 6, Dropped: 7, Shed: 8, Late: 9}},
		Metric{"db", LimiterStats{
			Limit: 1, InFlight: 2, Waiting: 3, Admitted: 4, Rejected: 5, Shed: 6, Late: 7,
			RTT: 1500 * time.Millisecond, Baseline: 8 * time.Millisecond, QueueDelay: 9 * time.Second,
		}},
		Metric{"a \"quoted\\\nname\xff", LimiterStats{Limit: 10, Admitted: 1 << 40}},
		Metric{"client", ThrottleStats{Done: 1, Refused: 2, Throttled: 3}},
		Metric{"retries", BudgetStats{Attempts: 1, Retries: 2, Refused: 3}},
		Metric{"shards", BreakerStats{Known: 1, Open: 2, Done: 3, Failed: 4, Refused: 5}},
		Metric{"new", GateStats{Share: 0.25, Dark: 1, Skipped: 2, Panicked: 3}}))
	page, err := os.ReadFile("testdata/metrics.txt")
	require.NoError(t, err)
	require.Equal(t, string(page), b.String())

	b.Reset()
	require.ErrorContains(t, WriteMetrics(&b, Metric{"jobs", QueueStats{}}, Metric{"x", 7}), "int")
	require.Empty(t, b.String())
	require.NoError(t, WriteMetrics(&b))
	require.Empty(t, b.String())
	require.ErrorIs(t, WriteMetrics(full{}, Metric{"jobs", QueueStats{}}), errDisk)
}

var errDisk = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errDisk }
