// Package clock measures calm's clock beside what is used in its place:
//
//	go -C internal/bench test ./clock -run '^$' -bench . -benchtime 200ms -count 6
//
// Of the peers named in the literature, GoVector is not served by the Go module proxy and is
// left out; cockroach's clock cannot be imported without its database and is written down
// anew from its published algorithm, without logging and metrics.
package clock
