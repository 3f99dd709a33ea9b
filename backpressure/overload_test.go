package backpressure

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOverloadMatches(t *testing.T) {
	o := &Overload{Reason: Late}
	wrapped := fmt.Errorf("call: %w", o)
	require.ErrorIs(t, wrapped, ErrOverload)
	require.NotErrorIs(t, wrapped, ErrClosed)
	require.ErrorIs(t, &Overload{Reason: Closed}, ErrClosed)
	require.ErrorIs(t, &Overload{Reason: Closed}, ErrOverload)
	require.NotErrorIs(t, &Overload{Reason: Closed}, io.EOF)
	require.False(t, errors.Is(ErrClosed, ErrOverload))
}

func TestOverloadSaysWhy(t *testing.T) {
	require.Equal(t, "backpressure: full at orders (7 of 8), retry after 1s",
		(&Overload{Reason: Full, Scope: "orders", Queued: 7, Limit: 8, RetryAfter: time.Second}).Error())
	require.Equal(t, "backpressure: full (1 of 1), retry after 1ns", (&Overload{Reason: Full, Queued: 1, Limit: 1, RetryAfter: 1}).Error())
	require.Equal(t, "backpressure: open", (&Overload{Reason: Open}).Error())
	require.Equal(t, "closed", Closed.String())
	require.Equal(t, "unknown", Reason(0).String())
	require.Equal(t, "reason(8)", (Closed + 1).String())
	require.Equal(t, "done ignored dropped outcome(3)", fmt.Sprint(Done, Ignored, Dropped, Outcome(3)))
}
