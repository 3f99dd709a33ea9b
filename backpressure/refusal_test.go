package backpressure

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aClock is a limiter that does a hundred permits a second, says its clock, and draws no lots. One permit is out,
// and that is the limit.
func aClock(t *testing.T, opts ...LimiterOption) (l *Limiter, now *time.Duration) {
	now = new(time.Duration)
	*now = time.Second
	l = NewLimiter(append(opts, Fixed(1), Named("db"))...)
	l.clock = func() time.Duration { return *now }
	l.draw = func() float64 { return 0 }
	l.last = Window{Elapsed: time.Second, Completed: 100}
	l.meter.began = *now
	_, ok := l.TryAcquire()
	require.True(t, ok)
	return l, now
}

// Whoever is refused gets a place behind those who were sent away before and are not back. These come back
// as fast as work is done, less twenty times the share that is refused.
func TestRefusalsFormALine(t *testing.T) {
	l, now := aClock(t)
	var away, share float64
	asked := 0
	pass := func(d time.Duration, sent float64) {
		s := d.Seconds()
		share += (sent/s/100 - share) * (1 - math.Exp(-s))
		away = max(0, away-100*s*max(1-20*share, 0.05)) + sent
	}
	refused := func() {
		t.Helper()
		asked++
		o := l.refuse()
		require.Equal(t, Overload{Reason: Full, Scope: "db", Queued: 1, Limit: 1, RetryAfter: o.RetryAfter}, *o)
		turn := (float64(asked%refusalBlock+1) + away) / 100
		require.InDelta(t, turn*float64(time.Second), o.RetryAfter, 2, asked)
	}
	pass(time.Second, 1) // the first is away itself when the answers are made
	for range refusalBlock + refusalBlock - 1 {
		refused() // it is too early for new answers
	}
	// A millisecond later the next block is used up. Hardly anybody has come back: more are refused than served.
	*now, l.meter.began = *now+refusalAge, *now+refusalAge
	pass(refusalAge, 2*refusalBlock-1)
	require.Greater(t, share, 1.0)
	refused()
	// Then few come, and each finds that the answers are old, for permits are released.
	for _, d := range []time.Duration{50, 100, 100, 200, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300, 300, 10_000, 1000} {
		d *= time.Millisecond
		*now, l.meter.began = *now+d, *now+d
		l.stale.Store(true)
		pass(d, 1)
		refused()
		require.False(t, l.stale.Load())
	}
	require.EqualValues(t, 1, away, "all the others are back")
	require.EqualValues(t, asked, l.Stats().Rejected)
}

// The line is never longer than five minutes, nor is anybody sent away for longer than that, but for
// the draw.
func TestRefusalsEnd(t *testing.T) {
	l, now := aClock(t)
	l.away = 1e9
	require.Equal(t, longestAway, l.refuse().RetryAfter)
	require.EqualValues(t, 100*longestAway.Seconds(), l.away)
	*now += time.Second
	l.last.Completed = 0
	l.stale.Store(true)
	o := l.refuse()
	require.Zero(t, o.RetryAfter, "nothing is known of a server that does nothing")
	require.EqualValues(t, 100*longestAway.Seconds(), l.away)

	l.last = Window{Elapsed: 2 * time.Second, Completed: 1}
	*now, l.meter.began, l.away = *now+time.Hour, *now+time.Hour, 0
	l.stale.Store(true)
	require.Equal(t, 10*time.Second, l.refuse().RetryAfter, "the third place, two seconds each, and two are away")

	l, now = aClock(t)
	l.meter.began, l.last, l.meter.count = *now, Window{}, countRange-5
	require.Zero(t, l.refuse().RetryAfter, "five released in no time say nothing")
}

// Who may wait is refused when the room is full, and its place is behind those who wait.
func TestRefusalsBehindTheRoom(t *testing.T) {
	l, now := aClock(t, Waiting(3))
	var answers []error
	wait := func(priority int) {
		g := &guest{answer: func(g *guest) { answers = append(answers, g.err) }}
		l.ask(g, request{cost: 1, priority: priority}, never)
	}
	for range 3 {
		wait(0)
	}
	require.Empty(t, answers)
	wait(-1)
	require.Equal(t, &Overload{Reason: Full, Scope: "db", Queued: 3, Limit: 3, RetryAfter: 60 * time.Millisecond}, answers[0])
	wait(1)
	var o *Overload
	require.ErrorAs(t, answers[1], &o)
	require.Equal(t, Overload{Reason: Shed, Scope: "db", Queued: 2, Limit: 3, RetryAfter: 50 * time.Millisecond}, *o, "one waits that is worth more")
	require.Equal(t, LimiterStats{Limit: 1, InFlight: 1, Waiting: 3, Admitted: 1, Rejected: 1, Shed: 1}, l.Stats())
	require.True(t, l.meter.limited)

	// Answers are made anew when a block is used up, or they are old, a millisecond later at the earliest.
	*now += refusalAge
	for n := 2; n < refusalBlock; n++ {
		wait(-1)
		require.EqualValues(t, 2, l.awaySeen)
	}
	wait(-1)
	require.EqualValues(t, refusalBlock+1, l.awaySeen)
	l.stale.Store(true)
	wait(-1)
	require.EqualValues(t, refusalBlock+1, l.awaySeen)
	*now += refusalAge
	l.stale.Store(true)
	wait(-1)
	require.EqualValues(t, refusalBlock+3, l.awaySeen)

	// Each reason has answers of its own.
	l, _ = aClock(t, Waiting(1))
	wait(0)
	wait(1)
	require.ErrorAs(t, answers[len(answers)-1], &o)
	require.Equal(t, Shed, o.Reason)
	_, ok := l.TryAcquire()
	require.False(t, ok)
	require.NotNil(t, l.refused[0].block.Load())
}

// TestARefusalIsALimit: a window in which somebody was refused was limited.
func TestARefusalIsALimit(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		l, now := aClock(t)
		if refuse {
			l.TryAcquire()
		}
		require.Equal(t, refuse, l.limited.Load())
		*now += time.Minute
		l.mu.Lock()
		l.meter.freshSize = meterLeast
		l.turn(*now)
		l.mu.Unlock()
		require.Equal(t, refuse, l.last.Limited)
	}
}
