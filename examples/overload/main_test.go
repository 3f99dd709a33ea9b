package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a network in memory, for virtual time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func inMemory() (network, error) {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return network{p, func(ctx context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		select {
		case p.conns <- server:
			return client, nil
		case <-p.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, nil
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// TestOnlyTheLimiterHolds runs the whole of it in virtual time: what is shown must be so, whatever the
// machine does meanwhile.
func TestOnlyTheLimiterHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		e := experiment{
			power: power{slots: 8, mean: 20 * time.Millisecond}, deadline: 250 * time.Millisecond, guess: 64,
			loads: []float64{1, 5}, step: 3 * time.Second, seed: 1, listen: inMemory, out: &out,
		}
		r, err := e.run(t.Context())
		require.NoError(t, err)
		t.Log("\n" + out.String())
		for v, name := range r.names {
			require.Greater(t, r.share(r.byLoad[v][0], 1), 0.9, "%s, offered what it can do", name)
			beyond, small := r.share(r.byLoad[v][1], 5), percent(r.tenants[v].mice)
			if name == "limiter" {
				require.Greater(t, beyond, 0.9, "%s, offered five times as much", name)
				require.Greater(t, small, 95.0, "%s, the small tenants", name)
			} else {
				require.Less(t, beyond, 0.5, "%s, offered five times as much", name)
				require.Less(t, small, 50.0, "%s, the small tenants", name)
			}
		}
		time.Sleep(time.Minute) // the unprotected service is still at work on what nobody waits for
	})
}

// TestProgram runs it for a moment over loopback. How much is served is up to the machine.
func TestProgram(t *testing.T) {
	var out bytes.Buffer
	path := filepath.Join(t.TempDir(), "report.html")
	args := "-slots 2 -work 2ms -deadline 50ms -step 60ms -loads 0.5,3 -o " + path
	require.NoError(t, command(t.Context(), strings.Fields(args), &out, io.Discard))
	require.Contains(t, out.String(), "capacity 1000 requests/s")
	require.Contains(t, out.String(), "limiter            3x")
	require.Contains(t, out.String(), "charts: "+path)
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(page), "<svg")
}

// TestWrk runs it with wrk, if that is installed.
func TestWrk(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Skip("no wrk")
	}
	var out bytes.Buffer
	path := filepath.Join(t.TempDir(), "report.svg")
	args := "-wrk -slots 2 -work 2ms -deadline 50ms -step 1s -loads 0.5 -o " + path
	require.NoError(t, command(t.Context(), strings.Fields(args), &out, io.Discard))
	for _, line := range strings.Split(out.String(), "\n")[3:6] {
		fields := strings.Fields(line)
		require.Greater(t, len(fields), 3, line)
		require.NotEqual(t, "0", fields[2], "answered in time: %s", line)
	}
	image, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(image), "answered in time, requests/s")
	require.Contains(t, string(image), "callers give up")
}

func TestWhatWrkSays(t *testing.T) {
	o, err := parseOutcome([]byte("Running 2s test\noutcome\t10\t3\t1500 250.5 1e3\nRequests/sec: 5\n"))
	require.NoError(t, err)
	require.Equal(t, outcome{
		offered: 10, refused: 3, good: 3, late: 4,
		took: []time.Duration{1500 * time.Microsecond, 250 * time.Microsecond, 1000 * time.Microsecond},
	}, o)
	o, err = parseOutcome([]byte("outcome 10 10 \n"))
	require.NoError(t, err)
	require.Equal(t, outcome{offered: 10, refused: 10}, o)
	for _, bad := range []string{"", "outcome 1", "outcome 1 2 x"} {
		_, err = parseOutcome([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestServe(t *testing.T) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- command(ctx, []string{"-serve", "-work", "1ms"}, w, io.Discard)
		w.Close()
	}()
	lines := bufio.NewScanner(r)
	require.True(t, lines.Scan())
	var urls []string
	for range 3 { // it serves when it has named them all
		require.True(t, lines.Scan())
		url, _, _ := strings.Cut(lines.Text(), " ")
		urls = append(urls, url)
	}
	for _, url := range urls {
		resp, err := http.Get(url) //nolint:gosec // it printed it
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, url)
	}
	cancel()
	require.NoError(t, <-ended)
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"more":              `unexpected "more"`,
		"-loads 1,x":        `"x" is not`,
		"-loads 0":          `"0" is not`,
		"-slots 0":          "-slots is from 1",
		"-guess 1000000000": "-guess is from 1",
		"-o /no/such/x":     "-o: stat",
		"-step 0s":          "more than nothing",
		"-serve -http none": "missing port",
	} {
		err := command(t.Context(), strings.Fields(args), io.Discard, io.Discard)
		require.ErrorContains(t, err, want, args)
	}
}
