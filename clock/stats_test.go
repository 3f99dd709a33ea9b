package clock

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStatsInALine(t *testing.T) {
	at := At(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	s := Stats{Last: at, Ahead: 3 * time.Millisecond, Refused: 1, Steps: 2, Resets: 3, Bound: MaxTimestamp}
	require.Equal(t, "at 2026-11-21T12:00:00.000000000Z, 3ms ahead; 1 refused, 2 steps, 3 resets", fmt.Sprint(s))
	s.Bound, s.Saves, s.Waits, s.SaveError = at.Add(time.Second), 4, 5, errors.New("disk full")
	require.Equal(t, "at 2026-11-21T12:00:00.000000000Z, 3ms ahead; 1 refused, 2 steps, 3 resets"+
		"; stored up to 2026-11-21T12:00:01.000000000Z, 4 saves, 5 waits; the last save failed: disk full", s.String())
}
