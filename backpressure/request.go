package backpressure

import (
	"context"
	"errors"
	"fmt"
)

// ErrCost is returned when a cost makes no sense.
var ErrCost = errors.New("backpressure: bad cost")

// request is what a context says about the work.
type request struct {
	tenant   string
	priority int
	cost     int64
}

type requestKey struct{}

func (r request) check() error {
	if r.cost < 1 {
		return fmt.Errorf("%w: %d", ErrCost, r.cost)
	}
	return nil
}

func requestOf(ctx context.Context) request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return *r
	}
	return request{cost: 1}
}

func with(ctx context.Context, change func(*request)) context.Context {
	r := requestOf(ctx)
	change(&r)
	return context.WithValue(ctx, requestKey{}, &r)
}

// WithTenant says on whose behalf the work is. Those who wait at a [Limiter] are served fairly by
// tenant: one that asks a thousand times as often gets no more than its share while others wait.
// Work without a tenant belongs to the tenant "".
func WithTenant(ctx context.Context, id string) context.Context {
	return with(ctx, func(r *request) { r.tenant = id })
}

// WithPriority says how important the work is; 0 if it is not said. Of those who wait at a
// [Limiter] the higher priorities are served first, and the lowest are shed first.
func WithPriority(ctx context.Context, p int) context.Context {
	return with(ctx, func(r *request) { r.priority = p })
}

// WithCost says how much of a [Limiter]'s limit the work takes; 1 if it is not said. What costs more
// than the whole limit runs alone. Acquire returns an error that matches [ErrCost] if n is less
// than 1.
func WithCost(ctx context.Context, n int64) context.Context {
	return with(ctx, func(r *request) { r.cost = n })
}
