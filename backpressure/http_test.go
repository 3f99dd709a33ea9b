package backpressure

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"

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
	done, cancel := context.WithCancel(background)
	cancel()
	require.Equal(t, http.StatusServiceUnavailable, get(h, done).Code)
	idle(t, l)
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
		0: Done, 200: Done, 302: Done, 400: Ignored, 404: Ignored, 429: Dropped, 500: Ignored, 503: Dropped, 504: Dropped,
	} {
		require.Equal(t, want, outcomeOfStatus(status), status)
	}
	var s *watched
	h := NewLimiter().Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s = w.(*watched)
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
	}))
	get(h, background)
	require.Equal(t, http.StatusTeapot, s.status)
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
	for _, status := range []int{http.StatusSwitchingProtocols, http.StatusNoContent} {
		answer = func() (*http.Response, error) { return &http.Response{StatusCode: status, Body: http.NoBody}, nil }
		_, err = send(nil)
		require.NoError(t, err)
		idle(t, l)
	}
	boom := errors.New("boom")
	answer = func() (*http.Response, error) { return nil, boom }
	_, err = send(nil)
	require.ErrorIs(t, err, boom)
	idle(t, l)
	require.Zero(t, l.drops.Load())
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

	type streamer func(context.Context, *info, *conn, string, ...option) (stream, error)
	open := StreamClient[info, conn, option, stream, streamer](l, nil)
	ctx, end := context.WithCancel(background)
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
	_, err = open(background, nil, nil, "m", func(context.Context, *info, *conn, string, ...option) (stream, error) {
		return stream{}, boom
	})
	require.ErrorIs(t, err, boom)
	idle(t, l)
}

func TestWriteMetrics(t *testing.T) {
	var b strings.Builder
	q := NewQueue[int](3)
	_ = q.TryPut(1)
	l := NewLimiter(Fixed(2))
	l.TryAcquire()
	g := NewGate("g")
	g.Set(0.25)
	require.NoError(t, WriteMetrics(&b,
		Metric{"jobs", q.Stats()}, Metric{"a \"quoted\\\nname\xff", l.Stats()}, Metric{"db", NewLimiter(Fixed(7)).Stats()},
		Metric{"shards", NewBreaker[int]().Stats()}, Metric{"g", g.Stats()}))
	for _, want := range []string{
		"# TYPE backpressure_queue_length gauge\nbackpressure_queue_length{name=\"jobs\"} 1\n",
		"# TYPE backpressure_queue_put_total counter\nbackpressure_queue_put_total{name=\"jobs\"} 1\n",
		"# TYPE backpressure_limiter_limit gauge\nbackpressure_limiter_limit{name=\"a \\\"quoted\\\\\\nname?\"} 2\nbackpressure_limiter_limit{name=\"db\"} 7\n",
		"backpressure_limiter_rtt_seconds{name=\"db\"} 0\n",
		"backpressure_breaker_open{name=\"shards\"} 0\n",
		"backpressure_gate_share{name=\"g\"} 0.25\n",
	} {
		require.Contains(t, b.String(), want)
	}
	b.Reset()
	require.ErrorContains(t, WriteMetrics(&b, Metric{"jobs", q.Stats()}, Metric{"x", 7}), "int")
	require.Empty(t, b.String())
}
