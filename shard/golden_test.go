package shard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// These values must never change, on any platform: data is placed by them.
func TestGoldenHash(t *testing.T) {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 4)
	for n, want := range map[int]uint64{
		0:   0x89fa6379a08d0fde,
		1:   0x18bbe9ea64ed490f,
		3:   0x47c0306c2f3444,
		4:   0x2f585edd30a35486,
		7:   0x777bc2948776577f,
		8:   0x9e5971944a8b6ace,
		13:  0x271e8b9d1c635dd1,
		16:  0xc7780123b7b6089,
		17:  0x87d7efdf6cb646cc,
		32:  0x6e78d3236f69392,
		33:  0xdffb774c0cb7d742,
		48:  0x614338526b40d5e6,
		49:  0xb9551c966e798689,
		64:  0x2c2b532da5f878f7,
		97:  0x702a1b6faa2b696c,
		180: 0x275a46885da22063,
	} {
		require.Equal(t, want, Hash(text[:n], 42), "%d bytes: 0x%x", n, Hash(text[:n], 42))
	}
	require.Equal(t, uint64(0xc596c1d1475d1424), HashUint64(12345, 42), "0x%x", HashUint64(12345, 42))
}

func TestGoldenJump(t *testing.T) {
	// Values of the published function, which other implementations test against too.
	for _, c := range []struct {
		key     uint64
		n, want int
	}{{1, 1, 0}, {42, 57, 43}, {0xDEAD10CC, 1, 0}, {0xDEAD10CC, 666, 361}, {256, 1024, 520}} {
		require.Equal(t, c.want, Jump(c.key, c.n), "%d %d", c.key, c.n)
	}
}

// Maps are the same bytes everywhere: one of equal weights, one that needs logarithms, zones and
// replicas.
func TestGoldenMaps(t *testing.T) {
	even := must(t, nodeSet(10), Seed(7))
	require.Equal(t, uint64(0xda360f2e33262ccc), even.Fingerprint(), "0x%x", even.Fingerprint())
	nodes := nodeSet(20)
	for i := range nodes {
		nodes[i].Weight = []float64{1, 2.5, 0.3, 1e-4}[i%4]
		nodes[i].Zone = []string{"a/1", "a/2", "b/1", "b", ""}[i%5]
	}
	m := must(t, nodes, Slots(2048), Replicas(3), Slack(0.1))
	require.Equal(t, uint64(0xed18b6cd96e1ac15), m.Fingerprint(), "0x%x", m.Fingerprint())
}

// The binary form of a skew with two sources, one of which has seen more keys than it keeps.
func TestGoldenSkew(t *testing.T) {
	s := NewSkew("eu", 2)
	for _, key := range []string{"a", "b", "a", "c"} {
		s.Add(key)
	}
	us := NewSkew("us", 0)
	us.Add("a")
	s.Merge(us)
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	head, rest := b[:15], b[15:]
	require.Equal(t, "01 02 00 02 65 75 02 02 01 61 02 00 01 63 00", fmt.Sprintf("% x", head))
	require.Equal(t, byte(1), rest[0])
	rest = rest[1:]
	set := map[int]byte{}
	for i, v := range rest[:1<<12] {
		if v > 0 {
			set[i] = v
		}
	}
	require.Equal(t, map[int]byte{2464: 6, 2673: 1, 3578: 1}, set)
	require.Equal(t, "02 75 73 80 08 01 01 61 01 00", fmt.Sprintf("% x", rest[1<<12:]))
}
