package backpressure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"time"
)

// Retry calls a function again when it failed for a reason that may pass. Between two calls
// it waits with full jitter: a time drawn evenly from zero to Base, then to twice Base, and
// so on up to Cap (Brooker, "Exponential Backoff and Jitter", AWS 2015). If the failure was
// an [*Overload] with a RetryAfter, it waits that long first and then the drawn time, so
// that a herd which was sent away together does not come back together.
//
// The zero value is ready to use. A Retry is not changed by its use and may be shared. Over HTTP,
// let the function return what [Refused] says of the response.
type Retry struct {
	Base      time.Duration    // the bound of the first wait; 0 means 100 ms
	Cap       time.Duration    // the bound of all waits, RetryAfter apart; 0 means 10 s
	Attempts  int              // how often to call at most; 0 means 4, and less 1
	Budget    *Budget          // what retries may add to first attempts; nil means no bound
	Retryable func(error) bool // whether it may pass; nil means [Transient]
}

// Transient says whether err may pass by itself: an [*Overload] that is not for good (full,
// shed, throttled, open), or a timeout of the network: of a dial, say, or the Timeout of a
// [net/http.Client]. The end of a context, a closed queue, a missed deadline and a spent budget do
// not pass.
func Transient(err error) bool {
	if ended(err) {
		return false
	}
	var o *Overload
	if errors.As(err, &o) {
		switch o.Reason {
		case Full, Shed, Throttled, Open:
			return true
		}
		return false
	}
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// ended says that the end of a context is somewhere in err: itself, for [errors.Is] also finds
// it in timeouts of the network that are nobody's context.
func ended(err error) bool {
	if slices.Contains([]error{context.Canceled, context.DeadlineExceeded}, err) {
		return true
	}
	switch e := any(err).(type) {
	case interface{ Unwrap() error }:
		return ended(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), ended)
	}
	return false
}

// Do calls fn until it succeeds, fails for good, or may not be called again, and returns
// what the last call returned. If the budget is spent, the error matches that and an
// [*Overload] with reason [Spent]. If ctx ends while it waits, the error matches that and
// ctx.Err(). It does not begin a wait that ctx's deadline would cut short. fn is called once in any
// case, also if ctx is done: it gets ctx, and should look.
func (r Retry) Do(ctx context.Context, fn func(context.Context) error) error {
	_, err := DoValue(ctx, r, func(ctx context.Context) (struct{}, error) { return struct{}{}, fn(ctx) })
	return err
}

// DoValue is [Retry.Do] for a function that returns a value: that of the last call.
func DoValue[T any](ctx context.Context, r Retry, fn func(context.Context) (T, error)) (T, error) {
	retryable := r.Retryable
	if retryable == nil {
		retryable = Transient
	}
	attempts := r.Attempts
	if attempts == 0 {
		attempts = 4
	}
	r.Budget.Attempt()
	for n := 1; ; n++ {
		v, err := fn(ctx)
		if err == nil || n >= attempts || !retryable(err) || ctx.Err() != nil {
			return v, err
		}
		wait := r.wait(n, err, rand.Float64())
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return v, err
		}
		if !r.Budget.Spend() {
			return v, fmt.Errorf("%w: %w", spent, err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return v, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

var spent = &Overload{Reason: Spent, Scope: "retry budget"}

// wait is how long to wait after the n-th call failed with err; u is drawn from [0, 1).
func (r Retry) wait(n int, err error, u float64) time.Duration {
	bound, most := r.Base, r.Cap
	if bound <= 0 {
		bound = 100 * time.Millisecond
	}
	if most <= 0 {
		most = 10 * time.Second
	}
	for ; n > 1 && bound < most; n-- {
		bound += min(bound, most-bound) // twice as long, and no overflow
	}
	wait := time.Duration(u * float64(min(bound, most)))
	var o *Overload
	if errors.As(err, &o) && o.RetryAfter > 0 {
		wait += min(o.RetryAfter, math.MaxInt64-wait) // which comes from outside
	}
	return wait
}
