package main

import "math"

// law is Gunther's Universal Scalability Law: the speed of n workers is
//
//	λ·n / (1 + σ·(n−1) + κ·n·(n−1))
//
// where σ is the share of the work that must be done one after the other (contention), and κ is what
// each worker loses to each other one (coherence). With κ above zero there is a number of workers
// beyond which more of them make it slower.
//
// Source: Gunther, "Guerrilla Capacity Planning", 2007, chapter 4.
type law struct {
	lambda, sigma, kappa float64
	ok                   bool // false if there was too little to fit
}

// fit finds the σ and κ, neither below zero, that come closest to the measured speeds by least
// squares. λ is the speed of one worker, which must be the first.
func fit(workers []int, speed []float64) law {
	l := law{lambda: speed[0], ok: len(workers) > 2}
	// λn/speed − 1 = σ·a + κ·b, with a = n−1 and b = n(n−1).
	var aa, ab, bb, ay, by float64
	for i, n := range workers {
		a, b := float64(n-1), float64(n*(n-1))
		y := l.lambda*float64(n)/speed[i] - 1
		aa, ab, bb, ay, by = aa+a*a, ab+a*b, bb+b*b, ay+a*y, by+b*y
	}
	if !l.ok {
		return l
	}
	det := aa*bb - ab*ab
	l.sigma, l.kappa = (ay*bb-by*ab)/det, (by*aa-ay*ab)/det
	if l.kappa < 0 {
		l.sigma, l.kappa = ay/aa, 0
	}
	if l.sigma < 0 {
		l.sigma, l.kappa = 0, max(0, by/bb)
	}
	return l
}

// speed is what the law says of n workers.
func (l law) speed(n float64) float64 {
	return l.lambda * n / (1 + l.sigma*(n-1) + l.kappa*n*(n-1))
}

// peak is how many workers are fastest, by the law: infinitely many if they never get in each
// other's way.
func (l law) peak() float64 {
	if l.kappa == 0 {
		return math.Inf(1)
	}
	return max(1, math.Sqrt(max(0, 1-l.sigma)/l.kappa))
}
