package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/stretchr/testify/require"
)

// TestRandomNodesAreKilledAgainAndAgain kills processes without warning, now this one and now that, while
// their logs grow, and starts each again. It goes on for as long as CALM_SOAK says, three seconds by
// default; in the end every process must know exactly what was logged.
func TestRandomNodesAreKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs SIGKILL")
	}
	lasts := 3 * time.Second
	if s := os.Getenv("CALM_SOAK"); s != "" {
		var err error
		lasts, err = time.ParseDuration(s)
		require.NoError(t, err, "CALM_SOAK")
	}
	const nodes = 3
	dir := t.TempDir()
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	var binds [nodes]string
	for i := range binds {
		binds[i] = freePort(t)
	}
	logFile := func(i int) string { return filepath.Join(dir, fmt.Sprintf("%d.log", i)) }
	again := func(i int) *process {
		return start(t, "-bind", binds[i], "-join", binds[(i+1)%nodes]+","+binds[(i+2)%nodes], "-key", key,
			"-log", logFile(i), "-data", filepath.Join(dir, fmt.Sprint(i)), "-flush", "10ms")
	}

	want := newRecount()
	written := uint64(0)
	grow := func(i, lines int) { // the log of a node
		written++
		stream, err := accesslog.Input{Made: &accesslog.Made{Lines: lines, Visitors: 1000, Pages: 100, Seed: written}}.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(stream)
		require.NoError(t, err)
		f, err := os.OpenFile(logFile(i), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = f.Write(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		want.add(string(text), everything)
	}

	var running [nodes]*process
	for i := range running {
		grow(i, 5000)
		running[i] = again(i)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for began := time.Now(); time.Since(began) < lasts; kills++ {
		i := rng.IntN(nodes)
		<-time.After(time.Duration(rng.IntN(300)) * time.Millisecond)
		require.NoError(t, running[i].cmd.Process.Kill())
		running[i].end(t)
		grow(i, rng.IntN(20_000))
		running[i] = again(i)
	}
	var total int64
	for _, p := range want.pages {
		total += p.requests
	}
	t.Logf("killed %d processes while %d requests were logged", kills, total)

	for _, p := range running {
		var s status
		require.Eventually(t, func() bool {
			var ok bool
			s, ok = p.state()
			return ok && s.Totals.Requests >= total && s.Converged && s.Gossip.Members == nodes
		}, patience, poll)
		require.Equal(t, total, s.Totals.Requests)
		require.Equal(t, len(want.visitors), s.Totals.Visitors)
		require.Equal(t, len(want.pages), s.Totals.Pages)
		for _, page := range s.Totals.Top {
			require.Equal(t, want.pages[page.Page].requests, page.Requests)
			require.Equal(t, want.pages[page.Page].bytes, page.Bytes)
			require.Len(t, want.pages[page.Page].visitors, page.Visitors)
		}
	}
}
