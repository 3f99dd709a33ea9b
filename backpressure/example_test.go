package backpressure_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-calm/calm/backpressure"
)

func ExampleQueue() {
	ctx := context.Background()
	q := backpressure.NewQueue[string](2)
	go func() {
		for _, s := range []string{"to", "be", "or", "not"} {
			if err := q.Put(ctx, s); err != nil { // waits while two are there
				fmt.Println(err)
			}
		}
		q.Close()
	}()
	for s := range q.All(ctx) {
		fmt.Println(s)
	}
	// Output:
	// to
	// be
	// or
	// not
}

func ExampleRejectWhenFull() {
	q := backpressure.NewQueue(1, backpressure.RejectWhenFull[int]())
	fmt.Println(q.Put(context.Background(), 1))
	fmt.Println(q.Put(context.Background(), 2))
	// Output:
	// <nil>
	// backpressure: full (1 of 1)
}

func ExampleDropOldest() {
	q := backpressure.NewQueue(2, backpressure.DropOldest(func(v int, r backpressure.Reason) {
		fmt.Println("dropped", v, r)
	}))
	for v := range 4 {
		_ = q.TryPut(v)
	}
	q.Close()
	for v := range q.All(context.Background()) {
		fmt.Println("got", v)
	}
	// Output:
	// dropped 0 full
	// dropped 1 full
	// got 2
	// got 3
}

func ExampleDropNewest() {
	q := backpressure.NewQueue(2, backpressure.DropNewest(func(v int, r backpressure.Reason) {
		fmt.Println("dropped", v, r)
	}))
	for v := range 4 {
		_ = q.TryPut(v)
	}
	fmt.Println(q.Stats().Len)
	// Output:
	// dropped 2 full
	// dropped 3 full
	// 2
}

func ExampleQueue_GetBatch() {
	ctx := context.Background()
	q := backpressure.NewQueue[int](64)
	_, _ = q.PutAll(ctx, []int{1, 2, 3, 4, 5})
	batch := make([]int, 3)
	for range 2 {
		n, err := q.GetBatch(ctx, batch)
		fmt.Println(batch[:n], err)
	}
	// Output:
	// [1 2 3] <nil>
	// [4 5] <nil>
}

func ExampleQueue_Drain() {
	ctx := context.Background()
	q := backpressure.NewQueue[int](8)
	_, _ = q.PutAll(ctx, []int{1, 2, 3})
	sum := make(chan int)
	go func() {
		n := 0
		for v := range q.All(ctx) {
			n += v
		}
		sum <- n
	}()
	fmt.Println(q.Drain(ctx), <-sum)
	fmt.Println(errors.Is(q.Put(ctx, 4), backpressure.ErrClosed))
	// Output:
	// <nil> 6
	// true
}

func ExampleOverload() {
	q := backpressure.NewQueue[string](1)
	_ = q.TryPut("first")
	err := q.TryPut("second")

	var o *backpressure.Overload
	if errors.As(err, &o) {
		fmt.Println(o.Reason, o.Queued, o.Limit)
	}
	fmt.Println(errors.Is(err, backpressure.ErrOverload))
	// Output:
	// full 1 1
	// true
}

func ExampleCredits() {
	ctx := context.Background()
	var demand backpressure.Credits
	sent := make(chan int)
	go func() {
		for i := range 4 {
			if demand.Spend(ctx, 1) != nil {
				break
			}
			sent <- i
		}
		close(sent)
	}()
	_ = demand.Grant(2)
	fmt.Println(<-sent, <-sent)
	demand.Cancel(nil)
	_, open := <-sent
	fmt.Println(open)
	// Output:
	// 0 1
	// false
}

func ExamplePipe() {
	ctx := context.Background()
	send, recv, cancel := backpressure.Pipe[int](2)
	go func() {
		defer cancel(nil) // the regular end
		for i := 1; send(ctx, i) == nil && i < 3; i++ {
		}
	}()
	for v := range recv {
		fmt.Println(v)
	}
	// Output:
	// 1
	// 2
	// 3
}

func ExampleThrottle() {
	ctx := context.Background()
	client := backpressure.NewThrottle(backpressure.ThrottleScope("search"))
	sent := 0
	for range 1000 {
		_ = client.Do(ctx, func(context.Context) error {
			sent++
			return &backpressure.Overload{Reason: backpressure.Full} // what the server says
		})
	}
	fmt.Println(sent < 200)
	// Output: true
}

func ExampleRetry() {
	r := backpressure.Retry{Base: time.Millisecond, Budget: backpressure.NewBudget(0.1, 1)}
	calls := 0
	err := r.Do(context.Background(), func(context.Context) error {
		if calls++; calls < 3 {
			return &backpressure.Overload{Reason: backpressure.Full}
		}
		return nil
	})
	fmt.Println(calls, err)
	// Output: 3 <nil>
}

func ExampleDoValue() {
	v, err := backpressure.DoValue(context.Background(), backpressure.Retry{},
		func(context.Context) (string, error) { return "hello", nil })
	fmt.Println(v, err)
	// Output: hello <nil>
}

func ExampleBudget() {
	b := backpressure.NewBudget(0.5, 0) // one retry for two first attempts
	b.Attempt()
	b.Attempt()
	fmt.Println(b.Spend(), b.Spend())
	// Output: true false
}
