package shard

import (
	"math"
	"math/bits"
)

// Weighted rendezvous needs logarithms, and floating point is no base for placement: math.Log has
// assembly on some platforms, and compilers may fuse x*y+z on others. So logarithms are computed
// here in fixed point, from integers alone.

const (
	one   = 1 << 32 // 1.0 with 32 fractional bits
	knots = 1 << 10
)

// logs holds the knots of two functions, linearly interpolated in between. Both are increasing
// and interpolation rounds down, so the interpolated functions never decrease, which makes
// "highest uniform number" and "highest score" the same among nodes of one weight.
type logs struct {
	log2 [knots + 1]int64 // log2(1+i/knots)
	bend [knots + 1]int64 // log2(-ln(1-v)/v) at v = i/knots/2
}

func newLogs() *logs {
	t := new(logs)
	for i := range t.log2 {
		t.log2[i] = slowLog2(uint64(knots+i)<<52) - one
	}
	t.log2[knots] = one
	for i := range t.bend {
		v := uint64(i) << 53
		// -ln(1-v)/v = 1 + v/2 + v²/3 + …, with 62 fractional bits; v ≤ 1/2, so 62 terms fill them.
		sum, power := uint64(0), uint64(1)<<62
		for k := uint64(1); power > 0; k++ {
			sum += power / k
			power, _ = bits.Mul64(power, v)
		}
		t.bend[i] = slowLog2(sum) - one
	}
	t.bend[0] = 0
	return t
}

// slowLog2 returns log2(x / 2^61) for x in [2^62, 2^63), bit by bit: squaring doubles a logarithm.
func slowLog2(x uint64) int64 {
	l := int64(1)
	for range 32 {
		hi, lo := bits.Mul64(x, x)
		x = hi<<2 | lo>>62
		l <<= 1
		if x >= 1<<63 {
			x >>= 1
			l |= 1
		}
	}
	return l
}

// at interpolates knots at position p, whose top 10 bits choose the knot.
func at(t *[knots + 1]int64, p uint64) int64 {
	i, rest := p>>54, int64(p>>22&(1<<32-1))
	return t[i] + (t[i+1]-t[i])*rest>>32
}

// of returns log2(x) for x ≥ 1.
func (t *logs) of(x uint64) int64 {
	z := bits.LeadingZeros64(x)
	return int64(63-z)*one + at(&t.log2, x<<(z+1))
}

// ofWeight returns log2(w) of a positive weight.
func (t *logs) ofWeight(w float64) int64 {
	frac, exp := math.Frexp(w)
	return t.of(uint64(frac*(1<<53))) + int64(exp-53)*one
}

// gumbel returns -log2(-ln u) for u as a fraction of 2^64. Adding log2 of a weight to it turns
// "the highest wins" into "wins with probability in proportion to the weight": the comparison of
// -ln(u)/w, taken in logarithms.
func (t *logs) gumbel(u uint64) int64 {
	if v := ^u; v < 1<<63 {
		// Near 1, where winners are, the distance to 1 carries the precision.
		return 64*one - t.of(max(v, 1)) - at(&t.bend, v<<1)
	}
	ln2 := t.bend[knots] - one            // log2(ln 2)
	y := uint64(64*one - t.of(max(u, 1))) // -log2 u, above 1
	return -(t.of(y) - 32*one) - ln2
}
