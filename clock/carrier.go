package clock

import (
	"context"
	"fmt"
)

// Key is the name under which [Clock.Inject] puts a timestamp into a [Carrier].
const Key = "Calm-Timestamp"

// Carrier takes and gives named strings along with a message. [net/http.Header] is one, and
// so is OpenTelemetry's TextMapCarrier. Get returns "" for what is not there.
type Carrier interface {
	Get(key string) string
	Set(key, value string)
}

// Inject takes a timestamp for a message to be sent, puts it into the message's carrier and
// returns it.
func (c *Clock) Inject(carrier Carrier) Timestamp {
	t := c.Now()
	carrier.Set(Key, t.String())
	return t
}

// Extract observes the timestamp in the carrier of a message received and returns one for
// the receipt, as [Clock.Observe] does and with its error. Without a timestamp in the
// carrier it is [Clock.Now]. An error for one that cannot be parsed matches [ErrMalformed]
// and leaves the clock as it was.
func (c *Clock) Extract(carrier Carrier) (Timestamp, error) {
	text := carrier.Get(Key)
	if text == "" {
		return c.Now(), nil
	}
	var remote Timestamp
	if err := remote.UnmarshalText([]byte(text)); err != nil {
		return 0, fmt.Errorf("clock: extract: %w", err)
	}
	return c.Observe(remote)
}

type sessionKey struct{}

// NewContext returns a context that carries t as the session's token: the timestamp of the
// latest thing that the session has written or seen. A token never goes back: if ctx
// carries a later one, that stays.
//
// A replica that waits ([Clock.Wait]) for the token before it reads, or reads as of the
// token, gives the session read-your-writes and monotonic reads.
func NewContext(ctx context.Context, t Timestamp) context.Context {
	if u, ok := FromContext(ctx); ok && u >= t {
		return ctx
	}
	return context.WithValue(ctx, sessionKey{}, t)
}

// FromContext returns the session's token that ctx carries, if it carries one.
func FromContext(ctx context.Context) (Timestamp, bool) {
	t, ok := ctx.Value(sessionKey{}).(Timestamp)
	return t, ok
}
