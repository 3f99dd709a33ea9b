// Package clockhttp carries the timestamps of package clock in the headers of HTTP requests
// and replies, so that what happens at either end is ordered without asking a wall clock.
//
//	client := &http.Client{Transport: &clockhttp.Transport{Clock: c}}
//	server := &http.Server{Handler: clockhttp.Handler(c, mux)}
//
// A request carries a timestamp of its sender, and the handler runs after it: its context
// carries the timestamp of the receipt, as [clock.FromContext] returns it. The reply carries
// a timestamp taken when its header is sent, and the client's clock is past it when RoundTrip
// returns.
//
// A timestamp too far ahead of the physical clock at either end is refused with an error
// that names the offset: the handler answers 400 Bad Request by default, and the transport
// returns the reply's error in place of the reply. The clock that refused is untouched and
// goes on with everybody else. A peer that sends no timestamps at all is served as usual.
//
// Handlers for other protocols are a few lines with [clock.Clock.Inject] and
// [clock.Clock.Extract].
package clockhttp
