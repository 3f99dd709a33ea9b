package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/lattice"
	"github.com/stretchr/testify/require"
)

// broker runs the program and returns what it prints.
func broker(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := command(t.Context(), args, strings.NewReader(""), &out, io.Discard)
	return out.String(), err
}

func TestNATSAwayAndANodeKilled(t *testing.T) {
	out, err := broker(t, "-lines", "20000", "-batch", "50", "-away", "50ms")
	require.NoError(t, err, out)
	require.Contains(t, out, "the engine was away for 50ms")
	require.Contains(t, out, "node 4 was killed")
	require.Contains(t, out, "node 4 in its place began with a snapshot")
	require.Contains(t, out, "all nodes hold the same state")
}

func TestRedis(t *testing.T) {
	server := miniredis.RunT(t)
	out, err := broker(t, "-redis", server.Addr(), "-lines", "5000", "-batch", "50", "-nodes", "3")
	require.NoError(t, err, out)
	require.Contains(t, out, "all nodes hold the same state")
	require.Empty(t, server.Keys(), "a run without -name leaves nothing")
}

// TestGoesOnUnderAName runs twice over the same lines: the second time there is nothing left to count.
func TestGoesOnUnderAName(t *testing.T) {
	server := miniredis.RunT(t)
	for i, want := range []string{" deltas went through", "\n0 deltas went through"} {
		out, err := broker(t, "-redis", server.Addr(), "-name", "kept", "-lines", "2000", "-nodes", "2")
		require.NoError(t, err, out)
		require.Contains(t, out, want, i)
	}
	require.NotEmpty(t, server.Keys())
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	line := `192.0.2.1 - - [01/Jan/2026:00:00:00 +0000] "GET /a HTTP/1.1" 200 10` + "\n"
	require.NoError(t, os.WriteFile(path, []byte(line+"damage\n"+line), 0o600))
	out, err := broker(t, "-in", path, "-nodes", "2")
	require.NoError(t, err, out)
	require.Contains(t, out, "counted 3 lines")
	require.Contains(t, out, "2 pages") // /a, and "" for the damaged one
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"more":               `unexpected "more"`,
		"-nodes 0":           "-nodes is from 1 to 64",
		"-batch 0":           "-batch is from 1",
		"-queue 1000000000":  "-queue is from 1",
		"-away -1s":          "-away is not less",
		"-timeout 0s":        "-timeout must be",
		"-nats a -redis b":   "not both",
		"-nats 127.0.0.1:1":  "NATS JetStream at 127.0.0.1:1: ",
		"-name a.b":          "one word",
		"-in /does/not/be":   "no such file",
		"-redis 127.0.0.1:1": "refused",
	} {
		_, err := broker(t, strings.Fields(args)...)
		require.ErrorContains(t, err, want, args)
	}
}

// logs opens a log of each kind.
func logs(t *testing.T, test func(*testing.T, Engine)) {
	t.Run("NATS", func(t *testing.T) {
		e, err := embedNATS("test")
		require.NoError(t, err)
		defer e.Close()
		test(t, e)
	})
	t.Run("Redis", func(t *testing.T) {
		e, err := dialRedis(t.Context(), miniredis.RunT(t).Addr(), "test", true)
		require.NoError(t, err)
		defer e.Close()
		test(t, e)
	})
}

var errEnough = errors.New("enough")

// heard returns the next so many deltas after a position, and the position after them.
func heard(t *testing.T, log Log, after position, want int) (deltas []string, at position) {
	t.Helper()
	err := log.Follow(t.Context(), after, func(d []byte, p position) error {
		deltas, at = append(deltas, string(d)), p
		if len(deltas) == want {
			return errEnough
		}
		return nil
	})
	require.ErrorIs(t, err, errEnough)
	return deltas, at
}

func TestLogsKeepTheContract(t *testing.T) {
	logs(t, func(t *testing.T, e Engine) {
		log, err := e.Open(t.Context())
		require.NoError(t, err)
		defer log.Close()
		ctx := t.Context()

		state, at, err := log.Snapshot(ctx)
		require.NoError(t, err)
		require.Empty(t, state)
		require.Empty(t, at)
		last, err := log.Last(ctx, 0)
		require.NoError(t, err)
		require.Zero(t, last)

		require.NoError(t, log.Append(ctx, batchID{0, 1}, []byte("a")))
		require.NoError(t, log.Append(ctx, batchID{0, 2}, []byte("b")))
		require.NoError(t, log.Append(ctx, batchID{0, 2}, []byte("b")), "the answer to the first was lost")
		require.ErrorIs(t, log.Append(ctx, batchID{0, 2}, []byte("other")), errTaken)
		last, err = log.Last(ctx, 0)
		require.NoError(t, err)
		require.Equal(t, 2, last)

		got, at := heard(t, log, "", 2)
		require.ElementsMatch(t, []string{"a", "b"}, got)
		require.NoError(t, log.Append(ctx, batchID{1, 1}, []byte("c")))
		got, _ = heard(t, log, at, 1)
		require.Equal(t, []string{"c"}, got)

		require.NoError(t, log.Save(ctx, []byte("state"), at))
		state, saved, err := log.Snapshot(ctx)
		require.NoError(t, err)
		require.Equal(t, "state", string(state))
		require.Equal(t, at, saved)

		over, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, log.Follow(over, at, func([]byte, position) error { return nil }), context.Canceled)
		require.Error(t, log.Follow(ctx, "nonsense", func([]byte, position) error { return nil }))
	})
}

func TestDamagedSnapshotIsRefused(t *testing.T) {
	for _, b := range [][]byte{nil, {5, 'a'}, bytes.Repeat([]byte{0xff}, 20)} {
		_, _, err := unpackSnapshot(b)
		require.Error(t, err)
	}
}

// TestDeadNodeThatIsNotDead lets another write a batch behind a node's back: it must not be counted
// twice, and the node must end with what the other wrote.
func TestDeadNodeThatIsNotDead(t *testing.T) {
	logs(t, func(t *testing.T, e Engine) {
		in := accesslog.Input{Made: &accesslog.Made{Lines: 400, Visitors: 5, Pages: 5, Seed: 1}}
		shares, err := readShares(in, 1, 100)
		require.NoError(t, err)
		all := lattice.AtLeast(lattice.VecOf(lattice.MaxOf(uint64(len(shares[0].batches)))))
		open := func() *node {
			log, err := e.Open(t.Context())
			require.NoError(t, err)
			return newNode(shares[0], 1, log, 1)
		}
		undead, successor := open(), open()
		defer undead.log.Close()
		defer successor.log.Close()
		// The first counts two batches; while it takes its time before the third, the other counts all.
		var once sync.Once
		err = undead.run(t.Context(), all, func(number int) error {
			if number == 2 {
				once.Do(func() {
					heard(t, undead.log, "", 2) // they have reached the engine
					require.NoError(t, successor.run(t.Context(), all, func(int) error { return nil }))
				})
			}
			return nil
		})
		require.ErrorIs(t, err, errTaken)
		got, _ := successor.totals()
		require.Equal(t, recount(shares), got)
	})
}
