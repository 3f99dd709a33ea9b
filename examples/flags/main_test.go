package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/examples/internal/replica"
)

// asProgram has the test's binary be the program.
const asProgram = "CALM_TEST_FLAGS"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		go func() { // it must not outlive the test, however that ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		main()
		return
	}
	os.Exit(m.Run())
}

// process starts the program as a node, and returns where it is asked, and where others join it.
func process(t *testing.T, args ...string) (url, join string) {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, append([]string{"-serve", "-http", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = os.Stderr
	_, err = cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	_, err = fmt.Fscanf(out, "%s others join %s\n", &url, &join)
	require.NoError(t, err)
	return strings.TrimSuffix(url, "/flags,"), join
}

// TestJoin: two processes find each other through a third one, and what one of them is told all know.
func TestJoin(t *testing.T) {
	first, join := process(t)
	nodes := []string{first}
	for range 2 {
		url, _ := process(t, "-join", "127.0.0.1:1,"+join)
		nodes = append(nodes, url)
	}
	put := func(url, flag string) {
		req, err := http.NewRequest(http.MethodPut, url+"/flags/"+flag, strings.NewReader(`{"share":1}`))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
	}
	put(nodes[1], "greeting")
	put(nodes[2], "other")
	for _, url := range nodes {
		require.Eventually(t, func() bool {
			var known map[string]struct{ Share float64 }
			resp, err := http.Get(url + "/flags")
			require.NoError(t, err)
			defer resp.Body.Close()
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&known))
			return known["greeting"].Share == 1 && known["other"].Share == 1
		}, patience, time.Millisecond)
	}
}

// TestCommand runs all of it.
func TestCommand(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, command(context.Background(), nil, &out))
	text := out.String()
	t.Log(text)
	require.Regexp(t, `it ran \d+ times, and would have answered otherwise [1-9]\d* times`, text)
	require.Regexp(t, `mended, it ran [1-9]\d* times, and would have answered otherwise 0 times`, text)
	require.Contains(t, text, "\n  100 %  100 %  100 %\n")
	require.Regexp(t, `0 %    0 %    0 %, .* later: pulled back: \d+ of the last \d+ runs failed there`, text)
	require.Contains(t, text, "\n   30 %    5 %    5 %\n")
	require.Contains(t, text, "nobody saw a wrong one")
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"x":                    `unexpected "x"`,
		"-serve -bind nowhere": "missing port",
		"-serve -http nowhere": "missing port",
	} {
		require.ErrorContains(t, command(context.Background(), strings.Fields(args), io.Discard), want)
	}
	var help bytes.Buffer
	require.ErrorIs(t, command(context.Background(), []string{"-h"}, &help), flag.ErrHelp)
	require.Contains(t, help.String(), "-serve")
}

func alone(t testing.TB) *service {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := newService(replica.Config{Bind: "127.0.0.1:0"}, l)
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s
}

// TestServe: one node is set and asked over HTTP, until it is told to end.
func TestServe(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- command(ctx, []string{"-serve", "-http", "127.0.0.1:0"}, w) }()
	line := make([]byte, 200)
	n, err := r.Read(line)
	require.NoError(t, err)
	url, _, _ := strings.Cut(string(line[:n]), "/flags")
	do := func(method, path, body string) (int, string) {
		req, err := http.NewRequest(method, url+path, strings.NewReader(body))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, resp.Header.Get("X-Code") + string(text)
	}
	for body, want := range map[string]string{
		"{":                             "unexpected EOF",
		"{}":                            "a share",
		`{"share":2}`:                   "from 0 to 1",
		`{"share":1,"over":"-1s"}`:      "no less than no time",
		`{"share":1,"over":"long"}`:     "invalid duration",
		`{"share":1,"whatever":"long"}`: "unknown field",
	} {
		status, text := do("PUT", "/flags/greeting", body)
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, text, want)
	}
	_, text := do("GET", "/flags", "")
	require.Equal(t, "{}\n", text, "what is refused leaves nothing behind")
	status, _ := do("GET", "/hello", "")
	require.Equal(t, http.StatusBadRequest, status)

	_, text = do("GET", "/hello?user=ann", "")
	require.Equal(t, "oldHello, ANN!", text)
	status, _ = do("PUT", "/flags/greeting", `{"share":1}`)
	require.Equal(t, http.StatusNoContent, status)
	_, text = do("GET", "/hello?user=ann", "")
	require.Equal(t, "newHello, ANN!", text)
	_, text = do("GET", "/flags", "")
	require.Contains(t, text, `"greeting":{"share":1,"to":1,"over":"0s","dark":false,"at":`)
	stop()
	require.NoError(t, <-served)
}

