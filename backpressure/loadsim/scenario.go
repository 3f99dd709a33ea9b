package loadsim

import (
	"fmt"
	"math"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// Phase is a stretch of time in which the load and the server stay as they are, but for a ramp.
type Phase struct {
	For  time.Duration
	Load float64 // requests that arrive, as a multiple of what all the slots can do
	To   float64 // if not 0, the load at the end of the phase: it changes evenly from Load
	Slow float64 // if not 0, all work takes so many times as long: a brown-out
	Lost int     // slots that do not work: another
}

// Tenant is one of several sources of requests.
type Tenant struct {
	ID       string
	Load     float64 // its part of the load; a phase's Load multiplies it
	Priority int
}

// Scenario is a server, what stands before it, and what comes at it. Requests arrive one by one at
// random (a Poisson process), whatever becomes of the earlier ones, unless Clients says otherwise.
type Scenario struct {
	Seed uint64 // of everything random

	Slots    int           // how much the server does at once
	Service  Service       // how long a request takes a slot
	Mean     time.Duration // of Service: Slots/Mean is what the server can do
	Deadline time.Duration // of a request, from its arrival; 0 for none. What is done later is of no use

	Phases  []Phase
	Tenants []Tenant // nil means one without a name

	// Limiter are the options of the limiter before the server; with nil, nothing is. What is let
	// in stands in line at the server, first come, first served, until a slot is free, and is done
	// even if it is too late.
	Limiter []backpressure.LimiterOption

	Refusing float64 // what it costs the server to refuse, as a multiple of Mean
	Retries  int     // how often a client that is refused asks again, at once
	Polite   bool    // a refused client comes back after RetryAfter instead, until it is served
	Clients  int     // if not 0, so many clients ask, and pause between the answer and the next request
}

const (
	maxWork = 30 * 24 * time.Hour       // of one request: what takes longer takes that
	maxTime = 10 * 365 * 24 * time.Hour // of all phases
	maxRate = 1e9                       // requests a second: one each moment
)

// check panics if the scenario makes no sense.
func (s *Scenario) check() {
	demand := func(ok bool, name string, v any) {
		if !ok {
			panic(fmt.Sprintf("loadsim: a Scenario with %s %v makes no sense", name, v))
		}
	}
	number := func(v float64, name string) { demand(v >= 0 && !math.IsInf(v, 1), name, v) }
	demand(s.Slots > 0, "Slots", s.Slots)
	demand(s.Service != nil, "Service", nil)
	demand(s.Mean > 0, "Mean", s.Mean)
	demand(s.Deadline >= 0, "Deadline", s.Deadline)
	number(s.Refusing, "Refusing")
	demand(s.Retries >= 0, "Retries", s.Retries)
	demand(s.Clients >= 0, "Clients", s.Clients)
	most := 1.0
	for i, t := range s.Tenants {
		number(t.Load, fmt.Sprintf("Tenants[%d].Load", i))
		most = max(most, t.Load)
	}
	end := time.Duration(0)
	for i, p := range s.Phases {
		at := fmt.Sprintf("Phases[%d].", i)
		demand(p.For >= 0 && p.For <= maxTime-end, at+"For", p.For)
		end += p.For
		number(p.Load, at+"Load")
		number(p.To, at+"To")
		number(p.Slow, at+"Slow")
		demand(p.Lost >= 0, at+"Lost", p.Lost)
		demand(max(p.Load, p.To)*most*float64(s.Slots)/s.Mean.Seconds() <= maxRate, at+"Load", max(p.Load, p.To))
	}
}
