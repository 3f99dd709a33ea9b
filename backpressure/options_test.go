package backpressure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is nil is a mistake in the program, and is told where it is made.
func TestNilIsToldWhereItIsGiven(t *testing.T) {
	require.PanicsWithValue(t, "backpressure: NewLimiter: nil option", func() { NewLimiter(nil) })
	require.PanicsWithValue(t, "backpressure: NewBreaker: nil option", func() { NewBreaker[string](nil) })
	require.PanicsWithValue(t, "backpressure: NewBreaker: BreakerFailed has no function", func() { NewBreaker[string](BreakerFailed(nil)) })
	require.PanicsWithValue(t, "backpressure: Handler: nil handler", func() { NewLimiter().Handler(nil) })
	require.PanicsWithValue(t, "backpressure: NewThrottle: nil option", func() { NewThrottle(nil) })
}
