package loadsim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/backpressure"
)

func TestServicesHaveTheirMeans(t *testing.T) {
	for name, s := range map[string]Service{"constant": Constant(ms), "exponential": Exponential(ms), "lognormal": Lognormal(ms, 1)} {
		rng, sum, least := rand.New(rand.NewPCG(1, 1)), time.Duration(0), time.Hour
		const n = 200_000
		for range n {
			d := s(rng)
			least = min(least, d)
			sum += d
		}
		require.GreaterOrEqual(t, least, time.Duration(0))
		require.InDelta(t, float64(ms), float64(sum)/n, 0.01*float64(ms), name)
	}
}

// TestNothingIsLost counts what becomes of each request, in every kind of scenario.
func TestNothingIsLost(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 11))
		s := Scenario{Seed: seed, Slots: 1 + rng.IntN(5), Service: Exponential(10 * ms), Mean: 10 * ms}
		if seed%2 == 0 {
			s.Deadline = 100 * ms
		}
		s.Limiter = []backpressure.LimiterOption{backpressure.Waiting(rng.IntN(20))}
		s.Retries = rng.IntN(3)
		s.Tenants = []Tenant{{ID: "a", Load: 1}, {ID: "b", Load: 0.5, Priority: rng.IntN(2)}}
		s.Phases = []Phase{{For: 2 * time.Second, Load: 2}, {For: time.Second}} // the second drains
		requests, offered, answered := 0, 0, 0
		tenants := [2]int{}
		for _, r := range Run(s) {
			requests += r.Requests
			offered += r.Offered
			answered += r.Good + r.Wasted + r.Refused + r.GaveUp
			for i, tr := range r.Tenants {
				tenants[i] += tr.Requests
			}
			perSecond := 0
			for _, sec := range r.Seconds {
				perSecond += sec.Good
			}
			require.Equal(t, r.Good, perSecond)
		}
		require.Equal(t, offered, answered)
		require.Equal(t, requests, tenants[0]+tenants[1])
		require.GreaterOrEqual(t, offered, requests)
	}
}

func TestServerIsAnMM1Queue(t *testing.T) {
	s := Scenario{Seed: 2, Slots: 1, Service: Exponential(ms), Mean: ms, Phases: []Phase{{For: 10 * time.Second}, {For: 300 * time.Second, Load: 0.5}}}
	r := Run(s)
	require.Zero(t, r[0].Requests)
	require.InDelta(t, 0.5, r[1].Goodput, 0.02)
	require.InDelta(t, 0.5, r[1].Busy, 0.02)
	// In an M/M/1 queue at one half the time spent is exponential with mean 2 ms.
	require.InDelta(t, 1.386, float64(r[1].P50)/float64(ms), 0.05)
	require.InDelta(t, 9.21, float64(r[1].P99)/float64(ms), 0.6)
}

func TestRampGrowsEvenly(t *testing.T) {
	s := Scenario{Seed: 2, Slots: 100, Service: Constant(ms), Mean: ms, Phases: []Phase{{For: 4 * time.Second, Load: 0.1, To: 0.5}}}
	sec := Run(s)[0].Seconds
	require.Len(t, sec, 4)
	for i, want := range []float64{15_000, 25_000, 35_000, 45_000} {
		require.InDelta(t, want, sec[i].Requests, 800)
	}
}

// Clients rest where there is no load, and come back with it.
func TestClientsRestWithoutLoad(t *testing.T) {
	sec := time.Second
	phases := []Phase{{For: sec}, {For: 0}, {For: 4 * sec, Load: 0.5}, {For: sec}, {For: 4 * sec, To: 1}, {For: sec, Load: 0.5}}
	r := Run(Scenario{Seed: 1, Slots: 10, Service: Constant(10 * ms), Mean: 10 * ms, Clients: 100, Phases: phases})
	for i, want := range []float64{0, 0, 2000, 0, 2000, 500} {
		require.InDelta(t, want, r[i].Requests, 0.2*want+100, "phase %d", i) // who has begun to rest comes once
	}
}

func TestScenariosThatMakeNoSense(t *testing.T) {
	for name, change := range map[string]func(*Scenario){
		"Slots 0":              func(s *Scenario) { s.Slots = 0 },
		"Service <nil>":        func(s *Scenario) { s.Service = nil },
		"Mean 0s":              func(s *Scenario) { s.Mean = 0 },
		"Deadline -1ns":        func(s *Scenario) { s.Deadline = -1 },
		"Refusing NaN":         func(s *Scenario) { s.Refusing = math.NaN() },
		"Retries -1":           func(s *Scenario) { s.Retries = -1 },
		"Clients -1":           func(s *Scenario) { s.Clients = -1 },
		"Tenants[1].Load -1":   func(s *Scenario) { s.Tenants = []Tenant{{}, {Load: -1}} },
		"Phases[0].For -1ns":   func(s *Scenario) { s.Phases[0].For = -1 },
		"Phases[1].For":        func(s *Scenario) { s.Phases = append(s.Phases, Phase{For: math.MaxInt64}) },
		"Phases[0].Load NaN":   func(s *Scenario) { s.Phases[0].Load = math.NaN() },
		"Phases[0].Load 1e+07": func(s *Scenario) { s.Phases[0].Load = 1e7 },
		"Phases[0].To +Inf":    func(s *Scenario) { s.Phases[0].To = math.Inf(1) },
		"Phases[0].Slow -1":    func(s *Scenario) { s.Phases[0].Slow = -1 },
		"Phases[0].Lost -1":    func(s *Scenario) { s.Phases[0].Lost = -1 },
	} {
		s := Scenario{Slots: 10, Service: Constant(ms), Mean: ms, Phases: []Phase{{For: time.Second}}}
		require.NotPanics(t, func() { Run(s) })
		change(&s)
		func() {
			defer func() { require.Contains(t, recover(), name) }()
			Run(s)
		}()
	}
	for _, draw := range []Service{Constant(-1), Constant(math.MaxInt64), Lognormal(ms, 300), Lognormal(ms, math.NaN())} {
		s := Scenario{Slots: 1, Service: draw, Mean: ms, Phases: []Phase{{For: time.Second, Load: 1, Slow: 1e300}}}
		require.NotPanics(t, func() { Run(s) }, "work is brought within bounds")
	}
}
