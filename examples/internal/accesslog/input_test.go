package accesslog

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
	for _, in := range []Input{
		{Name: plain},
		{Name: zipped},
		{Name: "-", Once: bytes.NewReader(packed.Bytes())},
		{Name: "-", Once: strings.NewReader("one\ntwo\n")},
	} {
		s, err := in.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "one\ntwo\n", string(text))
		if in.Again() {
			require.InDelta(t, 1, s.Fraction(), 0)
		} else {
			require.InDelta(t, -1, s.Fraction(), 0)
		}
		require.NoError(t, s.Close())
	}
}

func TestInputShorterThanAMagicNumber(t *testing.T) {
	for _, in := range []string{"", "x"} {
		s, err := Input{Name: "-", Once: strings.NewReader(in)}.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, in, string(text))
	}
}

// TestAFileThatGrowsIsReadAsItWas reads a log that is being written to, twice.
func TestAFileThatGrowsIsReadAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	require.NoError(t, os.WriteFile(path, []byte("one\ntwo\n"), 0o600))
	in, err := At(path, nil)
	require.NoError(t, err)
	read := func(in Input) string {
		s, err := in.Open()
		require.NoError(t, err)
		defer s.Close()
		text, err := io.ReadAll(s)
		require.NoError(t, err)
		require.InDelta(t, 1, s.Fraction(), 0)
		return string(text)
	}
	for range 2 {
		require.Equal(t, "one\ntwo\n", read(in))
		require.NoError(t, os.WriteFile(path, []byte("one\ntwo\nthree\n"), 0o600))
	}
	in.UpTo = 0
	require.Equal(t, "one\ntwo\nthree\n", read(in))
}

func TestAPipeWithANameIsReadOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs a device file")
	}
	in, err := At(os.DevNull, nil)
	require.NoError(t, err)
	require.False(t, in.Again())
	s, err := in.Open()
	require.NoError(t, err)
	text, err := io.ReadAll(s)
	require.NoError(t, err)
	require.Empty(t, text)
}
