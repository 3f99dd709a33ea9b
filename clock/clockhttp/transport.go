package clockhttp

import (
	"fmt"
	"net/http"

	"github.com/go-calm/calm/clock"
)

// Transport is an [http.RoundTripper] that puts timestamps into requests and takes in those
// of the replies. It may be used concurrently.
type Transport struct {
	// Clock must be set.
	Clock *clock.Clock
	// Base does the work; nil means [http.DefaultTransport].
	Base http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. When the timestamp of a reply is refused it
// closes the reply and returns an error that matches [clock.ErrDrift] or
// [clock.ErrMalformed]: the request has been served, but the clock is not ordered after it.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	r = r.Clone(r.Context()) // a RoundTripper must not change the caller's
	if r.Header == nil {
		r.Header = http.Header{}
	}
	t.Clock.Inject(r.Header)
	resp, err := base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if _, err := t.Clock.Extract(resp.Header); err != nil {
		resp.Body.Close()
		return nil, fmt.Errorf("clockhttp: reply of %s: %w", r.URL.Host, err)
	}
	return resp, nil
}
