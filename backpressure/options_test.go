package backpressure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A nil option is a mistake in the program, and is told as one where it is made.
func TestNilOptionsPanic(t *testing.T) {
	require.PanicsWithValue(t, "backpressure: NewLimiter: nil option", func() { NewLimiter(nil) })
	require.PanicsWithValue(t, "backpressure: NewBreaker: nil option", func() { NewBreaker[string](nil) })
	require.PanicsWithValue(t, "backpressure: NewBreaker: BreakerFailed has no function", func() { NewBreaker[string](BreakerFailed(nil)) })
	require.PanicsWithValue(t, "backpressure: NewThrottle: nil option", func() { NewThrottle(nil) })
}
