package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-calm/calm/shard/entity"
	"github.com/stretchr/testify/require"
)

func entities(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := command(t.Context(), args, strings.NewReader("one two one\ntwo one\n"), &out, io.Discard)
	return out.String(), err
}

func TestAccountsWhileNodesComeAndGo(t *testing.T) {
	for _, readers := range []string{"1", "4"} {
		out, err := entities(t, "-lines", "20000", "-readers", readers)
		require.NoError(t, err, out)
		require.Contains(t, out, "node-5 joins: ")
		require.Contains(t, out, "node-1 leaves: ")
		require.Contains(t, out, "20 000 messages from outside and 20 000 between entities")
		require.Contains(t, out, "all states equal a recount's")
	}
}

func TestWords(t *testing.T) {
	out, err := entities(t, "-job", "words", "-in", "-", "-nodes", "3")
	require.NoError(t, err, out)
	require.Contains(t, out, "5 messages from outside and 0 between entities")
	require.Contains(t, out, "  one: 3 messages\n  two: 2 messages\n")
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log.gz")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := io.WriteString(w, `192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET /a HTTP/1.1" 200 10`+"\ndamage\n")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(path, packed.Bytes(), 0o600))
	out, err := entities(t, "-in", path)
	require.NoError(t, err, out)
	require.Contains(t, out, "4 entities after 2 lines")
	require.Contains(t, out, "paid 16, received 16") // 10 bytes, and 6 of damage
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"more":             `unexpected "more"`,
		"-job nothing":     "-job is accounts or words",
		"-nodes 1":         "-nodes is from 2 to 64",
		"-readers 0":       "-readers is from 1 to 64",
		"-lines 0":         "-lines is from 1",
		"-in /does/not/be": "no such file",
	} {
		_, err := entities(t, strings.Fields(args)...)
		require.ErrorContains(t, err, want, args)
	}
}

// TestCheckFindsWhatWentWrong hands it what a node would leave behind that lost, doubled or mixed up a
// message.
func TestCheckFindsWhatWentWrong(t *testing.T) {
	work := [][]event{{
		{"ann", payment{To: "bob", Amount: 3, Number: 1}},
		{"ann", payment{To: "bob", Amount: 4, Number: 2}},
	}}
	want := recount(work)
	require.Equal(t, account{Out: 7, Events: 2, Last: 2}, want["ann"])
	require.Equal(t, account{In: 7, Events: 2}, want["bob"])
	for name, order := range map[string][]int{"in order": {0, 1}, "lost": {0}, "doubled": {0, 1, 1}, "out of order": {1, 0}} {
		got := map[string]account{}
		e := entity.New(func(t *entity.Turn[account, payment], p payment) error {
			err := handle(t, p)
			got[t.Key] = *t.State
			return err
		}, entity.Lanes(1))
		for _, i := range order {
			require.NoError(t, e.Send(t.Context(), "ann", work[0][i].payment))
		}
		require.NoError(t, e.Close(t.Context()))
		err := check(io.Discard, got, want, 2)
		if name == "in order" {
			require.NoError(t, err)
		} else {
			require.Error(t, err, name)
		}
	}
}
