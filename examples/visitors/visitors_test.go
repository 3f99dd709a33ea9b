package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/lattice"
)

// TestRun builds the program and runs it as a person would.
func TestRun(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "visitors")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.Command(binary, "-lines", "60000", "-visitors", "20000", "-top", "3").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "60 000 lines, 1 of them malformed")
	require.Contains(t, string(out), "5 nodes counted a part each and sent it to each other in 20 messages")
	require.Contains(t, string(out), "all nodes hold the same")
	require.Regexp(t, `\n +\d+ \d+ +\d+ \d+ +[+-]\d\.\d\d % +/\n`, string(out))
	require.Contains(t, string(out), "stated: a standard error of 0.81 %")
	require.Contains(t, string(out), "measured: the worst page errs by")
	t.Logf("%s", out)
}

func logOf(lines int) string {
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, "10.0.%d.%d - - [17/May/2015:10:05:03 +0000] \"GET /%d HTTP/1.1\" 200 17\n", i%40, i%256, i%7)
	}
	return b.String()
}

func TestInputs(t *testing.T) {
	text := logOf(3000)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, text)
	require.NoError(t, z.Close())
	dir := t.TempDir()
	plain, gz := filepath.Join(dir, "access.log"), filepath.Join(dir, "access.log.gz")
	require.NoError(t, os.WriteFile(plain, []byte(text), 0o600))
	require.NoError(t, os.WriteFile(gz, packed.Bytes(), 0o600))
	_, want, _ := strings.Cut(runs(t, "", "-in", plain), "\n")
	for name, got := range map[string]string{
		"packed":         runs(t, "", "-in", gz),
		"standard input": runs(t, text, "-in", "-"),
		"packed, piped":  runs(t, packed.String(), "-in", "-"),
	} {
		_, got, _ = strings.Cut(got, "\n")
		require.Equal(t, want, got, name)
	}
	require.Contains(t, runs(t, "", "-in", "-"), "0 lines", "of nothing")
	require.Contains(t, runs(t, "\n\n", "-in", "-", "-nodes", "1"), "2 lines, 2 of them malformed")
}

// runs runs the program's command and returns what it prints.
func runs(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	var out, stderr bytes.Buffer
	require.NoError(t, command(args, strings.NewReader(stdin), &out, &stderr), "%s", &out)
	require.Empty(t, stderr.String())
	return out.String()
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"-unknown":                        "not defined: -unknown; -h lists the flags",
		"access.log":                      `unexpected "access.log"`,
		"-in " + t.TempDir():              "is a directory",
		"-in " + t.TempDir() + "/none":    "no such file",
		"-in - -lines 5":                  "-lines is for a made-up log",
		"-precision 7":                    "-precision is from 8 to 18",
		"-nodes 0":                        "-nodes is from 1 to 64",
		"-in " + t.TempDir() + " -top -1": "-top is from",
	} {
		err := command(strings.Fields(args), strings.NewReader(""), io.Discard, io.Discard)
		require.ErrorAs(t, err, new(*program.UsageError), args)
		if !strings.HasPrefix(want, "no such") || runtime.GOOS != "windows" { // which says it in other words
			require.ErrorContains(t, err, want, args)
		}
	}
	var help bytes.Buffer
	require.ErrorIs(t, command([]string{"-h"}, nil, &help, io.Discard), flag.ErrHelp)
	require.Contains(t, help.String(), "-precision")
}

// Whatever the order of the messages, the nodes come to the same bytes.
func TestOrderMakesNoDifference(t *testing.T) {
	made := accesslog.Made{Lines: 5000, Visitors: 1000, Pages: 20, Seed: 1}
	var want []byte
	for seed := range uint64(20) {
		c := newCount(5, 4) // so that the sketches have registers
		require.NoError(t, c.read(accesslog.Input{Made: &made}, nil))
		s, err := exchange(c.nodes, seed)
		require.NoError(t, err)
		require.Equal(t, 20, s.messages)
		agree, _, err := c.agree()
		require.NoError(t, err)
		require.True(t, agree)
		form, err := c.nodes[int(seed)%5].MarshalBinary()
		require.NoError(t, err)
		if seed == 0 {
			want = form
		}
		require.Equal(t, want, form)
	}
}

func TestReportTellsWhatIsWrong(t *testing.T) {
	made := accesslog.Made{Lines: 2000, Visitors: 500, Pages: 20, Seed: 1}
	counted := func() *count {
		c := newCount(2, 10)
		require.NoError(t, c.read(accesslog.Input{Made: &made}, nil))
		return c
	}
	var out strings.Builder
	ok, err := report(&out, counted(), sent{}, 3) // nobody told anybody anything
	require.NoError(t, err)
	require.False(t, ok)
	require.Contains(t, out.String(), "THE NODES DIFFER")

	c := counted()
	stranger := lattice.NewHyperLogLog(10)
	for i := range uint64(10_000) {
		stranger.AddUint64(i)
	}
	for _, p := range append(c.nodes, c.whole) {
		p.Put("/", stranger)
	}
	_, err = exchange(c.nodes, 1)
	require.NoError(t, err)
	out.Reset()
	ok, err = report(&out, c, sent{}, 3)
	require.NoError(t, err)
	require.False(t, ok)
	require.Contains(t, out.String(), "THAT IS BEYOND THE BOUND")
}

func TestLinesOfAnyLength(t *testing.T) {
	long := strings.Repeat("x", 5*accesslog.MaxLine)
	var got []int
	require.NoError(t, eachLine(strings.NewReader("a\n"+long+"\n\nbb\r\n"+long+"\nccc"), func(text string) { got = append(got, len(text)) }))
	require.Equal(t, []int{1, accesslog.MaxLine + 2, 0, 3, accesslog.MaxLine + 2, 3}, got)
	require.ErrorIs(t, eachLine(io.MultiReader(strings.NewReader("a"), broken{}), func(string) {}), io.ErrUnexpectedEOF)
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// The bound on the worst of n is that of a table of the normal distribution.
func TestBoundOn(t *testing.T) {
	require.InDelta(t, 3.29, boundOn(1), 0.01)
	require.InDelta(t, 4.89, boundOn(1000), 0.01)
}
