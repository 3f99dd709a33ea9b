package clock

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Wait returns once the physical clock is past t, or at once if the clock has already
// issued or was shown something later; either way [Clock.Now] is greater than t from then
// on. It sleeps for as long as there is to wait, and looks again at least once a second in
// case the physical clock steps. Its only error is that of ctx.
//
// A reader that waits for a session's last write in this way reads no snapshot from before
// it; see [NewContext].
func (c *Clock) Wait(ctx context.Context, t Timestamp) error {
	err := until(ctx, func() (int64, error) {
		if int64(t) <= c.state.Load() {
			return 0, nil
		}
		return left(int64(t), c.exact()), nil
	})
	if err != nil {
		return fmt.Errorf("clock: wait for %v: %w", t, err)
	}
	// Physical time may be past t within the same tick.
	c.raise(int64(min(t, maxPhysical)), 0)
	return nil
}

// left returns how long it is until now is past t.
func left(t, now int64) int64 {
	if now > t {
		return 0
	}
	return addSat(addSat(t, 1), -max(now, -math.MaxInt64))
}

// until sleeps until there is nothing left. While sleeping does not make it less, as when the clock
// that it is about stands still, each sleep is at least twice as long as the one before.
func until(ctx context.Context, left func() (int64, error)) error {
	const longest = int64(time.Second)
	var before, slept int64
	for {
		d, err := left()
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil && d > 0 {
			return err
		}
		if d <= 0 {
			return nil
		}
		least := int64(0)
		if slept > 0 && d > before-slept/2 {
			least = max(2*slept, int64(time.Microsecond))
		}
		before, slept = d, min(max(d, least), longest)
		timer := time.NewTimer(time.Duration(slept))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Interval returns two timestamps between which the true time is. Nothing that the clock has
// issued is after latest, so while the clock runs ahead of its source, its uncertainty is
// greater than the source's. Its error matches [ErrUnbounded] if the source does not know
// how wrong it may be, and is the source's own if that does not know it now.
//
// Source: Corbett et al., "Spanner: Google's Globally-Distributed Database" (2012),
// section 3; the treatment of the logical part is Kudu's.
func (c *Clock) Interval() (earliest, latest Timestamp, err error) {
	if c.bound == nil {
		return 0, 0, ErrUnbounded
	}
	e, l, err := c.bound.Bound()
	if err != nil {
		return 0, 0, fmt.Errorf("clock: interval: %w", err)
	}
	return Timestamp(e), Timestamp(max(min(l, maxPhysical), c.state.Load())), nil
}

// Commit returns a timestamp that every observer, whatever its clock, agrees is neither
// before the call nor after the return: it is later than the true time can be when Commit
// is called, and Commit returns only when the true time has passed it for certain. What
// starts anywhere after Commit has returned gets a greater Commit timestamp (external
// consistency). It takes at least twice the source's error. Its errors are those of
// [Clock.Interval] and of ctx.
//
// Source: Spanner (see [Clock.Interval]), section 4.1.2.
func (c *Clock) Commit(ctx context.Context) (Timestamp, error) {
	_, latest, err := c.Interval()
	if err != nil {
		return 0, err
	}
	t := c.raise(int64(latest), 1)
	if t > c.limit.Load() && !c.await(t) {
		return c.Commit(ctx)
	}
	err = until(ctx, func() (int64, error) {
		e, _, err := c.bound.Bound()
		return left(t, e), err
	})
	if err != nil {
		return 0, fmt.Errorf("clock: commit: %w", err)
	}
	return Timestamp(t), nil
}
