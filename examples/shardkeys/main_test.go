package main

import (
	"bytes"
	"compress/gzip"
	"context"
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

	"github.com/go-calm/calm/examples/internal/program"
)

// TestRun builds the program and runs it as a person would.
func TestRun(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "shardkeys")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	page := filepath.Join(t.TempDir(), "charts.html")
	out, err = exec.Command(binary, "-lines", "20000", "-visitors", "5000", "-o", page).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Regexp(t, `(?s)visitor \+ page: .*visitor: .*page: `, string(out), "best first")
	require.Contains(t, string(out), "8 nodes → 9: ")
	require.Contains(t, string(out), "9 nodes → 7: ")
	require.Contains(t, string(out), " 0 not the next of their key, 0 keys with a wrong count")
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(html), "<svg"))
	t.Logf("%s", out)
}

func TestInputs(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "10.0.%d.%d - - [17/May/2015:10:05:03 +0000] \"GET /%d HTTP/1.1\" 200 17\n", i%40, i%256, i%7)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err := io.WriteString(z, text.String())
	require.NoError(t, err)
	require.NoError(t, z.Close())
	file := filepath.Join(t.TempDir(), "access.log.gz")
	require.NoError(t, os.WriteFile(file, packed.Bytes(), 0o600))

	run := func(stdin string, args ...string) (string, error) {
		var out, stderr bytes.Buffer
		err := command(context.Background(), append(args, "-o", filepath.Join(t.TempDir(), "c.html")), strings.NewReader(stdin), &out, &stderr)
		return out.String(), err
	}
	for name, c := range map[string][2]string{"packed": {"", file}, "standard input": {text.String(), "-"}} {
		out, err := run(c[0], "-in", c[1])
		require.NoError(t, err, name)
		require.Contains(t, out, "2 000 requests, 0 malformed lines", name)
	}
	for name, args := range map[string][]string{
		"no such file": {"-in", filepath.Join(t.TempDir(), "none")},
		"no senders":   {"-senders", "0"},
		"no lines":     {"-lines", "0"},
		"an argument":  {"access.log"},
	} {
		_, err := run("", args...)
		require.ErrorAs(t, err, new(*program.UsageError), name)
	}
	_, err = run("nonsense\n", "-in", "-")
	require.ErrorContains(t, err, "no request")
	_, err = run("", "-h")
	require.ErrorIs(t, err, flag.ErrHelp)
}
