package clock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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

func ExampleStamp() {
	t := at("2026-11-21T12:00:00Z")
	a, b := clock.Stamp[string]{Time: t, Node: "lisbon"}, clock.Stamp[string]{Time: t, Node: "porto"}
	fmt.Println(a.Before(b), a)
	// Output: true 2026-11-21T12:00:00.000000000Z@lisbon
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "clock")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store := clock.File(filepath.Join(dir, "bound"))

	c, err := clock.Open(context.Background(), store)
	if err != nil {
		fmt.Println(err)
		return
	}
	last := c.Now()
	fmt.Println(c.Close())

	c, err = clock.Open(context.Background(), store) // the next life of the process
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Now() > last, c.Close())
	// Output:
	// <nil>
	// true <nil>
}

func ExampleFileStore() {
	dir, err := os.MkdirTemp("", "clock")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	store := clock.File(filepath.Join(dir, "bound"))
	_, err = store.Load(context.Background())
	fmt.Println("never written:", errors.Is(err, fs.ErrNotExist))
	fmt.Println(store.Save(context.Background(), at("2026-11-21T12:00:00Z")))
	fmt.Println(store.Load(context.Background()))
	// Output:
	// never written: true
	// <nil>
	// 2026-11-21T12:00:00.000000000Z <nil>
}

func ExampleCorruptError() {
	dir, err := os.MkdirTemp("", "clock")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "bound")
	if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	_, err = clock.Open(context.Background(), clock.File(path))
	if corrupt, ok := errors.AsType[*clock.CorruptError](err); ok {
		fmt.Println(corrupt.Reason)
	}
	// Output: 4 bytes instead of 20
}

// database keeps the bound beside the data that it protects.
type database struct{ row *clock.Timestamp }

func (d *database) Load(context.Context) (clock.Timestamp, error) {
	if d.row == nil {
		return 0, fs.ErrNotExist
	}
	return *d.row, nil
}

func (d *database) Save(_ context.Context, bound clock.Timestamp) error {
	d.row = &bound
	return nil
}

func ExampleStore() {
	db := &database{}
	c, err := clock.Open(context.Background(), db)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Now() <= *db.row, c.Close())
	// Output: true <nil>
}

func ExampleStats() {
	c := clock.New()
	_ = c.Witness(c.Now().Add(time.Hour))
	fmt.Println(c.Stats().Refused)
	// Output: 1
}

func ExampleOption() {
	c := clock.New(
		clock.WithMaxDrift(250*time.Millisecond),
		clock.OnStep(func(by time.Duration) { log.Printf("the wall clock was set by %v", by) }),
	)
	fmt.Println(c.Witness(c.Now().Add(200 * time.Millisecond)))
	// Output: <nil>
}

// towers is a source that asks somebody else.
type towers struct{}

func (towers) Now() int64 { return int64(at("2026-11-21T12:00:00Z")) }

func ExampleSource() {
	c := clock.New(clock.WithSource(towers{}))
	fmt.Println(c.Physical())
	// Output: 2026-11-21T12:00:00.000000000Z
}

func ExampleBounded() {
	physical := clock.NewFake(at("2026-11-21T12:00:00Z"))
	physical.SetBound(5*time.Millisecond, nil)
	c := clock.New(clock.WithSource(physical))
	fmt.Println(c.Interval())
	// Output: 2026-11-21T11:59:59.995000000Z 2026-11-21T12:00:00.005000000Z <nil>
}

func ExampleClock_Commit() {
	c := clock.New(clock.WithSource(clock.Fixed(time.Millisecond)))
	first, err := c.Commit(context.Background())
	second, err2 := c.Commit(context.Background())
	fmt.Println(second > first, err, err2)
	// Output: true <nil> <nil>
}

func ExampleCarrier() {
	a, b := clock.New(), clock.New()
	message := http.Header{}
	sent := a.Inject(message)
	received, err := b.Extract(message)
	fmt.Println(received > sent, err)
	// Output: true <nil>
}

func ExampleNewContext() {
	c := clock.New()
	written := c.Now()
	session := clock.NewContext(context.Background(), written)

	// Somewhere else, on behalf of the session:
	token, ok := clock.FromContext(session)
	fmt.Println(ok, c.Wait(session, token), c.Now() > written)
	// Output: true <nil> true
}

