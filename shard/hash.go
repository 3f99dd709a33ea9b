package shard

import "math/bits"

// Odd constants with balanced bits, the fractional parts of square roots: √2, √3, √5, √7.
const (
	k0 = 0x6a09e667f3bcc909
	k1 = 0xbb67ae8584caa73b
	k2 = 0x3c6ef372fe94f82b
	k3 = 0xa54ff53a5f1d36f1
)

// fold multiplies to 128 bits and folds the halves.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix spreads x over 64 bits.
func mix(x, seed uint64) uint64 { return fold(fold(x^k0, seed^k1)^k2, x^seed^k3) }

// Hash returns a 64-bit hash of key. It is the same on every platform, in every process and in
// every release, which [hash/maphash] is not, and is meant for placement: it is fast, seeded and
// passes the usual statistical tests, but it does not withstand an adversary who picks the keys.
// Keys of up to 16 bytes take two multiplications; nothing is allocated.
//
// It belongs to the multiply-fold family of wyhash and rapidhash (Wang Yi 2019, Nicolas De Carli 2024).
func Hash(key string, seed uint64) uint64 { return hash(key, seed^k3) }

// HashBytes is [Hash] of the same bytes.
func HashBytes(key []byte, seed uint64) uint64 { return hash(key, seed^k3) }

// hash is written once for both kinds of key; neither is converted to the other. It calls nothing,
// so it needs no frame. Two multiplications finish every length: a key of up to 16 bytes takes no other.
func hash[K string | []byte](key K, seed uint64) uint64 {
	n := len(key)
	var a, b uint64
	switch {
	case n > 16:
		// 48 bytes a round in three lanes, so that the multiplications overlap.
		rest := key
		if len(rest) > 48 {
			s1, s2 := seed^k1, seed^k2
			for ; len(rest) > 48; rest = rest[48:] {
				seed = fold(le64(rest, 0)^k0, le64(rest, 8)^seed)
				s1 = fold(le64(rest, 16)^k1, le64(rest, 24)^s1)
				s2 = fold(le64(rest, 32)^k2, le64(rest, 40)^s2)
			}
			// Rotations keep equal lanes from canceling each other.
			seed ^= bits.RotateLeft64(s1, 21) ^ bits.RotateLeft64(s2, 42)
		}
		for ; len(rest) > 16; rest = rest[16:] {
			seed = fold(le64(rest, 0)^k0, le64(rest, 8)^seed)
		}
		rest = key[n-16:]
		a, b = le64(rest, 0), le64(rest, 8)
	case n >= 8:
		a, b = le64(key, 0), le64(key, n-8)
	case n >= 4:
		a, b = le32(key, 0), le32(key, n-4)
	case n > 0:
		second := key[0]
		if n > 1 {
			second = key[1]
		}
		a = uint64(key[0])<<16 | uint64(second)<<8 | uint64(key[n-1])
	}
	hi, lo := bits.Mul64(a^k0, b^seed)
	return fold(lo^k1^uint64(n), hi^k2)
}

// le64 and le32 are written out because the compiler joins such loads for strings as well.
func le64[K string | []byte](k K, i int) uint64 {
	p := k[i : i+8]
	return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24 |
		uint64(p[4])<<32 | uint64(p[5])<<40 | uint64(p[6])<<48 | uint64(p[7])<<56
}

func le32[K string | []byte](k K, i int) uint64 {
	p := k[i : i+4]
	return uint64(p[0]) | uint64(p[1])<<8 | uint64(p[2])<<16 | uint64(p[3])<<24
}

// HashUint64 is the hash that [Map.OwnerUint64] places by. It is not the [Hash] of any encoding of key.
func HashUint64(key, seed uint64) uint64 { return hashNumber(key, seed^k1) }

func hashNumber(key, seed uint64) uint64 { return fold(fold(key^k0, seed)^k2, k3) }
