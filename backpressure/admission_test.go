package backpressure

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An Admission goes by the caller's clock and draws from its seed alone.
func TestAdmissionGoesByItsCaller(t *testing.T) {
	a := NewAdmission(1, Fixed(2), Waiting(2))
	var answers []string
	ask := func(now time.Duration, r Request) (p *Permit, giveUp func(time.Duration)) {
		p = new(Permit)
		giveUp = a.Ask(now, r, func(q Permit, err error) {
			*p = q
			answers = append(answers, map[bool]string{true: "ok"}[err == nil])
			if err != nil {
				answers[len(answers)-1] = err.Error()
			}
		})
		return p, giveUp
	}
	answered := func(want ...string) {
		t.Helper()
		require.Equal(t, want, answers)
		answers = nil
	}
	first, done := ask(0, Request{})
	answered("ok")
	done(0) // without effect
	_, done = ask(0, Request{Cost: -1})
	answered("backpressure: bad cost: -1")
	done(0)
	second, _ := ask(time.Millisecond, Request{})
	answered("ok")

	// Of two that wait one has a deadline, and one gives up.
	ask(2*time.Millisecond, Request{Tenant: "a", Deadline: 20 * time.Millisecond})
	_, giveUp := ask(3*time.Millisecond, Request{Tenant: "b", Cost: 2})
	require.Empty(t, answers)
	require.Equal(t, 2, a.Stats().Waiting)
	giveUp(4 * time.Millisecond)
	giveUp(4 * time.Millisecond)
	require.Equal(t, 1, a.Stats().Waiting)
	require.EqualValues(t, 1, a.Stats().Late)
	a.Release(21*time.Millisecond, *first, Done)
	require.Len(t, answers, 1)
	require.Contains(t, answers[0], "late")
	answers = nil
	require.Equal(t, 1, a.Stats().InFlight)
	a.Release(22*time.Millisecond, *second, Done)
	a.Release(22*time.Millisecond, *second, Done)
	require.Zero(t, a.Stats().InFlight)

	// Who waited seven milliseconds counts for a sixteenth of the delay.
	whole, _ := ask(30*time.Millisecond, Request{Cost: 2})
	ask(31*time.Millisecond, Request{})
	a.Release(38*time.Millisecond, *whole, Done)
	answered("ok", "ok")
	require.Equal(t, 7*time.Millisecond/16, a.Stats().QueueDelay)
}

func TestAdmissionDrawsFromItsSeed(t *testing.T) {
	refusals := func(seed uint64) (after []time.Duration) {
		a := NewAdmission(seed, Fixed(1))
		for now := time.Duration(0); now < 200*time.Millisecond; now += time.Millisecond {
			var held Permit
			a.Ask(now, Request{}, func(p Permit, err error) { held = p; require.NoError(t, err) })
			a.Ask(now, Request{}, func(_ Permit, err error) {
				var o *Overload
				require.ErrorAs(t, err, &o)
				after = append(after, o.RetryAfter)
			})
			a.Release(now+time.Millisecond/2, held, Done)
		}
		return after
	}
	require.True(t, slices.Equal(refusals(1), refusals(1)))
	require.False(t, slices.Equal(refusals(1), refusals(2)))
}
