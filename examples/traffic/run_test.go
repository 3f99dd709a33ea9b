package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/gossip"
)

// testConfig is a run of a small made-up log.
func testConfig(out io.Writer) runConfig {
	made := accesslog.Made{Lines: 20_000, Visitors: 500, Pages: 60, Seed: 3}
	return runConfig{
		nodes:     3,
		input:     accesslog.Input{Name: made.String(), Made: &made},
		partition: true,
		cutFor:    200 * time.Millisecond,
		patience:  time.Minute,
		out:       out,
		node: nodeConfig{
			bind: "127.0.0.1:0", http: "127.0.0.1:0", workers: 2, queue: 1024, full: fullBlock,
			flush: 20 * time.Millisecond, log: io.Discard,
		},
	}
}

const (
	patience = 30 * time.Second
	poll     = 2 * time.Millisecond
)

// runs runs cfg, requires an exit code, and returns what was printed.
func runs(t *testing.T, ctx context.Context, cfg runConfig, want int) string {
	t.Helper()
	var out bytes.Buffer
	cfg.out = &out
	code, err := run(ctx, cfg)
	require.NoError(t, err, out.String())
	require.Equal(t, want, code, out.String())
	return out.String()
}

func TestRunCutsHealsAndConverges(t *testing.T) {
	t.Parallel()
	cfg := testConfig(nil)
	cfg.cutFor = 500 * time.Millisecond
	out := runs(t, context.Background(), cfg, exitOK)
	require.Contains(t, out, "check: ok, totals equal on 3 nodes and equal to a single-threaded recount")
	require.Contains(t, out, "nodes 1–2 | 3–3 took")
	require.Contains(t, out, "20 000 requests for 60 pages by")
	require.Regexp(t, `all nodes held the same state .* after the (heal|last line)`, out)
	require.Regexp(t, `the cut dropped [1-9][0-9 ]* packets`, out)
	known := regexp.MustCompile(`knew of ([0-9 ]+) \| ([0-9 ]+) requests in the end`).FindStringSubmatch(out)
	require.Len(t, known, 3)
	require.NotContains(t, known, "20 000", "the cut keeps each side from knowing all")
	require.Regexp(t, `speed: [0-9 ]+ lines/s into 3 nodes`, out)
}

func TestRunOfFew(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		nodes int
		stdin string
		says  string
	}{
		{"one node", 1, oneLine + oneLine, "one node alone"},
		{"no lines", 2, "", "nothing came in"},
		{"one line", 2, oneLine, "cut after 1 lines"},
		{"two lines", 2, oneLine + oneLine, "cut after 1 lines"},
		{"only damage", 2, "x\ny\nz\nw", "malformed: and 1 more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := testConfig(nil)
			cfg.nodes, cfg.cutFor = c.nodes, 50*time.Millisecond
			cfg.input = accesslog.Input{Name: "-", Once: strings.NewReader(c.stdin)}
			out := runs(t, context.Background(), cfg, exitOK)
			require.Contains(t, out, c.says)
		})
	}
}

func TestRunWithDropsAccountsForThem(t *testing.T) {
	t.Parallel()
	for _, full := range []fullPolicy{fullReject, fullDropOldest} {
		cfg := testConfig(nil)
		cfg.partition = false
		cfg.node.full, cfg.node.queue, cfg.node.workers = full, 2, 1
		out := runs(t, context.Background(), cfg, exitDropped)
		require.Regexp(t, `with the [0-9 ]+ requests that -full=`+string(full)+` dropped they are equal`, out)
	}
}

// TestRunOverHTTP: it is cut and heals over HTTP as well, encrypted as well.
func TestRunOverHTTP(t *testing.T) {
	t.Parallel()
	cfg := testConfig(nil)
	cfg.node.over, cfg.node.key = gossip.HTTP, []byte("0123456789abcdef")
	out := runs(t, context.Background(), cfg, exitOK)
	require.Contains(t, out, "check: ok, totals equal on 3 nodes and equal to a single-threaded recount")
	require.Regexp(t, `the cut dropped 0 packets and refused [1-9][0-9 ]* streams`, out)
}

