package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/term"
	"github.com/stretchr/testify/require"
)

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string]string{
		"access.log":                     `unexpected "access.log"`,
		"-log " + dir:                    "is a directory",
		"-log " + dir + "/none":          "no such file",
		"-log - -lines 5":                "-lines is for a made-up log",
		"-full sometimes":                "-full is block, reject or drop-oldest",
		"-nodes 0":                       "-nodes is from 1 to 64",
		"-workers 65":                    "-workers is from 1 to 64",
		"-queue 0":                       "-queue is from",
		"-flush 0s":                      "-flush must be",
		"-data " + dir:                   "-data needs -serve",
		"-join 127.0.0.1:1":              "-join needs -serve",
		"-serve -nodes 3":                "-nodes is not for -serve",
		"-key x":                         "-key is not base64",
		"-key QUJD":                      "-key has 3 bytes",
		"-key @" + dir + "/none":         "-key: open",
		"-serve -bind nowhere":           "missing port",
		"-serve -bind 127.0.0.1:99999":   "is no port",
		"-serve -http 127.0.0.1:0:0":     "too many colons",
		"-serve -bind 127.0.0.1:0 -data": "",
		"-unknown":                       "not defined: -unknown; -h lists the flags",
		"-load -cut 1s":                  "-cut is not for -load",
		"-rate 5":                        "-rate needs -load",
		"-load -serve":                   "-load is not for -serve",
		"-retire 0000000000000001":       "-retire needs -serve",
		"-serve -retire x":               "16 digits",
		"-transport pigeon":              "-transport is memberlist or http",
	} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		code, err := command(ctx, strings.Fields(args), strings.NewReader(""), io.Discard, io.Discard)
		require.NotEqual(t, exitOK, code, args)
		if want != "" {
			require.ErrorContains(t, err, want, args)
		} else {
			require.Equal(t, exitUsage, code, args)
			require.Error(t, err, args)
		}
	}
	var help bytes.Buffer
	code, err := command(context.Background(), []string{"-h"}, nil, &help, io.Discard)
	require.NoError(t, err)
	require.Equal(t, exitOK, code)
	require.Contains(t, help.String(), "-partition")
}

func TestKey(t *testing.T) {
	want := []byte("0123456789abcdef0123456789abcdef")
	text := base64.StdEncoding.EncodeToString(want)
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	for _, s := range []string{text, "@" + path} {
		got, err := parseKey(s)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// asProgram has the test's binary be the program, so that it need not be built.
const (
	asProgram = "CALM_TEST_TRAFFIC"
	untilDone = "until done"
	untilEOF  = "until EOF" // of standard input
)

func TestMain(m *testing.M) {
	switch os.Getenv(asProgram) {
	case untilEOF:
		go func() { // it must not outlive the test, however that ends
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(exitFailed)
		}()
		fallthrough
	case untilDone:
		main()
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil { // they mostly wait
		panic(err)
	}
	os.Exit(m.Run())
}

// child is the program, in a process of its own.
func child(ctx context.Context, t *testing.T, until string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), asProgram+"="+until)
	return cmd
}

// runProgram runs the program to its end and returns what it printed.
func runProgram(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := child(ctx, t, untilDone, args...)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

func TestProgramMakesUpALog(t *testing.T) {
	t.Parallel()
	out := runProgram(t, nil, "-lines", "20000", "-nodes", "3", "-cut", "100ms")
	first, _, _ := strings.Cut(out, "\n")
	require.Equal(t, "counting a made-up stream of 20 000 lines: 5 000 visitors and 200 pages, Zipf-distributed, seed 1", first)
	require.Contains(t, out, "check: ok")
	require.NotContains(t, out, "\x1b", "no progress where there is no terminal")
}

// realLog finds the real log beside the repository.
func realLog(t *testing.T) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", "access.log.gz")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no real log: %v", err)
	}
	return path
}

