package backpressure

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Handler is an [http.Handler] that runs next with a permit. Who gets none is answered 503 Service
// Unavailable, or 429 Too Many Requests if the request's context names a tenant, with a Retry-After
// header in whole seconds, one at least. Who goes away or whose deadline comes while waiting gets a 503,
// too, which nobody may see. Tenant, priority, cost and deadline come from the request's context, so a
// handler around this one sets them: see [WithTenant].
//
// The status that next answers says what became of the work: below 400 it is [Done]; 429, 503 and
// 504 are [Dropped]; the others are [Ignored], for an error is mostly quicker than the work. A next
// that panics or exits has dropped it; the permit is released in any case.
//
// The ResponseWriter that next gets can flush and be hijacked if the server's can, and
// [http.ResponseController] finds the server's below it.
func (l *Limiter) Handler(next http.Handler) http.Handler {
	if next == nil {
		panic("backpressure: Handler: nil handler")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := l.Acquire(r.Context())
		if err != nil {
			l.sendAway(w, r, err)
			return
		}
		outcome := Dropped
		defer func() { p.Release(outcome) }()
		s := &watched{ResponseWriter: w}
		next.ServeHTTP(s, r)
		outcome = outcomeOfStatus(s.status)
	})
}

// sendAway answers a request that got no permit.
func (l *Limiter) sendAway(w http.ResponseWriter, r *http.Request, err error) {
	after, status := time.Second, http.StatusServiceUnavailable
	var o *Overload
	switch {
	case errors.Is(err, ErrCost):
		http.Error(w, "bad cost", http.StatusInternalServerError)
		return
	case errors.As(err, &o):
		after = max(after, o.RetryAfter)
		if requestOf(r.Context()).tenant != "" {
			status = http.StatusTooManyRequests
		}
	}
	w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(after.Seconds())), 10))
	http.Error(w, http.StatusText(status), status)
}

func outcomeOfStatus(status int) Outcome {
	switch {
	case status < 400:
		return Done
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return Dropped
	}
	return Ignored
}

// watched is a ResponseWriter that remembers the status.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	if w.status < 200 { // those below are only news on the way
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watched) Write(p []byte) (int, error) {
	w.begun()
	return w.ResponseWriter.Write(p)
}

// begun notes the status of an answer that begins without one.
func (w *watched) begun() {
	if w.status < 200 {
		w.status = http.StatusOK
	}
}

func (w *watched) Flush() {
	w.begun()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *watched) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func (w *watched) ReadFrom(r io.Reader) (int64, error) {
	w.begun()
	return io.Copy(w.ResponseWriter, r)
}

// Transport is an [http.RoundTripper] that sends with a permit through base, or through
// [http.DefaultTransport] if base is nil: it bounds what a client has under way at a server. The
// permit is held until the response's body was read to its end or closed. Without one, RoundTrip
// returns the error of [Limiter.Acquire].
//
// The statuses 429, 503 and 504 and timeouts are [Dropped]; other errors, and other statuses from 400
// on, are [Ignored].
func (l *Limiter) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	return limited{l, base}
}

type limited struct {
	l    *Limiter
	base http.RoundTripper
}

func (t limited) RoundTrip(req *http.Request) (*http.Response, error) {
	p, err := t.l.Acquire(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper has to
		}
		return nil, err
	}
	outcome, held := Dropped, true
	defer func() {
		if held {
			p.Release(outcome)
		}
	}()
	res, err := t.base.RoundTrip(req)
	if err != nil {
		var n net.Error
		if !errors.As(err, &n) || !n.Timeout() {
			outcome = outcomeOf(err)
		}
		return res, err
	}
	outcome = outcomeOfStatus(res.StatusCode)
	if res.Body != nil && res.Body != http.NoBody && res.StatusCode != http.StatusSwitchingProtocols {
		res.Body, held = &heldBody{body: res.Body, release: sync.OnceFunc(func() { p.Release(outcome) })}, false
	}
	return res, nil
}

// Refused returns the [*Overload] that the answer of an overloaded server stands for: the status 429 or
// 503, with RetryAfter as the header of that name says, in seconds or as a date. Its scope is the host. Of
// other responses, and of nil, it returns nil. The response's body remains the caller's to close.
//
// With it, [Retry] comes back when the server asks it to:
//
//	err := retry.Do(ctx, func(ctx context.Context) error {
//		res, err := client.Do(req.Clone(ctx))
//		if err != nil {
//			return err
//		}
//		defer res.Body.Close()
//		if err := backpressure.Refused(res); err != nil {
//			return err
//		}
//		return json.NewDecoder(res.Body).Decode(&v)
//	})
func Refused(res *http.Response) error {
	if res == nil || !refusing(res.StatusCode) {
		return nil
	}
	o := &Overload{Reason: Full, RetryAfter: retryAfter(res.Header.Get("Retry-After"))}
	if res.Request != nil && res.Request.URL != nil {
		o.Scope = res.Request.URL.Host
	}
	return o
}

func refusing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
}

// retryAfter reads the header of that name; what it does not understand is 0.
func retryAfter(s string) time.Duration {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(n, uint64(math.MaxInt64/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// heldBody releases the permit at its end.
type heldBody struct {
	body    io.ReadCloser
	release func()
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil {
		b.release()
	}
	return n, err
}

func (b *heldBody) Close() error {
	defer b.release()
	return b.body.Close()
}
