package accesslog

import (
	"math"
	"math/rand/v2"
)

// Zipf draws i < n with a probability proportional to 1/(i+1)^s, in constant time (Walker's alias
// method: n equal columns, each shared by at most two values).
type Zipf struct {
	keep  []float64 // the share of column i that is i's own
	alias []int32   // whose the rest is
}

// NewZipf takes time proportional to n.
func NewZipf(s float64, n int) Zipf {
	share := make([]float64, n)
	var sum float64
	for i := range share {
		share[i] = math.Pow(float64(i+1), -s)
		sum += share[i]
	}
	z := Zipf{keep: make([]float64, n), alias: make([]int32, n)}
	var small, large []int32
	for i := range share {
		share[i] *= float64(n) / sum
		if share[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		poor, rich := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		z.keep[poor], z.alias[poor] = share[poor], rich
		if share[rich] -= 1 - share[poor]; share[rich] < 1 {
			large = large[:len(large)-1]
			small = append(small, rich)
		}
	}
	for _, i := range append(small, large...) { // exactly full, up to rounding
		z.keep[i], z.alias[i] = 1, i
	}
	return z
}

// Draw draws once.
func (z Zipf) Draw(rng *rand.Rand) int {
	i := rng.IntN(len(z.keep))
	if rng.Float64() < z.keep[i] {
		return i
	}
	return int(z.alias[i])
}
