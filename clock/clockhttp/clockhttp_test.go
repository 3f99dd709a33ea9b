package clockhttp_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/clock/clockhttp"
)

var noon = clock.At(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)).Physical()

// echo answers with the timestamp of the receipt.
func echo(w http.ResponseWriter, r *http.Request) {
	t, ok := clock.FromContext(r.Context())
	fmt.Fprint(w, t, " ", ok)
}

func fakeClock(ahead time.Duration) (*clock.Clock, *clock.Fake) {
	f := clock.NewFake(noon.Add(ahead))
	return clock.New(clock.WithSource(f)), f
}

func get(t *testing.T, c *http.Client, url string) (string, *http.Response, error) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(b), resp, nil
}

func TestRequestsAndRepliesAreOrdered(t *testing.T) {
	a, _ := fakeClock(0)
	b, _ := fakeClock(200 * time.Millisecond) // faster, within the limit
	for _, h := range []http.HandlerFunc{
		echo,
		func(w http.ResponseWriter, r *http.Request) {},
		func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) },
		func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() },
		func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
		},
	} {
		server := httptest.NewServer(clockhttp.Handler(b, h))
		before := a.Last()
		_, resp, err := get(t, &http.Client{Transport: &clockhttp.Transport{Clock: a}}, server.URL)
		require.NoError(t, err)
		sent, err := clock.ParseTimestamp(resp.Header.Get(clock.Key))
		require.NoError(t, err)
		require.Greater(t, sent, before)
		require.Greater(t, a.Last(), sent)
		require.Len(t, resp.Header.Values(clock.Key), 1)
		server.Close()
	}
}

func TestAPlainClientIsServed(t *testing.T) {
	b, _ := fakeClock(0)
	server := httptest.NewServer(clockhttp.Handler(b, http.HandlerFunc(echo)))
	defer server.Close()
	body, resp, err := get(t, server.Client(), server.URL)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(body, " true"))
	require.NotEmpty(t, resp.Header.Get(clock.Key))
}

func TestAFarTimestampIsRefusedAtEitherEnd(t *testing.T) {
	healthy, _ := fakeClock(0)
	fast, _ := fakeClock(3 * time.Hour)
	served := 0
	count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ })

	server := httptest.NewServer(clockhttp.Handler(healthy, count))
	defer server.Close()
	req, err := http.NewRequest("GET", server.URL, nil)
	require.NoError(t, err)
	fast.Inject(req.Header)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	require.Contains(t, string(body), "2h59m59.9999")
	require.Zero(t, served)
	require.Less(t, healthy.Last(), noon.Add(time.Second))

	away := httptest.NewServer(clockhttp.Handler(fast, count))
	defer away.Close()
	_, _, err = get(t, &http.Client{Transport: &clockhttp.Transport{Clock: healthy}}, away.URL)
	require.ErrorIs(t, err, clock.ErrDrift)
	require.ErrorContains(t, err, "2h59m59.9999")
	require.Equal(t, 1, served)
	require.Less(t, healthy.Last(), noon.Add(time.Second))

	var refused error
	lenient := httptest.NewServer(clockhttp.Handler(healthy, count, clockhttp.OnRefuse(func(w http.ResponseWriter, _ *http.Request, err error) {
		refused = err
		w.WriteHeader(http.StatusTeapot)
	})))
	defer lenient.Close()
	req.URL.Host = strings.TrimPrefix(lenient.URL, "http://")
	req.Header.Set(clock.Key, "soon")
	resp, err = http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusTeapot, resp.StatusCode)
	require.ErrorIs(t, refused, clock.ErrMalformed)
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestTransportPassesErrorsOnAndLeavesTheRequestAlone(t *testing.T) {
	c, _ := fakeClock(0)
	boom := errors.New("boom")
	r := &http.Request{}
	_, err := (&clockhttp.Transport{Clock: c, Base: failing{boom}}).RoundTrip(r)
	require.ErrorIs(t, err, boom)
	require.Nil(t, r.Header)
}

// shifted is a wall clock that is wrong.
type shifted time.Duration

func (s shifted) Now() int64 { return time.Now().Add(time.Duration(s)).UnixNano() }

const serveWith = "CLOCKHTTP_TEST_AHEAD"

// What is missing is told where the handler is made, not when the first request comes.
func TestAHandlerNeedsItsParts(t *testing.T) {
	c := clock.New()
	for _, broken := range []func(){
		func() { clockhttp.Handler(nil, http.NotFoundHandler()) },
		func() { clockhttp.Handler(c, nil) },
		func() { clockhttp.Handler(c, http.NotFoundHandler(), clockhttp.OnRefuse(nil)) },
		func() { clockhttp.Handler(c, http.NotFoundHandler(), nil) },
	} {
		require.Panics(t, broken)
	}
}

// TestMain serves, when told to, as the other process of TestTwoProcesses.
func TestMain(m *testing.M) {
	ahead, err := time.ParseDuration(os.Getenv(serveWith))
	if err != nil {
		os.Exit(m.Run())
	}
	server := httptest.NewServer(clockhttp.Handler(clock.New(clock.WithSource(shifted(ahead))), http.HandlerFunc(echo)))
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
}

func startProcess(t *testing.T, ahead time.Duration) (url string) {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), serveWith+"="+ahead.String())
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	url, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(url)
}

// TestTwoProcesses exchanges timestamps with one process whose wall clock is right and one
// whose is three hours ahead. The healthy two keep going with each other, and the error
// names the offset.
func TestTwoProcesses(t *testing.T) {
	good, bad := startProcess(t, 0), startProcess(t, 3*time.Hour)
	c := clock.New()
	client := &http.Client{Transport: &clockhttp.Transport{Clock: c}}
	last := clock.Timestamp(0)
	for range 50 {
		body, _, err := get(t, client, good)
		require.NoError(t, err)
		there, err := clock.ParseTimestamp(strings.TrimSuffix(body, " true"))
		require.NoError(t, err)
		require.Greater(t, there, last)
		last = c.Now()
		require.Greater(t, last, there)

		_, _, err = get(t, client, bad)
		var drift *clock.DriftError
		require.ErrorAs(t, err, &drift)
		require.InDelta(t, 3*time.Hour, drift.Ahead(), float64(time.Minute))
		require.Contains(t, err.Error(), drift.Ahead().String()+" ahead")
		require.Less(t, c.Last().Sub(clock.At(time.Now())), time.Minute)
	}
	require.EqualValues(t, 50, c.Stats().Refused)
}
