package shard

import (
	"encoding/binary"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
)

// hash4j checks its implementation by a komihash (version 5) checksum over a million buckets of
// keys and ranges drawn from Java's SplittableRandom. The same checksum comes out here, so JumpBack
// agrees with it bit for bit.
func TestJumpBackEqualsHash4j(t *testing.T) {
	var state uint64 = 0x0a55871a9d9103b7
	step := func() uint64 { state += splitStep; return state }
	nextInt := func() uint32 {
		z := step()
		z = (z ^ z>>33) * 0x62a9d9ed799705f5
		return uint32((z ^ z>>28) * 0xcb24d0a5c88c35b3 >> 32)
	}
	var sum []byte
	for range 1_000_000 {
		n := nextInt() >> 1
		n >>= nextInt() & 31
		sum = binary.LittleEndian.AppendUint32(sum, uint32(JumpBack(splitMix(step()), int(max(n, 1)))))
	}
	require.Equal(t, uint64(0x23d7a0d288cd67e7), komihash(sum))
}

// komihash is komihash 5 with seed 0 of a multiple of 64 bytes.
func komihash(b []byte) uint64 {
	pi := [8]uint64{
		0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89,
		0x452821E638D01377, 0xBE5466CF34E90C6C, 0xC0AC29B7C97C50DD, 0x3F84D5B5B5470917,
	}
	round := func(x, y, s5 uint64) (uint64, uint64) {
		hi, lo := bits.Mul64(x, y)
		s5 += hi
		return lo ^ s5, s5
	}
	s := pi
	s[0], s[4] = round(s[0], s[4], s[4])
	for i := 1; i < 4; i++ {
		s[i] ^= s[0]
		s[i+4] ^= s[4]
	}
	for ; len(b) > 0; b = b[64:] {
		for i := range 4 {
			hi, lo := bits.Mul64(s[i]^binary.LittleEndian.Uint64(b[8*i:]), s[i+4]^binary.LittleEndian.Uint64(b[32+8*i:]))
			s[i], s[i+4] = lo, s[i+4]+hi
		}
		s[1], s[2], s[3], s[0] = s[1]^s[4], s[2]^s[5], s[3]^s[6], s[0]^s[7]
	}
	s[4] ^= s[5] ^ s[6] ^ s[7]
	s[0] ^= s[1] ^ s[2] ^ s[3]
	s[0], s[4] = round(s[0]^1, s[4], s[4])
	s[0], _ = round(s[0], s[4], s[4])
	return s[0]
}
