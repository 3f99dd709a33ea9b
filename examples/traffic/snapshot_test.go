package main

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/lattice"
)

func someSnapshot(t testing.TB) snapshot {
	t.Helper()
	store := crdt.NewStore(7)
	s := crdt.OpenStruct[site](store, siteName)
	store.Update(func() {
		s.Requests.At("/a").Add(3)
		s.Pages.Add("/a")
	})
	return snapshot{
		header:   snapshotHeader{Input: "/var/log/a", Offset: 300, Head: 9, Lines: 3, Malformed: 1, Replicas: []crdt.ReplicaID{5, 7}},
		site:     store.State(),
		visitors: lattice.SetOf("x", "y"),
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	want := someSnapshot(t)
	b, err := want.encode()
	require.NoError(t, err)
	got, err := decodeSnapshot(b)
	require.NoError(t, err)
	require.Equal(t, want.header, got.header)
	require.Equal(t, want.site, got.site)
	require.Equal(t, want.visitors.Sorted(), got.visitors.Sorted())
	again, err := got.encode()
	require.NoError(t, err)
	require.Equal(t, b, again)
}

func TestSnapshotDamageIsFound(t *testing.T) {
	b, err := someSnapshot(t).encode()
	require.NoError(t, err)
	for n := range b {
		_, err := decodeSnapshot(b[:n])
		require.ErrorIs(t, err, errSnapshot, "cut off after %d bytes", n)
		flipped := append([]byte(nil), b...)
		flipped[n] ^= 0x40
		_, err = decodeSnapshot(flipped)
		require.ErrorIs(t, err, errSnapshot, "a bit of byte %d flipped", n)
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	b, err := someSnapshot(f).encode()
	require.NoError(f, err)
	f.Add(b)
	f.Add(b[len(snapshotMagic)+4:])
	f.Add([]byte(snapshotMagic + "\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeSnapshot(b); err != nil {
			require.ErrorIs(t, err, errSnapshot)
		}
		// The same as a body whose checksum is right, which chance does not get past.
		sum := crc32.Checksum(b, castagnoli)
		if _, err := decodeSnapshot(append(binary.BigEndian.AppendUint32([]byte(snapshotMagic), sum), b...)); err != nil {
			require.ErrorIs(t, err, errSnapshot)
		}
	})
}

// soloConfig is a node without company and with a snapshot.
func soloConfig(dir string) nodeConfig {
	cfg := testConfig(nil).node
	cfg.name, cfg.dir, cfg.input = "solo", dir, "test.log"
	cfg.local = true
	return cfg
}

const oneLine = `a - - [17/May/2015:10:05:03 +0000] "GET /x HTTP/1.1" 200 10` + "\n"

func requests(n *node) (sum int64) {
	n.view(func(s *site, _ *lattice.Set[string]) { sum = s.totals(0).Requests })
	return sum
}

func TestNodeComesBackUnderANewName(t *testing.T) {
	dir := t.TempDir()
	var names []crdt.ReplicaID
	for start := range 3 {
		n, err := startNode(soloConfig(dir))
		require.NoError(t, err)
		require.EqualValues(t, start, requests(n))
		require.Equal(t, names, n.former)
		require.NotContains(t, names, n.id)
		require.EqualValues(t, 100*start, n.saved.offset)
		n.feed(chunk{oneLine, int64(100 * (start + 1)), 1})
		require.NoError(t, n.flush())
		require.NoError(t, n.close())
		names = append(names, n.id)
	}
}

func TestNodeForgetsItsPlaceInAnotherInput(t *testing.T) {
	dir := t.TempDir()
	n, err := startNode(soloConfig(dir))
	require.NoError(t, err)
	n.feed(chunk{oneLine, 100, 1})
	require.NoError(t, n.flush())
	require.NoError(t, n.close())

	cfg := soloConfig(dir)
	cfg.input = "another.log"
	n, err = startNode(cfg)
	require.NoError(t, err)
	require.EqualValues(t, 1, requests(n), "what was counted stays counted")
	require.Zero(t, n.saved)
	require.NoError(t, n.close())
}

func TestNodeRefusesADamagedSnapshot(t *testing.T) {
	dir := t.TempDir()
	b, err := someSnapshot(t).encode()
	require.NoError(t, err)
	path := filepath.Join(dir, snapshotName)
	require.NoError(t, os.WriteFile(path, b[:len(b)-1], 0o600))
	_, err = startNode(soloConfig(dir))
	require.ErrorIs(t, err, errSnapshot)
	require.ErrorContains(t, err, path)
}

// TestNothingIsToldBeforeItIsSaved takes a node's disk away: what it counts then stays with it, for
// after a crash it would count the same lines again.
func TestNothingIsToldBeforeItIsSaved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	a, err := startNode(soloConfig(dir))
	require.NoError(t, err)
	defer a.close()
	cfg := soloConfig("")
	cfg.join = []string{a.agent.Addr()}
	b, err := startNode(cfg)
	require.NoError(t, err)
	defer b.close()

	a.feed(chunk{oneLine, 100, 1})
	require.NoError(t, a.flush())
	require.Eventually(t, func() bool { return requests(b) == 1 && a.agrees() }, patience, poll)

	require.NoError(t, os.Rename(dir, dir+".gone"))
	a.feed(chunk{oneLine + strings.ReplaceAll(oneLine, "a -", "b -"), 300, 1})
	require.Error(t, a.flush())
	require.EqualValues(t, 3, requests(a))
	require.NotEmpty(t, a.status().Ingest.SaveFailed)
	// b asks for what a has that it lacks, and gets no answer.
	sent := func() uint64 { a.mu.Lock(); defer a.mu.Unlock(); return a.engine.Stats().MessagesReceived }
	from := sent()
	require.Eventually(t, func() bool { return sent() > from+3 }, patience, poll)
	require.EqualValues(t, 1, requests(b))
	b.view(func(_ *site, visitors *lattice.Set[string]) { require.Equal(t, 1, visitors.Len()) })

	require.NoError(t, os.Rename(dir+".gone", dir))
	require.Eventually(t, func() bool { return requests(b) == 3 && b.agrees() }, patience, poll)
	require.Empty(t, a.status().Ingest.SaveFailed)
}
