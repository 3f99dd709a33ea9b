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
	search := backpressure.NewThrottle(backpressure.ThrottleScope("search"))
	var o *backpressure.Overload
	reasons := map[backpressure.Reason]bool{}
	for range 1000 {
		err := search.Do(ctx, func(context.Context) error {
			return &backpressure.Overload{Reason: backpressure.Full} // what the server says
		})
		if errors.As(err, &o) {
			reasons[o.Reason] = true
		}
	}
	fmt.Println(reasons)
	s := search.Stats()
	fmt.Println(s.Done < 100, s.Throttled > 900) // it is left alone, but for a probe now and then
	// Output:
	// map[full:true throttled:true]
	// true true
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

func ExampleOnDrop() {
	q := backpressure.NewQueue(1,
		backpressure.Priority(func(n int) int { return n }),
		backpressure.RejectWhenFull[int](),
		backpressure.OnDrop(func(n int, r backpressure.Reason) { fmt.Println("dropped", n, r) }))
	fmt.Println(q.TryPut(1))
	fmt.Println(q.TryPut(2)) // is worth more
	// Output:
	// <nil>
	// dropped 1 shed
	// <nil>
}

func ExampleWeigh() {
	q := backpressure.NewQueue(10, backpressure.Weigh(func(s string) int64 { return int64(len(s)) }))
	fmt.Println(q.TryPut("seven..") == nil, q.TryPut("four") == nil)
	fmt.Println(q.TryPut("longer than the queue"))
	// Output:
	// true false
	// backpressure: bad weight: an item weighs 21, the queue holds 10
}

func ExampleDeadline() {
	type job struct {
		name string
		by   time.Time
	}
	q := backpressure.NewQueue(10, backpressure.Deadline(func(j job) time.Time { return j.by }))
	fmt.Println(q.TryPut(job{"yesterday's", time.Now().Add(-24 * time.Hour)}))
	fmt.Println(q.TryPut(job{"today's", time.Now().Add(time.Hour)}))
	// Output:
	// backpressure: late
	// <nil>
}

func ExampleCoDel() {
	q := backpressure.NewQueue(1000,
		backpressure.CoDel[string](5*time.Millisecond, 100*time.Millisecond),
		backpressure.OnDrop(func(s string, r backpressure.Reason) { fmt.Println("dropped", s, r) }))
	_ = q.TryPut("no queue, no delay")
	fmt.Println(q.TryGet())
	// Output: no queue, no delay true
}

func ExampleAdaptiveLIFO() {
	q := backpressure.NewQueue(10, backpressure.AdaptiveLIFO[int](time.Minute))
	_, _ = q.PutAll(context.Background(), []int{1, 2, 3})
	fmt.Println(q.TryGet()) // after a minute without a pause it would be 3
	// Output: 1 true
}

func ExamplePriority() {
	type request struct {
		path   string
		paying bool
	}
	q := backpressure.NewQueue(10, backpressure.Priority(func(r request) int {
		if r.paying {
			return 1
		}
		return 0
	}))
	for _, r := range []request{{"/a", false}, {"/b", true}, {"/c", false}} {
		_ = q.TryPut(r)
	}
	q.Close()
	for r := range q.All(context.Background()) {
		fmt.Println(r.path)
	}
	// Output:
	// /b
	// /a
	// /c
}

func ExampleFair() {
	type request struct{ tenant, path string }
	q := backpressure.NewQueue(10_000,
		backpressure.Fair(func(r request) string { return r.tenant }, nil),
		backpressure.AdaptiveLIFO[request](100*time.Millisecond))
	for _, r := range []request{{"elephant", "/1"}, {"elephant", "/2"}, {"elephant", "/3"}, {"mouse", "/a"}} {
		_ = q.TryPut(r)
	}
	q.Close()
	for r := range q.All(context.Background()) {
		fmt.Println(r)
	}
	// Output:
	// {elephant /1}
	// {mouse /a}
	// {elephant /2}
	// {elephant /3}
}