// TestUnhealthyIsPulledBack, to where the last plan began, or else to nobody; what is well is not.
func TestUnhealthyIsPulledBack(t *testing.T) {
	f := alone(t).flags
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	run := func(runs, failures int) {
		for i := range runs {
			f.Get("x").health.ran(i >= failures)
		}
	}
	require.NoError(t, f.Set("x", 0.2, 0, false, ""))
	run(1000, 1) // one in a thousand is well, and so is a ramp
	require.NoError(t, f.Set("x", 1, time.Hour, false, ""))
	run(runsToJudge-1, runsToJudge-1) // of so few it does not judge
	require.True(t, f.Get("x").health.ok())
	f.View(func() { require.Equal(t, 1.0, f.Get("x").plan.To) })
	run(1, 0)
	require.NoError(t, f.until(ctx, "x", func(p plan) bool { return p.To == 0.2 }))
	require.Equal(t, 0.2, f.Get("x").gate.Share())
	run(runsToJudge, runsToJudge)
	require.NoError(t, f.until(ctx, "x", func(p plan) bool { return p.To == 0 }))
	require.False(t, f.Get("x").On("anybody"))
}

// TestPlanFromElsewhere: one that comes late is joined where it is by now, and one that cannot be
// read lets nobody in.
func TestPlanFromElsewhere(t *testing.T) {
	g := func(p plan, ago time.Duration) float64 {
		f := alone(t).flags
		require.NoError(t, f.Set("x", 0, 0, false, ""))
		f.View(func() { f.Get("x").carryOut(p, f.Get("x").stamp, ago) })
		return f.Get("x").gate.Share()
	}
	p := plan{From: 0.2, To: 0.6, Over: time.Hour}
	require.InDelta(t, 0.2, g(p, -time.Minute), 0.01, "a clock ahead of this one")
	require.InDelta(t, 0.4, g(p, 30*time.Minute), 0.01)
	require.Equal(t, 0.6, g(p, 2*time.Hour))

	f := alone(t).flags
	require.NoError(t, f.Set("x", 1, 0, false, ""))
	for _, text := range []string{"{", `{"from":0,"to":7}`, `{"to":1,"over":-1}`} {
		require.NoError(t, f.Do(func() error {
			f.plans.At("x").Set(f.clock.Now(), text)
			f.refresh()
			return nil
		}))
		require.Zero(t, f.Get("x").gate.Share())
	}
}

// TestReadingAFlagAllocatesNothing, while it ramps and while it does not.
func TestReadingAFlagAllocatesNothing(t *testing.T) {
	f := alone(t).flags
	for _, over := range []time.Duration{0, time.Hour} {
		require.NoError(t, f.Set("x", 0.5, over, false, ""))
		require.Zero(t, testing.AllocsPerRun(1000, func() { f.Get("x").On("some user") }))
	}
}

// BenchmarkFlag is what a request pays for a flag.
func BenchmarkFlag(b *testing.B) {
	f := alone(b).flags
	keys := make([]string, 256)
	for i := range keys {
		keys[i] = "user-" + strconv.Itoa(i)
	}
	for name, over := range map[string]time.Duration{"still": 0, "ramp": time.Hour} {
		b.Run(name, func(b *testing.B) {
			require.NoError(b, f.Set("x", 0, 0, false, ""))
			require.NoError(b, f.Set("x", 0.5, over, false, ""))
			b.ReportAllocs()
			n := 0
			for i := 0; b.Loop(); i++ {
				if f.Get("x").On(keys[i%256]) {
					n++
				}
			}
		})
	}
}