// TestRealLog compares the top ten with what awk '{print $7}' | sort | uniq -c | sort -rn | head
// makes of the same log.
func TestRealLog(t *testing.T) {
	t.Parallel()
	path := realLog(t)
	packed, err := os.ReadFile(path)
	require.NoError(t, err)
	unpack, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	count := map[string]int{}
	for s := bufio.NewScanner(unpack); s.Scan(); {
		if words := strings.Fields(s.Text()); len(words) >= 7 {
			count[words[6]]++
		}
	}
	pages := slices.Collect(maps.Keys(count))
	slices.SortFunc(pages, func(a, b string) int { return count[b] - count[a] })
	var want []string
	for _, p := range pages[:10] {
		want = append(want, fmt.Sprint(count[p], " ", p))
	}

	row := regexp.MustCompile(`(?m)^ *([0-9 ]+?)  +[0-9 ]+?  +[0-9.]+ [KMGi]*B  +(/.*)$`)
	for _, out := range []string{
		runProgram(t, bytes.NewReader(packed), "-log", "-", "-cut", "100ms"),
		runProgram(t, nil, "-log", path, "-cut", "100ms"),
	} {
		var got []string
		for _, m := range row.FindAllStringSubmatch(out, -1) {
			got = append(got, strings.ReplaceAll(m[1], " ", "")+" "+m[2])
		}
		require.Equal(t, want, got, out)
		require.Contains(t, out, "check: ok")
		require.Contains(t, out, "malformed: no quoted referer and user agent after the size: 46.118.127.106")
	}
}

// process is a running -serve.
type process struct {
	cmd    *exec.Cmd
	out    *bytes.Buffer
	status string // URL
	done   chan error
}

// freePort returns an address whose port was free a moment ago, for TCP and UDP alike as a rule. Where it
// can, it takes a host that nobody else uses, so that the port stays free while nobody is there.
func freePort(t *testing.T) string {
	t.Helper()
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = fmt.Sprintf("127.%d.%d.%d", 1+rand.N(250), rand.N(250), 1+rand.N(250))
	}
	l, err := net.Listen("tcp", host+":0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// start runs the program until it says where its status is.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{out: &bytes.Buffer{}, done: make(chan error, 1)}
	p.cmd = child(context.Background(), t, untilEOF, append([]string{"-serve"}, args...)...)
	p.cmd.Stderr = os.Stderr
	_, err := p.cmd.StdinPipe() // open for as long as the test runs
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { p.cmd.Process.Kill() })
	lines := bufio.NewScanner(stdout)
	for p.status == "" {
		require.True(t, lines.Scan(), "it ended: %s", p.out)
		fmt.Fprintln(p.out, lines.Text())
		p.status, _ = strings.CutPrefix(lines.Text(), "status ")
		if !strings.HasPrefix(p.status, "http") {
			p.status = ""
		}
	}
	go func() {
		for lines.Scan() {
			fmt.Fprintln(p.out, lines.Text())
		}
		p.done <- p.cmd.Wait()
	}()
	return p
}

// state asks the process for its state; ok is false if it does not answer.
func (p *process) state() (s status, ok bool) {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(p.status + "state")
	if err != nil {
		return s, false
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s) == nil
}

// end waits for the process' end and returns what it printed.
func (p *process) end(t *testing.T) string {
	t.Helper()
	select {
	case <-p.done:
		return p.out.String()
	case <-time.After(patience):
		require.FailNow(t, "the process does not end")
		return ""
	}
}

