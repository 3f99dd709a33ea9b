package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/stretchr/testify/require"
)

// readAll returns the chunks of r.
func readAll(t *testing.T, l *lines) (all []chunk) {
	t.Helper()
	for {
		c, err := l.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, c)
	}
}

func text(all []chunk) string {
	var b strings.Builder
	for _, c := range all {
		b.WriteString(c.text)
	}
	return b.String()
}

func TestLinesCutsAtNewlines(t *testing.T) {
	var want strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&want, "%d%s\n", i, strings.Repeat("x", i%90))
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole":   func(r io.Reader) io.Reader { return r },
		"bytes":   iotest.OneByteReader,
		"half":    iotest.HalfReader,
		"dataErr": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			all := readAll(t, newLines(wrap(strings.NewReader(want.String()))))
			require.Equal(t, want.String(), text(all))
			var end int64
			for _, c := range all {
				require.True(t, strings.HasSuffix(c.text, "\n"))
				end += int64(len(c.text))
				require.Equal(t, end, c.end)
			}
		})
	}
}

func TestLinesKeepsTheLastLineWithoutNewline(t *testing.T) {
	all := readAll(t, newLines(iotest.DataErrReader(strings.NewReader("a\nb"))))
	require.Equal(t, "a\nb", text(all))
	require.EqualValues(t, 3, all[len(all)-1].end)
}

func TestLinesCutsShortALineThatIsTooLong(t *testing.T) {
	long := strings.Repeat("y", 3*chunkSize)
	for _, in := range []string{"a\n" + long + "\nb\n", "a\n" + long} {
		all := readAll(t, newLines(strings.NewReader(in)))
		got := text(all)
		require.True(t, strings.HasPrefix(got, "a\n"+long[:accesslog.MaxLine+1]), "the beginning is handed on")
		require.Less(t, len(got), 2*accesslog.MaxLine)
		require.Equal(t, strings.HasSuffix(in, "b\n"), strings.HasSuffix(got, "b\n"))
		if strings.HasSuffix(in, "b\n") {
			require.EqualValues(t, len(in), all[len(all)-1].end, "offsets count what was passed over")
		}
	}
}

func TestLinesPassesOnAReadError(t *testing.T) {
	l := newLines(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(os.ErrDeadlineExceeded)))
	c, err := l.next()
	require.NoError(t, err)
	require.Equal(t, "a\n", c.text, "a line that broke off is not a line")
	_, err = l.next()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestResume(t *testing.T) {
	log := strings.Repeat("0123456789abcde\n", 1000) // 16 kB
	for _, upTo := range []int{1, 100, 256, 999} {
		first := newLines(strings.NewReader(log[:16*upTo]))
		all := readAll(t, first)
		last := all[len(all)-1]

		for name, c := range map[string]struct {
			log  string
			same bool
		}{
			"grown":   {log, true},
			"equal":   {log[:16*upTo], true},
			"shorter": {log[:16*upTo-1], false},
			"another": {"X" + log[1:], false},
			"empty":   {"", false},
		} {
			l := newLines(strings.NewReader(c.log))
			same, err := l.resume(context.Background(), last.end, last.head)
			require.NoError(t, err)
			require.Equal(t, c.same, same, "%s after %d lines", name, upTo)
			if same {
				rest := readAll(t, l)
				require.Equal(t, c.log[last.end:], text(rest))
				if len(rest) > 0 {
					whole := readAll(t, newLines(strings.NewReader(c.log)))
					require.Equal(t, whole[len(whole)-1], chunk{whole[len(whole)-1].text, rest[len(rest)-1].end, rest[len(rest)-1].head})
				}
			}
		}
	}
}

// TestAServedFileMayGrow reads what was written after the program began.
func TestAServedFileMayGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	for _, serve := range []bool{false, true} {
		require.NoError(t, os.WriteFile(path, []byte("one\ntwo\n"), 0o600))
		o := options{log: path, serve: serve}
		in, err := o.input(nil)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte("one\ntwo\nthree\n"), 0o600))
		s, err := in.Open()
		require.NoError(t, err)
		require.Equal(t, serve, strings.HasSuffix(text(readAll(t, newLines(s))), "three\n"))
		require.NoError(t, s.Close())
	}
}
