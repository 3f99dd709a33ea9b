package backpressure

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func get(h http.Handler, ctx context.Context) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	return w
}

func TestHandler(t *testing.T) {
	l := NewLimiter(Fixed(1))
	var inside func()
	h := l.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if inside != nil {
			inside()
		}
		_, _ = io.WriteString(w, "hello")
	}))
	require.Equal(t, "hello", get(h, background).Body.String())
	inside = func() {
		w := get(h, background)
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		after, err := strconv.Atoi(w.Header().Get("Retry-After"))
		require.NoError(t, err)
		require.Positive(t, after)
		w = get(h, WithTenant(background, "greedy"))
		require.Equal(t, http.StatusTooManyRequests, w.Code)
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		w = get(h, WithCost(background, -1))
		require.Equal(t, http.StatusInternalServerError, w.Code)
	}
	require.Equal(t, http.StatusOK, get(h, background).Code)
	idle(t, l)
	require.Equal(t, http.StatusServiceUnavailable, get(h, past()).Code)
	idle(t, l)
}

// The header is in whole seconds, never less than the answer says, and never 0.
func TestHandlerSaysWhenToComeBack(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "1", time.Second: "1", time.Second + 1: "2", 12 * time.Second: "12", -1: "1"} {
		w := httptest.NewRecorder()
		NewLimiter().sendAway(w, httptest.NewRequest(http.MethodGet, "/", nil), &Overload{Reason: Full, RetryAfter: after})
		require.Equal(t, want, w.Header().Get("Retry-After"))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
	}
}

// What a server says is what its client hears.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := func(status int, after string) *http.Response {
			return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}}}
		}
		for after, want := range map[string]time.Duration{
			"": 0, "0": 0, "12": 12 * time.Second, "-7": 0, "+7": 0, "1.5": 0, "soon": 0, "a": 0, " 7": 0,
			"9223372036":                     9223372036 * time.Second,
			"9223372037":                     9223372036 * time.Second,
			"99999999999999999999999":        9223372036 * time.Second,
			"Sat, 01 Jan 2000 00:01:30 GMT":  90 * time.Second, // it is midnight in a bubble
			"Sat, 01 Jan 2000 00:00:00 GMT":  0,
			"Fri, 31 Dec 1999 23:59:59 GMT":  0,
			"Sat, 01 Jan 2000 00:01:30 CEST": 0,
		} {
			for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
				var o *Overload
				require.ErrorAs(t, Refused(answer(status, after)), &o)
				require.Equal(t, Overload{Reason: Full, RetryAfter: want}, *o, after)
				require.True(t, Transient(o))
			}
		}
		for _, status := range []int{200, 301, 400, 404, 428, 500, 502, 504} {
			require.NoError(t, Refused(answer(status, "7")))
		}
		require.NoError(t, Refused(nil))
		require.Error(t, Refused(&http.Response{StatusCode: 503, Request: &http.Request{}}))

		l := NewLimiter(Fixed(1))
		p, _ := l.TryAcquire()
		req := httptest.NewRequest(http.MethodGet, "http://host:80/", nil)
		w := httptest.NewRecorder()
		l.Handler(http.NotFoundHandler()).ServeHTTP(w, req)
		p.Release(Done)
		res := w.Result()
		res.Request = req
		require.Equal(t, &Overload{Reason: Full, Scope: "host:80", RetryAfter: time.Second}, Refused(res))
	})
}

// TestHandlerReleases panics and exits in handlers, which leaks a permit where that was not thought of.
func TestHandlerReleases(t *testing.T) {
	l := NewLimiter(Fixed(5))
	h := l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for range 10 {
		require.PanicsWithValue(t, http.ErrAbortHandler, func() { get(h, background) })
		idle(t, l)
	}
	h = l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() }))
	gone := make(chan struct{})
	go func() { defer close(gone); get(h, background) }()
	<-gone
	idle(t, l)
	require.EqualValues(t, 11, l.drops.Load())
}

func TestStatusSaysTheOutcome(t *testing.T) {
	for status, want := range map[int]Outcome{
		0: Done, 200: Done, 302: Done, 399: Done, 400: Ignored, 404: Ignored, 429: Dropped, 500: Ignored, 503: Dropped, 504: Dropped,
	} {
		require.Equal(t, want, outcomeOfStatus(status), status)
	}
	// What is answered counts, and that is what comes first.
	for _, c := range []struct {
		say   func(w http.ResponseWriter)
		code  int
		drops int64
	}{
		{func(http.ResponseWriter) {}, http.StatusOK, 0},
		{func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) }, http.StatusTeapot, 0},
		{func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }, http.StatusServiceUnavailable, 1},
		{func(w http.ResponseWriter) { w.WriteHeader(200); w.WriteHeader(503) }, http.StatusOK, 0},
		{func(w http.ResponseWriter) { w.WriteHeader(503); _, _ = io.WriteString(w, "x") }, http.StatusServiceUnavailable, 1},
		{func(w http.ResponseWriter) { _, _ = w.Write(nil); w.WriteHeader(503) }, http.StatusOK, 0},
		{func(w http.ResponseWriter) { w.(http.Flusher).Flush(); w.WriteHeader(503) }, http.StatusOK, 0},
		{func(w http.ResponseWriter) {
			_, _ = io.Copy(w, io.LimitReader(strings.NewReader("x"), 1))
			w.WriteHeader(503)
		}, http.StatusOK, 0},
	} {
		l := NewLimiter()
		w := get(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.say(w) })), background)
		require.Equal(t, c.code, w.Code)
		require.Equal(t, c.drops, l.drops.Load())
	}
	var s *watched
	l := NewLimiter()
	get(l.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s = w.(*watched)
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusServiceUnavailable)
	})), background)
	require.Equal(t, http.StatusServiceUnavailable, s.status)
	require.EqualValues(t, 1, l.drops.Load())
	w := get(NewLimiter().Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() })), background)
	require.True(t, w.Flushed)
}

