package backpressure

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/testenv"
)

// drive asks a throttle a thousand times a second from one time to another, and returns what
// share got through. ok says what the server does with it.
func drive(th *throttle, rng *rand.Rand, from, to time.Duration, ok func(now time.Duration) bool) float64 {
	sent, all := 0, 0
	for now := from; now < to; now += time.Millisecond {
		all++
		if th.admit(now, rng.Float64()) {
			sent++
			th.ended(!ok(now))
		}
	}
	return float64(sent) / float64(all)
}

func TestThrottleFollowsTheServer(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var th throttle
		up, down := func(time.Duration) bool { return true }, func(time.Duration) bool { return false }
		require.Equal(t, 1.0, drive(&th, rng, 0, 10*time.Second, up), "nothing is refused, nothing is held back")
		drive(&th, rng, 10*time.Second, 13*time.Second, down)
		require.InDelta(t, probing, drive(&th, rng, 13*time.Second, 60*time.Second, down), 0.01, "only probes")
		drive(&th, rng, 60*time.Second, 63*time.Second, up)
		require.Greater(t, drive(&th, rng, 63*time.Second, 64*time.Second, up), 0.99, "back within three seconds")

		// A server that can do a tenth is sent about a fifth.
		did := 0
		tenth := func(now time.Duration) bool {
			if did >= int((now-70*time.Second)/(10*time.Millisecond)) {
				return false
			}
			did++
			return true
		}
		drive(&th, rng, 70*time.Second, 75*time.Second, tenth)
		require.InDelta(t, 0.2, drive(&th, rng, 75*time.Second, 80*time.Second, tenth), 0.02)
		require.InDelta(t, 1000, did, 20, "and does what it can")
	}
}

// TestThrottleIsBackInThreeSecondsAtAnyRate lets a server be down and then do all it is sent, which
// takes it a while. The calls come evenly or at random (a Poisson process).
func TestThrottleIsBackInThreeSecondsAtAnyRate(t *testing.T) {
	for _, rate := range []float64{1, 3, 10, 20, 30, 100, 1000, 10_000} {
		for _, lasts := range []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond} {
			var slowest time.Duration
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 1))
				up := 5*time.Second + time.Duration(rng.Float64()*float64(time.Second))
				type call struct {
					ends    time.Duration
					refused bool
				}
				var th throttle
				var out []call // under way, in the order of their ends
				sent, after := 0, 0
				for now := time.Duration(0); now < up+5*time.Second; {
					for len(out) > 0 && out[0].ends <= now {
						th.slot(out[0].ends)
						th.ended(out[0].refused)
						out = out[1:]
					}
					switch ok := th.admit(now, rng.Float64()); {
					case !ok && now >= up:
						slowest = max(slowest, now-up)
					case ok:
						out = append(out, call{now + lasts, now < up})
						if now < up && now >= 3*time.Second {
							sent++
						}
					}
					if now >= up {
						after++
					}
					pause := 1 / rate
					if seed%2 == 1 {
						pause *= rng.ExpFloat64()
					}
					now += time.Duration(pause * float64(time.Second))
				}
				require.NotZero(t, after)
				most := max(1, probing*rate) * (up - 3*time.Second).Seconds()
				require.LessOrEqual(t, float64(sent), 1.1*most+3, "few calls go to a server that is down")
			}
			t.Logf("%5v calls/s of %5v: last refused after %v", rate, lasts, slowest)
			require.LessOrEqual(t, slowest, 3*time.Second)
		}
	}
}

// TestThrottleSpreadsWhatItLetsThrough shows that probes come one in twenty, without a long wait, and do
// not fall into step with kinds of calls that take turns.
func TestThrottleSpreadsWhatItLetsThrough(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var th throttle
	var kinds [2]int
	last, longest := 0, 0
	const calls = 100_000
	for i := range calls {
		if th.admit(time.Duration(i)*time.Millisecond, rng.Float64()) {
			th.ended(true)
			kinds[i%2]++
			if i > 1000 {
				longest = max(longest, i-last)
			}
			last = i
		}
	}
	require.InDelta(t, probing*calls, kinds[0]+kinds[1], 50)
	require.InDelta(t, kinds[0], kinds[1], 500)
	require.LessOrEqual(t, longest, 40)
}

// TestThrottleIsBackInThreeSeconds calls a server that was down for a minute, a thousand times a
// second.
func TestThrottleIsBackInThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, down := NewThrottle(), true
		sentFor := func(d time.Duration) (sent int) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
				_ = th.Do(background, func(context.Context) error {
					sent++
					if down {
						return errFull
					}
					return nil
				})
			}
			return sent
		}
		require.InDelta(t, 3000, sentFor(time.Minute), 700, "one in twenty")
		down = false
		sentFor(3 * time.Second)
		require.Greater(t, sentFor(time.Second), 990)
	})
}