func TestRunIsEncrypted(t *testing.T) {
	cfg := testConfig(nil)
	cfg.nodes, cfg.partition = 2, false
	cfg.node.key = []byte("0123456789abcdef")
	require.Contains(t, runs(t, context.Background(), cfg, exitOK), "encrypted")
}

// TestInterruptEndsTheInput interrupts a run that reads a stream without an end.
func TestInterruptEndsTheInput(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cfg := testConfig(nil)
	cfg.input = accesslog.Input{Name: "-", Once: r}
	cfg.nodes, cfg.cutFor = 2, 50*time.Millisecond
	go func() {
		for range 100 {
			io.WriteString(w, oneLine)
		}
		cancel()
	}()
	require.Contains(t, runs(t, ctx, cfg, exitOK), "check: ok")
}

// TestCheckFindsWhatIsWrong tampers with a node, for a check that cannot fail proves nothing.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	made := accesslog.Made{Lines: 500, Visitors: 20, Pages: 5, Seed: 1}
	want, err := recountOf(accesslog.Input{Name: made.String(), Made: &made}, everything)
	require.NoError(t, err)
	for name, tamper := range map[string]func(*site){
		"a request too many":   func(s *site) { s.Requests.At("/").Add(1) },
		"a page too many":      func(s *site) { s.Requests.At("/nowhere").Add(1) },
		"a page in the set":    func(s *site) { s.Pages.Add("/nowhere") },
		"a page not in it":     func(s *site) { s.Pages.Remove("/") },
		"bytes lost":           func(s *site) { s.Bytes.At("/").Add(-1) },
		"a visitor of a page":  func(s *site) { s.Visitors.At("/").Add("nobody") },
		"a visitor lost":       func(s *site) { s.Visitors.At("/").Remove("10.0.0.0") },
		"a visitor of no page": func(s *site) { s.Unique.Add("nobody") },
		"a class":              func(s *site) { s.Classes.At("5xx").Add(1) },
		"first seen":           func(s *site) { s.First.Set(1<<60, 0) },
		"last seen":            func(s *site) { s.Last.Set(1<<60, 0) },
	} {
		store, s := newSite(t)
		store.Update(func() {
			for page, p := range want.pages {
				s.Requests.At(page).Add(p.requests)
				s.Bytes.At(page).Add(p.bytes)
				s.Pages.Add(page)
				for v := range p.visitors {
					s.Visitors.At(page).Add(v)
				}
			}
			for class, n := range want.classes {
				s.Classes.At(classNames[class]).Add(n)
			}
			s.Unique.Add(slices.Collect(maps.Keys(want.visitors))...)
			s.First.Set(1, want.first)
			s.Last.Set(1, want.last)
		})
		require.Empty(t, differences(s, want, nil))
		tamper(s)
		require.NotEmpty(t, differences(s, want, nil), name)
	}
}

func TestHalve(t *testing.T) {
	for _, c := range [][3]string{
		{"a\nb\n", "a\n", "b\n"},
		{"aaaaaaa\nb\n", "aaaaaaa\n", "b\n"},
		{"a\nbbbbbbbb\n", "a\nbbbbbbbb\n", ""},
		{"a\nbb\nccc", "a\nbb\n", "ccc"},
		{"a", "a", ""},
	} {
		first, second := chunk{text: c[0]}.halve()
		require.Equal(t, c[1:], []string{first.text, second.text})
		require.Equal(t, chunk{text: c[0]}.lines(), first.lines()+second.lines())
	}
}

func BenchmarkRun(b *testing.B) {
	made := accesslog.Made{Lines: 1_000_000, Visitors: 5000, Pages: 200, Seed: 1}
	for range b.N {
		var out bytes.Buffer
		cfg := testConfig(&out)
		cfg.nodes, cfg.partition = 5, false
		cfg.node.flush, cfg.node.queue = 100*time.Millisecond, 4096
		cfg.input = accesslog.Input{Name: made.String(), Made: &made}
		code, err := run(context.Background(), cfg)
		require.NoError(b, err)
		require.Zero(b, code, out.String())
		for l := range strings.Lines(out.String()) {
			if strings.HasPrefix(l, "speed:") || strings.HasPrefix(l, "all nodes") {
				b.Log(strings.TrimSpace(l))
			}
		}
	}
	b.ReportMetric(float64(b.N*made.Lines)/b.Elapsed().Seconds(), "lines/s")
}
