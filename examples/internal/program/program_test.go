package program

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func flags() *flag.FlagSet {
	f := flag.NewFlagSet("count", flag.ContinueOnError)
	f.Int("nodes", 5, "how many nodes")
	return f
}

func TestHelpSaysWhatItIsAboutAndListsTheFlags(t *testing.T) {
	var out bytes.Buffer
	err := Parse(flags(), []string{"-h"}, "Count counts.", &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Equal(t, "Count counts.\n\nFlags:\n  -nodes int\n    \thow many nodes (default 5)\n", out.String())
	require.Zero(t, Exit("count", err, io.Discard))
}

func TestMistakesAreToldInOneLine(t *testing.T) {
	for arg, want := range map[string]string{
		"-node":    "count: flag provided but not defined: -node; -h lists the flags\n",
		"-nodes=x": "count: invalid value \"x\" for flag -nodes: parse error; -h lists the flags\n",
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, Exit("count", Parse(flags(), []string{arg}, "Count counts.", &stdout), &stderr))
		require.Equal(t, want, stderr.String())
		require.Empty(t, stdout.String())
	}
}

func TestExit(t *testing.T) {
	var stderr bytes.Buffer
	require.Zero(t, Exit("count", nil, &stderr))
	require.NoError(t, Usage(nil))
	require.Empty(t, stderr.String())
	require.Equal(t, 1, Exit("count", io.EOF, &stderr))
	require.Equal(t, 2, Exit("count", errors.Join(Usagef("-nodes: %w", io.EOF)), &stderr))
	require.Equal(t, "count: EOF\ncount: -nodes: EOF\n", stderr.String())
	require.ErrorIs(t, Usagef("-nodes: %w", io.EOF), io.EOF)
}
