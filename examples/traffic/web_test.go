package main

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// get returns what a URL answers.
func get(t *testing.T, url string) (header http.Header, body string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.Header, string(b)
}

// startPair starts two nodes that know each other.
func startPair(t *testing.T) (a, b *node) {
	t.Helper()
	cfg := testConfig(nil).node
	cfg.local = true
	cfg.name = "a"
	a, err := startNode(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { a.close() })
	cfg.name, cfg.join = "b", []string{a.agent.Addr()}
	b, err = startNode(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { b.close() })
	return a, b
}

func TestWeb(t *testing.T) {
	t.Parallel()
	a, b := startPair(t)
	evil := strings.ReplaceAll(oneLine, "/x", `/<script>alert(1)</script>`)
	a.feed(chunk{oneLine + "nonsense \x1b[31m\n", 80, 0})
	b.feed(chunk{evil, 90, 0})

	var s status
	require.Eventually(t, func() bool {
		_, body := get(t, b.web.url()+"state")
		s = status{}
		return json.Unmarshal([]byte(body), &s) == nil && s.Totals.Requests == 2 && s.Converged
	}, patience, poll)
	require.Equal(t, "b", s.Node)
	require.Len(t, s.Nodes, 2)
	require.Equal(t, "b", s.Nodes[0].Node)
	require.Equal(t, "a", s.Nodes[1].Node)
	require.Equal(t, 2, s.Gossip.Members)
	require.Equal(t, 1, s.Totals.Visitors)
	require.EqualValues(t, 20, s.Totals.Bytes)
	require.Equal(t, map[string]int64{"2xx": 2}, s.Totals.Classes)
	require.EqualValues(t, 1, s.Ingest.Lines)

	_, body := get(t, a.web.url()+"state")
	require.NoError(t, json.Unmarshal([]byte(body), &s))
	require.Equal(t, []string{"no time such as [02/Jan/2006:15:04:05 -0700]: nonsense �[31m"}, s.Ingest.BadLines)

	header, page := get(t, b.web.url())
	require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	require.NotRegexp(t, `(src|href)=|https?://|innerHTML`, page, "the page needs nothing from elsewhere, and writes no markup")

	resp, err := http.Get(b.web.url() + "nowhere")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	resp, err = http.Post(b.web.url()+"state", "", nil)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}

func TestMetrics(t *testing.T) {
	a, _ := startPair(t)
	a.feed(chunk{oneLine + oneLine + "x\n", 80, 0})
	require.NoError(t, a.flush())
	var text string
	require.Eventually(t, func() bool {
		var header http.Header
		header, text = get(t, a.web.url()+"metrics")
		require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", header.Get("Content-Type"))
		return strings.Contains(text, "\ntraffic_requests 2\n")
	}, patience, poll)
	for _, want := range []string{"traffic_lines_total 3", "traffic_malformed_lines_total 1", `traffic_responses{class="2xx"} 2`} {
		require.Contains(t, text, "\n"+want+"\n")
	}
	// Every sample has its HELP and TYPE before it, and every line is one of the three.
	sample := regexp.MustCompile(`^(traffic_[a-z_]+)(\{class="\dxx"\})? \d+$`)
	var name string
	for l := range strings.Lines(text) {
		l = strings.TrimSuffix(l, "\n")
		if help, ok := strings.CutPrefix(l, "# HELP "); ok {
			name, _, _ = strings.Cut(help, " ")
			continue
		}
		if kind, ok := strings.CutPrefix(l, "# TYPE "); ok {
			require.Regexp(t, `^`+name+` (gauge|counter)$`, kind)
			continue
		}
		m := sample.FindStringSubmatch(l)
		require.NotNil(t, m, l)
		require.Equal(t, name, m[1])
	}
}
