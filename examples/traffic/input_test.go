package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

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
		require.True(t, strings.HasPrefix(got, "a\n"+long[:maxLine+1]), "the beginning is handed on")
		require.Less(t, len(got), 2*maxLine)
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

func TestInputIsUnpackedByContent(t *testing.T) {
	var packed bytes.Buffer
	for _, part := range []string{"one\n", "two\n"} { // two members, as cat a.gz b.gz gives
		z := gzip.NewWriter(&packed)
		io.WriteString(z, part)
		z.Close()
	}
	dir := t.TempDir()
	plain, zipped := filepath.Join(dir, "plain.gz"), filepath.Join(dir, "zipped.log")
	require.NoError(t, os.WriteFile(plain, []byte("one\ntwo\n"), 0o600))
	require.NoError(t, os.WriteFile(zipped, packed.Bytes(), 0o600))
	for _, in := range []input{
		{name: plain},
		{name: zipped},
		{name: "-", once: bytes.NewReader(packed.Bytes())},
		{name: "-", once: strings.NewReader("one\ntwo\n")},
	} {
		s, err := in.open()
		require.NoError(t, err)
		require.Equal(t, "one\ntwo\n", text(readAll(t, newLines(s))))
		if in.again() {
			require.InDelta(t, 1, s.fraction(), 0)
		} else {
			require.InDelta(t, -1, s.fraction(), 0)
		}
		require.NoError(t, s.Close())
	}
}

func TestInputShorterThanAMagicNumber(t *testing.T) {
	for _, in := range []string{"", "x"} {
		s, err := input{name: "-", once: strings.NewReader(in)}.open()
		require.NoError(t, err)
		require.Equal(t, in, text(readAll(t, newLines(s))))
	}
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

// TestAFileThatGrowsIsReadAsItWas counts a log that is being written to, twice.
func TestAFileThatGrowsIsReadAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	require.NoError(t, os.WriteFile(path, []byte("one\ntwo\n"), 0o600))
	o := options{log: path}
	in, err := o.input(nil)
	require.NoError(t, err)
	for range 2 {
		s, err := in.open()
		require.NoError(t, err)
		require.Equal(t, "one\ntwo\n", text(readAll(t, newLines(s))))
		require.InDelta(t, 1, s.fraction(), 0)
		require.NoError(t, s.Close())
		require.NoError(t, os.WriteFile(path, []byte("one\ntwo\nthree\n"), 0o600))
	}
	o.serve = true
	in, err = o.input(nil)
	require.NoError(t, err)
	s, err := in.open()
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, "one\ntwo\nthree\n", text(readAll(t, newLines(s))))
}

func TestAPipeWithANameIsReadOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a device file")
	}
	o := options{log: os.DevNull}
	in, err := o.input(nil)
	require.NoError(t, err)
	require.False(t, in.again())
	s, err := in.open()
	require.NoError(t, err)
	require.Empty(t, readAll(t, newLines(s)))
}
