package loadsim

import (
	"math"
	"math/rand/v2"
	"time"
)

// Service draws how long a piece of work takes one slot.
type Service func(rng *rand.Rand) time.Duration

// Constant is work that always takes d.
func Constant(d time.Duration) Service {
	return func(*rand.Rand) time.Duration { return d }
}

// Exponential is work that takes mean on average and is as likely to end in the next moment however
// long it has run: a fair model of many small steps.
func Exponential(mean time.Duration) Service {
	return func(rng *rand.Rand) time.Duration { return time.Duration(float64(mean) * rng.ExpFloat64()) }
}

// Lognormal is work with a heavy tail: its logarithm is normal with standard deviation sigma. With a
// sigma of 1.5 one in a hundred takes ten times the mean or more, and those are a fifth of all work.
func Lognormal(mean time.Duration, sigma float64) Service {
	return func(rng *rand.Rand) time.Duration {
		return time.Duration(float64(mean) * math.Exp(sigma*rng.NormFloat64()-sigma*sigma/2))
	}
}
