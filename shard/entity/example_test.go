package entity_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-calm/calm/shard"
	"github.com/go-calm/calm/shard/entity"
)

type account struct{ balance int }

type transfer struct {
	to     string
	amount int
}

var errFunds = errors.New("not enough money")

// handle deposits and, if the message names a receiver, pays on.
func handle(t *entity.Turn[account, transfer], m transfer) error {
	if m.to == "" {
		t.State.balance += m.amount
		return nil
	}
	if t.State.balance < m.amount {
		return errFunds // nothing goes out
	}
	t.State.balance -= m.amount
	t.Send(m.to, transfer{amount: m.amount})
	return nil
}

func Example() {
	ctx := context.Background()
	e := entity.New(handle, entity.OnError(func(key string, err error) { fmt.Println(key+":", err) }))
	for _, m := range []struct {
		key string
		transfer
	}{{"ann", transfer{"", 100}}, {"ann", transfer{"bob", 30}}, {"ann", transfer{"bob", 300}}} {
		if err := e.Send(ctx, m.key, m.transfer); err != nil {
			panic(err)
		}
	}
	left, err := entity.Ask(ctx, e, "ann", func(a *account) int { return a.balance })
	if err != nil {
		panic(err)
	}
	fmt.Println("ann has", left)
	fmt.Println(e.Close(ctx))
	// Output:
	// ann: not enough money
	// ann has 70
	// <nil>
}

func ExampleEntities_Handoff() {
	ctx := context.Background()
	here := entity.New(handle)
	there := entity.New(handle)
	if err := here.Send(ctx, "ann", transfer{amount: 5}); err != nil {
		panic(err)
	}
	moved := 0
	for s := range uint32(4096) {
		if _, err := there.Handoff(ctx, shard.Slot(s)); err != nil { // there is not to own what it adopts
			panic(err)
		}
		states, err := here.Handoff(ctx, shard.Slot(s))
		if err != nil {
			panic(err)
		}
		for range states {
			moved++
		}
		if err := there.Adopt(shard.Slot(s), states); err != nil {
			panic(err)
		}
	}
	fmt.Println(moved, here.Send(ctx, "ann", transfer{}))
	v, err := entity.Ask(ctx, there, "ann", func(a *account) int { return a.balance })
	fmt.Println(v, err)
	fmt.Println(here.Close(ctx), there.Close(ctx))
	// Output:
	// 1 entity: the slot is not owned here; send to its owner
	// 5 <nil>
	// <nil> <nil>
}

func ExampleSender() {
	ctx := context.Background()
	e := entity.New(func(t *entity.Turn[int, int], m int) error { *t.State += m; return nil })
	s := e.Sender(64)
	for range 1000 {
		if err := s.Send(ctx, "counter", 1); err != nil {
			panic(err)
		}
	}
	if err := s.Flush(ctx); err != nil {
		panic(err)
	}
	n, err := entity.Ask(ctx, e, "counter", func(s *int) int { return *s })
	fmt.Println(n, err, e.Close(ctx))
	// Output: 1000 <nil> <nil>
}

// What the lanes did, and which keys are slow: a snapshot to watch.
func ExampleEntities_Stats() {
	ctx := context.Background()
	e := entity.New(func(t *entity.Turn[account, string], m string) error {
		if m == "crash" {
			panic("division by zero")
		}
		t.State.balance++
		return nil
	}, entity.OnError(func(key string, err error) {
		var p *entity.PanicError // isolated to its message, and reported
		if errors.As(err, &p) {
			fmt.Println(key, "panicked:", p.Value)
		}
	}))
	for _, m := range []string{"deposit", "crash", "deposit"} {
		if err := e.Send(ctx, "ann", m); err != nil {
			panic(err)
		}
	}
	if err := e.Close(ctx); err != nil {
		panic(err)
	}
	stats := e.Stats()
	var all entity.LaneStats
	for _, lane := range stats.Lanes {
		all.Handled += lane.Handled
		all.Depth += lane.Depth
	}
	slow := stats.Slowest // the longest turns of those that were timed
	fmt.Println(all.Handled, "handled,", all.Depth, "waiting,", stats.Panics, "panic", len(slow) <= 1)
	// Output:
	// ann panicked: division by zero
	// 3 handled, 0 waiting, 1 panic true
}

func ExampleUnsent() {
	e := entity.New(func(t *entity.Turn[int, int], m int) error { *t.State += m; return nil })
	s := e.Sender(64)
	_ = s.Send(context.Background(), "user:1", 5) // in a batch, not yet accepted
	_ = e.Close(context.Background())

	var unsent *entity.Unsent[int]
	if err := s.Flush(context.Background()); errors.As(err, &unsent) {
		fmt.Println(err)
		fmt.Println("to send elsewhere:", unsent.Messages)
	}
	// Output:
	// 1 of a batch not sent: entity: closed; send to the next owner of the slot
	// to send elsewhere: [{user:1 5}]
}

func ExampleMessage() {
	m := entity.Message[int]{Key: "user:1", Msg: 5}
	fmt.Println(m.Key, m.Msg)
	// Output: user:1 5
}
