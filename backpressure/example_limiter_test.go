package backpressure_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-calm/calm/backpressure"
)

func ExampleLimiter() {
	ctx := context.Background()
	lim := backpressure.NewLimiter(backpressure.Waiting(1000)) // finds the limit by itself
	err := lim.Do(ctx, func(ctx context.Context) error {
		fmt.Println("working; at once:", lim.Stats().InFlight)
		return nil
	})
	fmt.Println(err, lim.Stats().InFlight)
	// Output:
	// working; at once: 1
	// <nil> 0
}

func ExampleLimiter_Acquire() {
	ctx := context.Background()
	lim := backpressure.NewLimiter(backpressure.Fixed(1), backpressure.Named("db"))
	permit, err := lim.Acquire(ctx)
	if err != nil {
		return
	}
	_, err = lim.Acquire(ctx) // nobody may wait, so this is refused at once
	fmt.Println(err)
	permit.Release(backpressure.Done)
	permit.Release(backpressure.Done) // without effect
	fmt.Println(lim.Stats().InFlight)
	// Output:
	// backpressure: full at db (1 of 1)
	// 0
}

func ExampleOutcome() {
	lim := backpressure.NewLimiter()
	permit, _ := lim.TryAcquire()
	outcome := backpressure.Done // counts as a sample of latency
	if err := errors.New("no such user"); err != nil {
		outcome = backpressure.Ignored // this was quick, and says nothing
	}
	permit.Release(outcome)
	fmt.Println(lim.Stats().InFlight)
	// Output: 0
}

func ExampleLimiter_TryAcquire() {
	lim := backpressure.NewLimiter(backpressure.Fixed(1))
	for range 2 {
		if permit, ok := lim.TryAcquire(); ok {
			defer permit.Release(backpressure.Done)
			fmt.Println("now")
		} else {
			fmt.Println("later")
		}
	}
	// Output:
	// now
	// later
}

func ExampleWithCost() {
	lim := backpressure.NewLimiter(backpressure.Fixed(10))
	permit, err := lim.Acquire(backpressure.WithCost(context.Background(), 7))
	fmt.Println(lim.Stats().InFlight, err)
	permit.Release(backpressure.Done)
	_, err = lim.Acquire(backpressure.WithCost(context.Background(), -1))
	fmt.Println(errors.Is(err, backpressure.ErrCost))
	// Output:
	// 7 <nil>
	// true
}

func ExampleWithTenant() {
	lim := backpressure.NewLimiter(backpressure.Fixed(1))
	work := lim.Handler(http.NotFoundHandler())
	byCustomer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := backpressure.WithTenant(r.Context(), r.Header.Get("Customer"))
		ctx = backpressure.WithPriority(ctx, 10)
		work.ServeHTTP(w, r.WithContext(ctx))
	})
	permit, _ := lim.TryAcquire() // something else is under way
	defer permit.Release(backpressure.Done)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Customer", "acme")
	w := httptest.NewRecorder()
	byCustomer.ServeHTTP(w, r)
	fmt.Println(w.Code, http.StatusText(w.Code))
	// Output: 429 Too Many Requests
}

// An Algorithm of one's own: half a limit for each millisecond of latency that is left.
type budgeted struct{ target time.Duration }

func (b budgeted) Step(w backpressure.Window) float64 {
	if w.Samples == 0 {
		return w.Limit
	}
	return w.Limit * float64(b.target) / float64(w.P90)
}

func ExampleUsing() {
	lim := backpressure.NewLimiter(backpressure.Using(budgeted{50 * time.Millisecond}), backpressure.Between(2, 200))
	fmt.Println(lim.Stats().Limit)
	w := backpressure.Window{Samples: 100, P90: 100 * time.Millisecond, Limit: 40}
	fmt.Println(budgeted{50 * time.Millisecond}.Step(w))
	// Output:
	// 4
	// 20
}

func ExampleLittle() {
	// A server with 100 slots that takes 10 ms, by the formula.
	a, limit := &backpressure.Little{}, 20.0
	for range 20 {
		latency := 10 * time.Millisecond * time.Duration(max(100, limit)) / 100
		limit = a.Step(backpressure.Window{
			Elapsed: 100 * time.Millisecond, Samples: 256, Completed: int(10 * min(limit, 100)),
			Median: latency, Limited: true, Limit: limit, InFlight: limit,
		})
	}
	fmt.Printf("%.0f\n", limit)
	// Output: 140
}

func ExampleVegas() {
	a := &backpressure.Vegas{}
	w := backpressure.Window{Elapsed: time.Second, Samples: 100, Mean: 10 * time.Millisecond, Limited: true, Limit: 10}
	fmt.Println(a.Step(w))
	// Output: 16
}

func ExampleGradient2() {
	a := &backpressure.Gradient2{}
	w := backpressure.Window{Elapsed: time.Second, Samples: 100, Mean: 10 * time.Millisecond, Limited: true, Limit: 10}
	fmt.Printf("%.1f\n", a.Step(w))
	// Output: 10.8
}

func ExampleAIMD() {
	a := &backpressure.AIMD{}
	fmt.Println(a.Step(backpressure.Window{Limited: true, Limit: 10}), a.Step(backpressure.Window{Dropped: true, Limit: 10}))
	// Output: 11 9
}

func ExampleObserve() {
	lim := backpressure.NewLimiter(backpressure.Fixed(1), backpressure.Observe(backpressure.Hooks{
		Refused: func(o *backpressure.Overload) { fmt.Println("refused:", o.Reason) },
	}))
	_, _ = lim.TryAcquire()
	_, _ = lim.TryAcquire()
	// Output: refused: full
}

func ExampleAdmission() {
	a := backpressure.NewAdmission(1, backpressure.Fixed(1), backpressure.Waiting(1))
	var held backpressure.Permit
	a.Ask(0, backpressure.Request{}, func(p backpressure.Permit, err error) { held = p; fmt.Println("first:", err) })
	a.Ask(time.Millisecond, backpressure.Request{Tenant: "acme"}, func(_ backpressure.Permit, err error) { fmt.Println("second:", err) })
	fmt.Println(a.Stats().Waiting, "waits")
	a.Release(5*time.Millisecond, held, backpressure.Done)
	// Output:
	// first: <nil>
	// 1 waits
	// second: <nil>
}
