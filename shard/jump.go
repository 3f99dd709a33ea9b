package shard

import (
	"math"
	"math/bits"
)

// Jump returns the bucket in [0, n) of key by jump consistent hashing, bit for bit as published
// (Lamping and Veach 2014, figure 1), for compatibility with data placed by it; [JumpBack] is
// faster. When n grows by one, 1/(n+1) of the keys move, all to the new bucket.
// It panics if n < 1 or n > 1<<31-1, as many as it was published for. Expected time is O(log n).
func Jump(key uint64, n int) int {
	if n < 1 || n > math.MaxInt32 {
		panic("shard: Jump needs from 1 to 1<<31-1 buckets")
	}
	var b, j int64 = -1, 0
	for j < int64(n) {
		b = j
		key = key*2862933555777941757 + 1
		j = int64(float64(b+1) * (float64(1<<31) / float64((key>>33)+1)))
	}
	return int(b)
}

// JumpBack returns the bucket in [0, n) of a hashed key: consistent like [Jump], in constant
// expected time and without floating point (Ertl 2024, "JumpBackHash: Say Goodbye to the Modulo
// Operation"). Numbered buckets only come and go at the end; for named nodes see [Map].
//
// hash may be any 64-bit hash of the key. Its bits are drawn from SplitMix64 (Steele, Lea and
// Flood 2014) started at hash, which makes the result the same as hash4j's.
// It panics if n < 1 or n > 1<<31-1.
func JumpBack(hash uint64, n int) int {
	if n < 1 || n > math.MaxInt32 {
		panic("shard: JumpBack needs from 1 to 1<<31-1 buckets")
	}
	if n == 1 {
		return 0
	}
	limit := uint32(n)
	state := hash + splitStep
	r := splitMix(state)
	// Bit i of tops says that some bucket in [2^i, 2^(i+1)) was active last among those below
	// 2^(i+1): walk them from the top and stop at the first active bucket below n.
	tops := uint32(r^r>>32) & (1<<bits.Len32(limit-1) - 1)
	for tops != 0 {
		low := uint32(1) << (bits.Len32(tops) - 1)
		half := r >> (32 * (bits.OnesCount32(tops) & 1))
		bucket := low | uint32(half)&(low-1)
		if bucket < limit {
			return int(bucket)
		}
		mask := low<<1 - 1
		for {
			state += splitStep
			next := splitMix(state)
			if bucket = uint32(next) & mask; bucket >= low && bucket >= limit {
				bucket = uint32(next>>32) & mask
			}
			if bucket < low {
				break
			}
			if bucket < limit {
				return int(bucket)
			}
		}
		tops ^= low
	}
	return 0
}

const splitStep = 0x9e3779b97f4a7c15

// splitMix is the output function of SplitMix64.
func splitMix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
