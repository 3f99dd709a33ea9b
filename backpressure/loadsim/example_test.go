package loadsim_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/backpressure/loadsim"
)

// What happens at ten times the load? A test of your own service says what it can do, how long it
// takes, and how long its callers wait.
func Example() {
	s := loadsim.Scenario{
		Slots: 10, Service: loadsim.Exponential(10 * time.Millisecond), Mean: 10 * time.Millisecond,
		Deadline: 100 * time.Millisecond,
		Phases:   []loadsim.Phase{{For: 5 * time.Second, Load: 0.7}, {For: 10 * time.Second, Load: 10}, {For: 5 * time.Second, Load: 0.7}},
	}
	without := loadsim.Run(s)
	s.Limiter = []backpressure.LimiterOption{backpressure.Waiting(10_000)}
	with := loadsim.Run(s)
	for i := range s.Phases {
		fmt.Printf("load %4.1f: %.1f of the capacity done in time; with a limiter %.1f\n",
			s.Phases[i].Load, without[i].Goodput, with[i].Goodput)
	}
	// Output:
	// load  0.7: 0.7 of the capacity done in time; with a limiter 0.7
	// load 10.0: 0.0 of the capacity done in time; with a limiter 1.0
	// load  0.7: 0.0 of the capacity done in time; with a limiter 0.7
}

func ExampleTenant() {
	s := loadsim.Scenario{
		Slots: 10, Service: loadsim.Exponential(10 * time.Millisecond), Mean: 10 * time.Millisecond,
		Deadline: 100 * time.Millisecond,
		Limiter:  []backpressure.LimiterOption{backpressure.Waiting(10_000)},
		Tenants:  []loadsim.Tenant{{ID: "elephant", Load: 5}, {ID: "mouse", Load: 0.05}},
		Phases:   []loadsim.Phase{{For: 20 * time.Second, Load: 1}},
	}
	for _, t := range loadsim.Run(s)[0].Tenants {
		fmt.Printf("%s: %.0f%% served\n", t.ID, 100*float64(t.Good)/float64(t.Requests))
	}
	// Output:
	// elephant: 19% served
	// mouse: 100% served
}

func ExampleResult() {
	s := loadsim.Scenario{
		Slots: 4, Service: loadsim.Constant(time.Millisecond), Mean: time.Millisecond,
		Limiter: []backpressure.LimiterOption{backpressure.Fixed(4)},
		Phases:  []loadsim.Phase{{For: time.Second, Load: 2}},
	}
	r := loadsim.Run(s)[0]
	fmt.Println(r.Requests == r.Good+r.Refused+r.Limit, len(r.Seconds), r.P99)
	// Output: true 1 1ms
}

func ExampleService() {
	// Nine in ten are found in a cache.
	cached := func(rng *rand.Rand) time.Duration {
		if rng.IntN(10) > 0 {
			return 100 * time.Microsecond
		}
		return 20 * time.Millisecond
	}
	s := loadsim.Scenario{Slots: 8, Service: cached, Mean: 2090 * time.Microsecond, Deadline: 200 * time.Millisecond}
	s.Limiter = []backpressure.LimiterOption{backpressure.Waiting(10_000)}
	s.Phases = []loadsim.Phase{{For: 2 * time.Second, Load: 1}, {For: 5 * time.Second, Load: 5}}
	fmt.Println(loadsim.Run(s)[1].Goodput > 0.95)
	// Output: true
}