// TestKilledProcessComesBack kills one of two processes without warning, as often as it is still
// reading, and starts it again each time.
func TestKilledProcessComesBack(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs SIGTERM")
	}
	dir := t.TempDir()
	logs := [2]string{filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")}
	want := newRecount()
	for i, path := range logs {
		made := accesslog.Made{Lines: 20_000 + i*280_000, Visitors: 1000, Pages: 100, Seed: uint64(i)}
		stream, err := accesslog.Input{Made: &made}.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(stream)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		want.add(string(text), everything)
	}
	var total int64
	for _, p := range want.pages {
		total += p.requests
	}

	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	binds := [2]string{freePort(t), freePort(t)}
	a := start(t, "-bind", binds[0], "-key", key, "-log", logs[0], "-data", filepath.Join(dir, "a"), "-flush", "10ms")
	again := func() *process {
		return start(t, "-bind", binds[1], "-join", binds[0], "-key", key, "-log", logs[1],
			"-data", filepath.Join(dir, "b"), "-flush", "10ms", "-workers", "1", "-queue", "64")
	}
	b := again()
	// It is killed right after a save, in the midst of what comes after it.
	journaled := func() (size int64) {
		logs, err := filepath.Glob(filepath.Join(dir, "b", "log.*"))
		require.NoError(t, err)
		for _, path := range logs {
			if info, err := os.Stat(path); err == nil { // one may have given way to a snapshot
				size += info.Size()
			}
		}
		return size
	}
	var outs []string
	for range 4 {
		was := journaled()
		require.Eventually(t, func() bool { return journaled() != was }, patience, time.Millisecond)
		require.NoError(t, b.cmd.Process.Kill()) // SIGKILL
		outs = append(outs, b.end(t))
		b = again()
	}
	require.NotContains(t, outs[0], "is read to its end", "it read faster than it could be killed")

	for _, p := range []*process{a, b} {
		var s status
		require.Eventually(t, func() bool {
			var ok bool
			s, ok = p.state()
			return ok && s.Totals.Requests >= total && s.Converged && s.Gossip.Members == 2
		}, patience, poll)
		require.Equal(t, total, s.Totals.Requests)
		require.Equal(t, len(want.visitors), s.Totals.Visitors)
		require.Equal(t, len(want.pages), s.Totals.Pages)
		require.Equal(t, term.Seconds(want.first), s.Totals.First)
		require.Equal(t, term.Seconds(want.last), s.Totals.Last)
		for _, page := range s.Totals.Top {
			require.Equal(t, want.pages[page.Page].requests, page.Requests)
			require.Equal(t, want.pages[page.Page].bytes, page.Bytes)
			require.Len(t, want.pages[page.Page].visitors, page.Visitors)
		}
	}

	require.NoError(t, b.cmd.Process.Signal(syscall.SIGTERM))
	out := b.end(t)
	require.Contains(t, out, "from the journal:")
	require.Contains(t, out, "is read to its end")
	require.Contains(t, out, "took 300 000 lines, 6 malformed, 0 dropped")
	require.Contains(t, out, "saved all but 0 of the lines that were read")
	require.Zero(t, b.cmd.ProcessState.ExitCode())
}

// TestNobodyToJoin: a node that waits for somebody says for whom.
func TestNobodyToJoin(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, w := io.Pipe()
	done := make(chan int, 1)
	addr := freePort(t)
	go func() {
		code, _ := command(ctx, []string{"-serve", "-lines", "1", "-bind", "127.0.0.1:0", "-join", addr}, strings.NewReader(""), w, io.Discard)
		w.Close()
		done <- code
	}()
	told := false
	for out := bufio.NewScanner(r); out.Scan(); {
		if strings.HasPrefix(out.Text(), "nobody to join at "+addr+", trying on: ") {
			told = true
			cancel()
		}
	}
	require.True(t, told)
	require.Equal(t, exitOK, <-done)
}

// TestStandardInputIsSavedAtTheEnd feeds a process by hand, and tells it to stop.
func TestStandardInputIsSavedAtTheEnd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs SIGTERM")
	}
	dir := t.TempDir()
	for start := range 2 {
		r, w := io.Pipe()
		ctx, cancel := context.WithCancel(context.Background())
		var out, stderr bytes.Buffer
		go func() {
			for range 10 {
				io.WriteString(w, oneLine)
			}
			io.WriteString(w, oneLine[:20]) // a line that is still being written
			cancel()
		}()
		code, err := command(ctx, []string{"-serve", "-bind", "127.0.0.1:0", "-log", "-", "-data", dir, "-flush", "5ms"}, r, &out, &stderr)
		require.NoError(t, err)
		require.Zero(t, code)
		require.Contains(t, out.String(), fmt.Sprintf("took %d lines, 0 malformed", 10*(start+1)))
		require.Contains(t, out.String(), "saved all but 0 of the lines that were read")
		require.Equal(t, start > 0, strings.Contains(out.String(), "standard input cannot be read again"))
		w.Close()
	}
}
