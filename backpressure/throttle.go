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
// server did not refuse, doubled, are let through; the rest is refused here with an [*Overload]
// of reason [Throttled]. A call counts when its outcome is known. It begins with the first refusal:
// who has had no success for a second is held back a few times before the next call goes. A [Retry]
// goes around a Throttle, and takes its refusals for failures that may pass.
//
// To see whether the server has recovered, one call in twenty always goes through, and about one a
// second of a client with few. Where the book draws lots for each call, what goes through here is spread
// evenly over the calls, but for a jitter that keeps clients and kinds of calls from falling into
// step: waiting for luck could take a client with some tens of calls a second ten seconds. So
// from three seconds after the server began to do all that it is sent, nothing is refused here, be it
// one call a second or ten thousand. That depends on two things: that calls keep coming, for only
// their outcomes tell, and that they last 100 milliseconds at most; with longer ones it takes a
// few times as much longer.
//
// Use one for each server. Make one with [NewThrottle]. It is safe for concurrent use; a call
// costs two locks and one look at the clock, and a refusal allocates nothing.
type Throttle struct {
	refusal *Overload

	mu    sync.Mutex
	start time.Time
	core  throttle
	stats ThrottleStats
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
		if o == nil {
			panic("backpressure: NewThrottle: nil option")
		}
		o(t)
	}
	return t
}

// Do calls fn with ctx or refuses. An error that matches [ErrOverload] counts as refused by the
// server; every other outcome, a panic too, shows that the server did the work.
func (t *Throttle) Do(ctx context.Context, fn func(context.Context) error) error {
	if !t.admit(rand.Float64()) {
		return t.refusal
	}
	refused := false
	defer func() { t.ended(refused) }()
	err := fn(ctx)
	refused = errors.Is(err, ErrOverload)
	return err
}

// Transport is an [http.RoundTripper] that throttles base, or [http.DefaultTransport] if
// base is nil. The statuses 429 and 503 count as refused, and so does an error that matches
// [ErrOverload]. [Refused] makes an error of such an answer, for who calls.
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
	r.t.ended(errors.Is(err, ErrOverload) || err == nil && refusing(res.StatusCode))
	return res, err
}

func (t *Throttle) admit(u float64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ok := t.core.admit(time.Since(t.start), u)
	if !ok {
		t.stats.Throttled++
	}
	return ok
}

func (t *Throttle) ended(refused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.core.ended(refused)
	t.stats.Done++
	if refused {
		t.stats.Refused++
	}
}

// ThrottleStats is what a [Throttle] has done so far.
type ThrottleStats struct {
	Done      uint64 // calls that were let through and ended
	Refused   uint64 // those of them that the server refused
	Throttled uint64 // calls that were refused here
}

// Stats returns what the throttle has done so far.
func (t *Throttle) Stats() ThrottleStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// throttle is the core of [Throttle]: no clock, no lock, no randomness of its own.
type throttle struct {
	slots            [10]counted
	asked, succeeded float64 // sums over the slots; who is under way is in neither
	at               int64   // number of the slot under way
	due              float64 // the share let through, summed over the calls, less those that were
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
	if refuse <= 0 {
		return true
	}
	t.due += max(1-refuse, probing) * (0.5 + u) // on average once the share
	if t.due >= 1 {
		t.due--
		return true
	}
	s.asked++
	t.asked++
	return false
}

// ended counts a call that was admitted in the slot of the last one that was asked for: while calls
// come that is now.
func (t *throttle) ended(refused bool) {
	s := &t.slots[t.at%int64(len(t.slots))]
	s.asked++
	t.asked++
	if !refused {
		s.accepted++
		t.succeeded++
	}
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