func ExampleLamport() {
	var a, b clock.Lamport
	n := a.Tick()
	fmt.Println(n, b.Observe(n), b.Tick())
	// Output: 1 2 3
}

func ExampleRoster() {
	r := clock.NewRoster("lisbon", "porto", "faro")
	v := r.Vector()
	v.Tick("porto")
	b, err := r.Append(nil, v)
	fmt.Println(len(b), err)
	fmt.Println(r.Parse(b))
	// Output:
	// 8 <nil>
	// {porto:1} <nil>
}

func ExampleSiblings() {
	var cart clock.Siblings[string, string]
	cart.Put(clock.Vector[string]{}, "lisbon", "milk")
	read := cart.Context()
	cart.Put(read, "lisbon", "milk, eggs")                 // has seen milk
	cart.Put(clock.Vector[string]{}, "lisbon", "only tea") // has seen nothing
	for dot, value := range cart.Values() {
		fmt.Println(dot, value)
	}
	// Output:
	// lisbon:3 only tea
	// lisbon:2 milk, eggs
}

func ExampleInbox() {
	a := clock.NewInbox[string, string]("a", clock.Vector[string]{}, 10)
	b := clock.NewInbox[string, string]("b", clock.Vector[string]{}, 10)
	c := clock.NewInbox[string, string]("c", clock.Vector[string]{}, 10)
	question := a.Send("lunch?")
	_, _ = b.Receive(question)
	answer := b.Send("yes")

	early, _ := c.Receive(answer)
	fmt.Println(len(early), "delivered; lacks", slices.Collect(c.Missing()))
	both, _ := c.Receive(question)
	for _, m := range both {
		fmt.Println(m.Dot, m.Body)
	}
	// Output:
	// 0 delivered; lacks [{a 1 1}]
	// a:1 lunch?
	// b:1 yes
}

func ExampleMessage() {
	a := clock.NewInbox[string, string]("a", clock.Vector[string]{}, 10)
	a.Send("one")
	m := a.Send("two")
	fmt.Println(m.Dot, m.Past, m.Body)
	// Output: a:2 {a:1} two
}

func ExampleStability() {
	s := clock.NewStability("a", "b")
	s.Saw("a", clock.VectorOf(map[string]uint64{"a": 5, "b": 2}))
	s.Saw("b", clock.VectorOf(map[string]uint64{"a": 3, "b": 2}))
	fmt.Println(s.Stable())
	// Output: {a:3 b:2}
}

func ExampleSkew() {
	s := clock.NewSkew[string]()
	here := at("2026-11-21T12:00:00Z")
	for _, peer := range []string{"lisbon", "porto"} { // both say it is three hours later
		there := here.Add(3 * time.Hour)
		s.Sample(peer, here, there.Add(time.Millisecond), there.Add(time.Millisecond), here.Add(2*time.Millisecond))
	}
	fmt.Println(s.Offset("porto"))
	fmt.Println(s.Check(time.Second))
	// Output:
	// 3h0m0s 1ms true
	// clock: off by more than 1s: this node by -3h0m0s
}

func ExampleSkewError() {
	s := clock.NewSkew[string]()
	here := at("2026-11-21T12:00:00Z")
	s.Sample("lisbon", here, here, here, here)
	s.Sample("porto", here, here.Add(-time.Hour), here.Add(-time.Hour), here)
	if skew, ok := errors.AsType[*clock.SkewError[string]](s.Check(time.Second)); ok {
		fmt.Println(skew.Self, skew.Peers)
	}
	// Output: false map[porto:-1h0m0s]
}

func ExampleTree() {
	a, b := clock.Seed().Fork()
	a, b = a.Event(), b.Event()
	fmt.Println(a, b, a.Compare(b))

	b, err := b.Join(a.Peek()) // a message from a to b
	fmt.Println(b, err, a.Compare(b))

	all, err := a.Join(b) // b leaves
	fmt.Println(all, err)
	// Output:
	// ((1, 0), (0, 1, 0)) ((0, 1), (0, 0, 1)) concurrent
	// ((0, 1), 1) <nil> before
	// (1, 1) <nil>
}