// Calls that are under way are no refusals: neither many that begin at once nor long ones are held back
// while the server does them all.
func TestThrottleDoesNotCountWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		call := func(client func() error) { wg.Go(func() { assert.NoError(t, client()) }) }
		th, slow := NewThrottle(), NewThrottle()
		req, err := http.NewRequest(http.MethodGet, "http://server/", http.NoBody)
		require.NoError(t, err)
		transport := NewThrottle().Transport(roundTrip(func(*http.Request) (*http.Response, error) {
			time.Sleep(50 * time.Millisecond)
			return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
		}))
		for range 100 {
			call(func() error {
				return th.Do(background, func(context.Context) error { time.Sleep(50 * time.Millisecond); return nil })
			})
			call(func() error { _, err := transport.RoundTrip(req); return err })
		}
		for range 100 {
			call(func() error {
				return slow.Do(background, func(context.Context) error { time.Sleep(3 * time.Second); return nil })
			})
			time.Sleep(100 * time.Millisecond)
		}
		wg.Wait()
	})
}

func TestThrottleForgets(t *testing.T) {
	var th throttle
	require.True(t, th.admit(50*time.Millisecond, 0.5))
	th.ended(true)
	// It counts for a second, by the tenth: a half is let through after one, a third after two.
	require.False(t, th.admit(999*time.Millisecond, 0.6)) // 0.55 are due
	require.True(t, th.admit(999*time.Millisecond, 0.9))  // and 0.47
	require.EqualValues(t, 2, th.asked)
	th.slot(time.Second)
	require.EqualValues(t, 1, th.asked)

	rng := rand.New(rand.NewPCG(1, 0))
	th = throttle{}
	drive(&th, rng, 0, time.Second, func(time.Duration) bool { return false })
	require.NotZero(t, th.asked)
	for _, later := range []time.Duration{4 * time.Second, time.Hour, 1e6 * time.Hour} {
		th.slot(later)
		require.Zero(t, th.asked)
		require.Zero(t, th.succeeded)
		require.True(t, th.admit(later, 0))
	}
}

func TestThrottleDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := NewThrottle(ThrottleScope("db"))
		sent := 0
		refusing := func(context.Context) error { sent++; return errFull }
		var o, held *Overload
		for range 1000 {
			before := sent
			err := th.Do(background, refusing)
			require.ErrorIs(t, err, ErrOverload)
			require.ErrorAs(t, err, &o)
			if sent == before {
				held = o
			}
		}
		require.Equal(t, &Overload{Reason: Throttled, Scope: "db"}, held)
		require.Less(t, sent, 200)
		require.Equal(t, ThrottleStats{Done: uint64(sent), Refused: uint64(sent), Throttled: uint64(1000 - sent)}, th.Stats())
		require.EqualValues(t, sent, 1000-th.refusedHere(t, 1000, sent))

		// What is not a refusal was done by the server: errors, panics.
		th = NewThrottle()
		for range 100 {
			require.Error(t, th.Do(background, func(context.Context) error { return errors.New("not found") }))
			require.Panics(t, func() { _ = th.Do(background, func(context.Context) error { panic("x") }) })
		}
		require.EqualValues(t, 200, th.core.succeeded)
		require.Equal(t, ThrottleStats{Done: 200}, th.Stats())
		if !testenv.Race {
			ok := func(context.Context) error { return nil }
			require.Zero(t, testing.AllocsPerRun(100, func() { _ = th.Do(background, ok) }))
		}
	})
}

// refusedHere checks the count of calls asked for, and returns how many were not sent.
func (t *Throttle) refusedHere(tb testing.TB, asked, sent int) int {
	require.EqualValues(tb, asked, t.core.asked)
	return asked - sent
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type closing struct {
	io.Reader
	closed *int
}

func (c closing) Close() error { *c.closed++; return nil }

func TestThrottleTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
			sent, closed := 0, 0
			client := NewThrottle().Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
				sent++
				_ = r.Body.Close()
				return &http.Response{StatusCode: status, Body: http.NoBody}, nil
			}))
			for range 500 {
				req, err := http.NewRequest(http.MethodPost, "http://server/", closing{strings.NewReader("x"), &closed})
				require.NoError(t, err)
				res, err := client.RoundTrip(req)
				if err != nil {
					require.ErrorIs(t, err, ErrOverload)
					require.Nil(t, res)
				}
			}
			require.Less(t, sent, 120)
			require.Equal(t, 500, closed, "every body is closed")
		}
		th := NewThrottle()
		client := th.Transport(roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusInternalServerError}, nil
		}))
		for range 100 {
			_, err := client.RoundTrip(&http.Request{})
			require.NoError(t, err)
		}
		require.EqualValues(t, 100, th.core.succeeded)
		failing := th.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, errFull }))
		_, err := failing.RoundTrip(&http.Request{})
		require.ErrorIs(t, err, ErrOverload)
		require.EqualValues(t, 100, th.core.succeeded)
		failing = th.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }))
		_, err = failing.RoundTrip(&http.Request{})
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		require.EqualValues(t, 101, th.core.succeeded, "that was no refusal")
		down := NewThrottle()
		client = down.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return nil, errFull }))
		for range 100 {
			_, err = client.RoundTrip(&http.Request{}) // without a body
			require.ErrorIs(t, err, ErrOverload)
		}
		require.NotZero(t, down.Stats().Throttled)
		require.Equal(t, http.DefaultTransport, th.Transport(nil).(throttled).base)
	})
}
