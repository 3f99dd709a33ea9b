package accesslog

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	input := func(args string) (Input, error) {
		f := flag.NewFlagSet("test", flag.ContinueOnError)
		f.SetOutput(io.Discard)
		in := Flags(f, &Made{Lines: 10, Visitors: 3, Pages: 2, Seed: 1})
		require.NoError(t, f.Parse(strings.Fields(args)))
		return in(strings.NewReader("from stdin"))
	}
	in, err := input("-pages 5")
	require.NoError(t, err)
	require.Equal(t, Made{Lines: 10, Visitors: 3, Pages: 5, Seed: 1}, *in.Made)
	in, err = input("-in - -seed 2") // a seed may be of use for something else
	require.NoError(t, err)
	require.Nil(t, in.Made)
	s, err := in.Open()
	require.NoError(t, err)
	text, err := io.ReadAll(s)
	require.NoError(t, err)
	require.Equal(t, "from stdin", string(text))
	for args, want := range map[string]string{
		"access.log":       `unexpected "access.log"; the log is given by -in`,
		"-lines 0":         "-lines is from 1 to 1073741824, not 0",
		"-pages 9999999":   "-pages is from 1 to",
		"-in - -lines 5":   "-lines is for a made-up log, not with -in",
		"-in /does/not/be": "no such file",
	} {
		_, err := input(args)
		require.ErrorContains(t, err, want, args)
	}
}
