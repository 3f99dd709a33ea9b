package backpressure

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Throttle is the client's half of overload control: it stops sending what would be refused
// anyway, because even refusing costs a server work. It is adaptive throttling as in "Site
// Reliability Engineering", chapter 21: of the calls of the last second, those that the
// server did not refuse, doubled, are let through; the rest is refused here, at random, with
// an [*Overload] of reason [Throttled]. One call in twenty always goes through to see whether
// the server has recovered, so that a client with a thousand calls a second is back at full
// speed within three seconds, and one with few calls when some of them went through.
//
// Use one for each server. Make one with [NewThrottle]. It is safe for concurrent use; a call
// costs two locks and one look at the clock, and a refusal allocates nothing.
type Throttle struct {
	refusal *Overload

	mu    sync.Mutex
	start time.Time
	core  throttle
}

// ThrottleOption changes one thing about a [Throttle].
type ThrottleOption func(*Throttle)

// ThrottleScope names the server in the throttle's refusals.
func ThrottleScope(scope string) ThrottleOption {
	return func(t *Throttle) { t.refusal.Scope = scope }
}

// NewThrottle makes a throttle for one server.
func NewThrottle(opts ...ThrottleOption) *Throttle {
	t := &Throttle{refusal: &Overload{Reason: Throttled}, start: time.Now()}
	for _, o := range opts {
		o(t)
	}
	return t
}

// Do calls fn or refuses. An error that matches [ErrOverload] counts as refused by the
// server; every other outcome, a panic too, shows that the server did the work.
func (t *Throttle) Do(ctx context.Context, fn func(context.Context) error) error {
	if !t.admit(rand.Float64()) {
		return t.refusal
	}
	refused := false
	defer func() {
		if !refused {
			t.accepted()
		}
	}()
	err := fn(ctx)
	refused = errors.Is(err, ErrOverload)
	return err
}

// Transport is an [http.RoundTripper] that throttles base, or [http.DefaultTransport] if
// base is nil. The statuses 429 and 503 count as refused, and so does an error that matches
// [ErrOverload].
func (t *Throttle) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return throttled{t, base}
}

type throttled struct {
	t    *Throttle
	base http.RoundTripper
}

func (r throttled) RoundTrip(req *http.Request) (*http.Response, error) {
	if !r.t.admit(rand.Float64()) {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper has to
		}
		return nil, r.t.refusal
	}
	res, err := r.base.RoundTrip(req)
	switch {
	case errors.Is(err, ErrOverload):
	case err == nil && (res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable):
	default:
		r.t.accepted()
	}
	return res, err
}

func (t *Throttle) admit(u float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.core.admit(time.Since(t.start), u)
}

func (t *Throttle) accepted() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.core.accepted()
}

// throttle is the core of [Throttle]: no clock, no lock, no randomness of its own.
type throttle struct {
	slots            [10]counted
	asked, succeeded float64 // sums over the slots
	at               int64   // number of the slot under way
}

// counted is what happened within a slotTime.
type counted struct{ asked, accepted float64 }

const (
	slotTime = 100 * time.Millisecond
	generous = 2    // let through so many times what is accepted
	probing  = 0.05 // and at least this share
)

// admit decides on a call at time now; u is drawn evenly from [0, 1).
func (t *throttle) admit(now time.Duration, u float64) bool {
	s := t.slot(now)
	refuse := (t.asked - generous*t.succeeded) / (t.asked + 1)
	s.asked++
	t.asked++
	return u >= min(refuse, 1-probing)
}

// accepted counts a success in the slot of the last call that was admitted: while calls come that is
// now, and otherwise what was asked and what succeeded are forgotten together.
func (t *throttle) accepted() {
	t.slots[t.at%int64(len(t.slots))].accepted++
	t.succeeded++
}

// slot forgets what is too old and returns the slot of now.
func (t *throttle) slot(now time.Duration) *counted {
	n := int64(now / slotTime)
	for steps := 0; t.at < n; steps++ {
		t.at++
		if steps == len(t.slots) {
			t.at = n
		}
		old := &t.slots[t.at%int64(len(t.slots))]
		t.asked -= old.asked
		t.succeeded -= old.accepted
		*old = counted{}
	}
	return &t.slots[t.at%int64(len(t.slots))]
}