// TestHandlerKeepsWhatAServerCan uses what a ResponseWriter may do beyond the interface.
func TestHandlerKeepsWhatAServerCan(t *testing.T) {
	h := NewLimiter().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hijack" {
			conn, rw, err := http.NewResponseController(w).Hijack()
			require.NoError(t, err)
			_, _ = rw.WriteString("HTTP/1.1 204 No Content\r\n\r\n")
			_ = rw.Flush()
			_ = conn.Close()
			return
		}
		require.NoError(t, http.NewResponseController(w).Flush())
		w.(http.Flusher).Flush()
		_, _ = io.Copy(w, strings.NewReader("copied"))
	}))
	srv := httptest.NewServer(h)
	defer srv.Close()
	res, err := http.Get(srv.URL)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "copied", string(b))
	_ = res.Body.Close()
	res, err = http.Get(srv.URL + "/hijack")
	require.NoError(t, err)
	_ = res.Body.Close()
	require.Equal(t, http.StatusNoContent, res.StatusCode)
}

type closes struct {
	io.Reader
	closed int
}

func (c *closes) Close() error { c.closed++; return nil }

func TestTransport(t *testing.T) {
	l := NewLimiter(Fixed(1))
	var answer func() (*http.Response, error)
	rt := l.Transport(roundTrip(func(*http.Request) (*http.Response, error) { return answer() }))
	require.Equal(t, http.DefaultTransport, l.Transport(nil).(limited).base)
	send := func(body io.ReadCloser) (*http.Response, error) {
		req := httptest.NewRequest(http.MethodPost, "http://x", body)
		return rt.RoundTrip(req)
	}
	body := &closes{Reader: strings.NewReader("abc")}
	answer = func() (*http.Response, error) { return &http.Response{StatusCode: 200, Body: body}, nil }
	res, err := send(nil)
	require.NoError(t, err)
	require.Equal(t, 1, l.Stats().InFlight, "held while the body is read")
	upload := &closes{Reader: strings.NewReader("")}
	_, err = send(upload)
	require.ErrorIs(t, err, ErrOverload)
	require.Equal(t, 1, upload.closed)
	_, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	idle(t, l)
	_ = res.Body.Close()
	_ = res.Body.Close()
	require.Equal(t, 2, body.closed)
	idle(t, l)

	res, err = send(nil)
	require.NoError(t, err)
	_ = res.Body.Close()
	idle(t, l)
	answer = func() (*http.Response, error) { return &http.Response{StatusCode: 200, Body: body}, nil }
	body.Reader = strings.NewReader("abc")
	res, err = send(nil)
	require.NoError(t, err)
	_, err = res.Body.Read(make([]byte, 2))
	require.NoError(t, err)
	require.Equal(t, 1, l.Stats().InFlight, "there is more to read")
	_, err = rt.RoundTrip(&http.Request{}) // without a body
	require.ErrorIs(t, err, ErrOverload)
	_ = res.Body.Close()
	idle(t, l)
	for _, small := range []*http.Response{
		{StatusCode: http.StatusSwitchingProtocols, Body: body}, // from now on it is a connection
		{StatusCode: http.StatusNoContent, Body: http.NoBody},
		{StatusCode: http.StatusNoContent},
	} {
		want := small.Body
		answer = func() (*http.Response, error) { return small, nil }
		res, err = send(nil)
		require.NoError(t, err)
		require.Equal(t, want, res.Body)
		idle(t, l)
	}
	for _, boom := range []error{errors.New("boom"), &net.DNSError{IsNotFound: true}} {
		answer = func() (*http.Response, error) { return nil, boom }
		_, err = send(nil)
		require.ErrorIs(t, err, boom)
		idle(t, l)
		require.Zero(t, l.drops.Load())
	}
	answer = func() (*http.Response, error) { return nil, os.ErrDeadlineExceeded }
	_, err = send(nil)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.EqualValues(t, 1, l.drops.Swap(0), "a timeout of the network")
	answer = func() (*http.Response, error) { return nil, context.DeadlineExceeded }
	_, err = send(nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	answer = func() (*http.Response, error) { return &http.Response{StatusCode: 503, Body: http.NoBody}, nil }
	_, _ = send(nil)
	answer = func() (*http.Response, error) { panic("oh") }
	require.Panics(t, func() { _, _ = send(nil) })
	idle(t, l)
	require.EqualValues(t, 3, l.drops.Load())
}

// What gRPC looks like from here; the real one is tried in a module of its own.
type (
	info    struct{}
	conn    struct{}
	option  int
	stream  struct{ ctx context.Context }
	handler func(context.Context, any) (any, error)
)

func (s stream) Context() context.Context { return s.ctx }

func TestInterceptors(t *testing.T) {
	l := NewLimiter(Fixed(1))
	refused := errors.New("resource exhausted")
	toStatus := func(o *Overload) error { require.Equal(t, Full, o.Reason); return refused }
	unary := UnaryServer[info, handler](l, toStatus)
	res, err := unary(background, 7, nil, func(_ context.Context, req any) (any, error) {
		_, err := unary(background, 8, nil, nil)
		require.Equal(t, refused, err)
		return req, nil
	})
	require.NoError(t, err)
	require.Equal(t, 7, res)

	serve := StreamServer[stream, info, func(any, stream) error](l, nil)
	err = serve(nil, stream{background}, nil, func(any, stream) error {
		return serve(nil, stream{background}, nil, nil)
	})
	require.ErrorIs(t, err, ErrOverload)
	idle(t, l)

	type invoker func(context.Context, string, any, any, *conn, ...option) error
	boom := errors.New("boom")
	call := UnaryClient[conn, option, invoker](l, func(err error) bool { return errors.Is(err, boom) })
	before := l.drops.Load()
	err = call(background, "m", 1, 2, nil, func(_ context.Context, m string, req, reply any, _ *conn, opts ...option) error {
		require.Equal(t, []any{"m", 1, 2, []option{3}}, []any{m, req, reply, opts})
		require.ErrorIs(t, call(background, "m", 1, 2, nil, nil), ErrOverload)
		return boom
	}, 3)
	require.ErrorIs(t, err, boom)
	require.Equal(t, before+1, l.drops.Load())
	idle(t, l)
	for want, says := range map[int64][]error{0: {nil, io.EOF}, 1: {boom, errFull, context.DeadlineExceeded}} {
		for _, err := range says {
			before := l.drops.Load()
			require.Equal(t, err, call(background, "m", 1, 2, nil, func(context.Context, string, any, any, *conn, ...option) error { return err }))
			require.Equal(t, before+want, l.drops.Load(), err)
		}
	}
	before = l.drops.Load()
	require.Panics(t, func() {
		_ = call(background, "m", 1, 2, nil, func(context.Context, string, any, any, *conn, ...option) error { panic("oh") })
	})
	require.Equal(t, before+1, l.drops.Load())
	idle(t, l)
	wary := UnaryClient[conn, option, invoker](l, func(error) bool { return true })
	require.NoError(t, wary(background, "m", 1, 2, nil, func(context.Context, string, any, any, *conn, ...option) error { return nil }))
	require.Equal(t, before+1, l.drops.Load(), "only errors are asked about")
	naive := UnaryClient[conn, option, invoker](l, nil)
	require.ErrorIs(t, naive(background, "m", 1, 2, nil, func(context.Context, string, any, any, *conn, ...option) error { return boom }), boom)
	require.Equal(t, before+1, l.drops.Load(), "nobody says that it is busy")

	type streamer func(context.Context, *info, *conn, string, ...option) (stream, error)
	open := StreamClient[info, conn, option, stream, streamer](l, func(err error) bool { return errors.Is(err, boom) })
	ctx, end := context.WithCancel(background)
	samples := l.meter.n
	_, err = open(ctx, nil, nil, "m", func(ctx context.Context, _ *info, _ *conn, _ string, _ ...option) (stream, error) {
		return stream{ctx}, nil
	})
	require.NoError(t, err)
	_, err = open(ctx, nil, nil, "m", nil)
	require.ErrorIs(t, err, ErrOverload)
	end()
	for l.Stats().InFlight > 0 {
		runtime.Gosched()
	}
	require.Equal(t, samples, l.meter.n, "how long a stream lasts says nothing")
	for want, err := range map[int64]error{0: io.EOF, 1: boom} {
		before := l.drops.Load()
		_, got := open(background, nil, nil, "m", func(context.Context, *info, *conn, string, ...option) (stream, error) {
			return stream{}, err
		})
		require.ErrorIs(t, got, err)
		require.Equal(t, before+want, l.drops.Load())
		idle(t, l)
	}
	before = l.drops.Load()
	require.Panics(t, func() {
		_, _ = open(background, nil, nil, "m", func(context.Context, *info, *conn, string, ...option) (stream, error) { panic("oh") })
	})
	require.Equal(t, before+1, l.drops.Load())
	idle(t, l)
}
