package clock_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-calm/calm/clock"
)

func at(s string) clock.Timestamp {
	t, err := clock.ParseTimestamp(s)
	if err != nil {
		panic(err)
	}
	return t
}

func Example() {
	c := clock.New()
	sent := c.Now()                  // with a message
	received, err := c.Observe(sent) // by its receiver, with a clock of its own
	fmt.Println(received > sent, err)
	// Output: true <nil>
}

func ExampleTimestamp() {
	t := clock.At(time.Date(2026, 11, 21, 7, 46, 30, 996366813, time.UTC))
	fmt.Println(t)
	fmt.Println(t.Next())
	fmt.Println(t < t.Next(), t.String() < t.Next().String(), clock.At(t.Time()) == t)
	fmt.Println(t.Physical(), t.Logical())
	// Output:
	// 2026-11-21T07:46:30.996366813Z
	// 2026-11-21T07:46:30.996366814Z
	// true true true
	// 2026-11-21T07:46:30.996353024Z 13789
}

func ExampleClock() {
	// In a test, time stands still until it is told to move.
	physical := clock.NewFake(at("2026-11-21T12:00:00Z").Physical())
	c := clock.New(clock.WithSource(physical))
	fmt.Println(c.Now())
	fmt.Println(c.Now())
	physical.Advance(-time.Hour) // nobody will notice
	fmt.Println(c.Now())

	_, err := c.Observe(at("2026-11-21T12:00:00.2Z"))
	fmt.Println(errors.Is(err, clock.ErrDrift))
	// Output:
	// 2026-11-21T11:59:59.999967232Z
	// 2026-11-21T11:59:59.999967233Z
	// 2026-11-21T11:59:59.999967234Z
	// true
}

func ExampleDriftError() {
	physical := clock.NewFake(at("2026-11-21T12:00:00Z"))
	c := clock.New(clock.WithSource(physical), clock.WithMaxDrift(time.Second))
	err := c.Witness(at("2026-11-21T15:00:00Z"))
	if drift, ok := errors.AsType[*clock.DriftError](err); ok {
		fmt.Println("refused:", drift.Ahead(), "ahead")
	}
	// Output: refused: 3h0m0s ahead
}

func ExampleOrder() {
	fmt.Println(clock.Before|clock.After, clock.Before.Invert())
	// Output: concurrent after
}

func ExampleDot() {
	var v clock.Vector[string]
	d := v.Tick("lisbon")
	fmt.Println(d, v.Has(d), v.Has(clock.Dot[string]{Node: "lisbon", N: 2}))
	// Output: lisbon:1 true false
}

func ExampleVector() {
	var a, b clock.Vector[string]
	a.Tick("lisbon")
	b.Merge(a) // b has heard of it
	fmt.Println(a.Compare(b))
	a.Tick("lisbon")
	b.Tick("porto")
	fmt.Println(a, b, a.Compare(b))
	fmt.Println("porto lacks", a.Since(b))
	b.Merge(a)
	fmt.Println(a.Compare(b))
	// Output:
	// equal
	// {lisbon:2} {lisbon:1 porto:1} concurrent
	// porto lacks {lisbon:2}
	// before
}

func ExampleContext() {
	var seen clock.Context[string]
	seen.AddRange("lisbon", 1, 4)
	seen.Add(clock.Dot[string]{Node: "lisbon", N: 7})
	fmt.Println(&seen, seen.Vector())
	seen.AddRange("lisbon", 5, 6) // the gap closes
	fmt.Println(&seen, seen.Vector())
	// Output:
	// {lisbon:1-4,7} {lisbon:4}
	// {lisbon:1-7} {lisbon:7}
}

func ExampleRun() {
	var seen clock.Context[string]
	seen.AddRange("lisbon", 3, 5)
	for run := range seen.Runs() {
		fmt.Println(run.Node, run.Lo, run.Hi)
	}
	// Output: lisbon 3 5
}

func ExampleFake() {
	var physical clock.Fake
	physical.Advance(time.Minute)
	fmt.Println(clock.New(clock.WithSource(&physical)).Physical())
	// Output: 1970-01-01T00:01:00.000000000Z
}
