package backpressure_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/go-calm/calm/backpressure"
)

func ExampleLimiter_Handler() {
	lim := backpressure.NewLimiter(backpressure.Fixed(1))
	var h http.Handler
	h = lim.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		second := httptest.NewRecorder()
		h.ServeHTTP(second, httptest.NewRequest("GET", "/", nil)) // while the first is under way
		fmt.Println(second.Code, "retry after", second.Header().Get("Retry-After"), "s")
	}))
	first := httptest.NewRecorder()
	h.ServeHTTP(first, httptest.NewRequest("GET", "/", nil))
	fmt.Println(first.Code)
	// Output:
	// 503 retry after 1 s
	// 200
}

func ExampleLimiter_Transport() {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	lim := backpressure.NewLimiter(backpressure.Waiting(100))
	client := &http.Client{Transport: lim.Transport(nil)}
	res, err := client.Get(srv.URL)
	if err != nil {
		return
	}
	fmt.Println(res.StatusCode, lim.Stats().InFlight)
	_ = res.Body.Close()
	fmt.Println(lim.Stats().InFlight)
	// Output:
	// 404 1
	// 0
}

func ExampleRefused() {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "0") // a limiter's Handler says when
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	retry := backpressure.Retry{Base: time.Millisecond, Budget: backpressure.NewBudget(0.1, 1)}
	err := retry.Do(context.Background(), func(context.Context) error {
		res, err := http.Get(srv.URL)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		fmt.Println(res.StatusCode)
		return backpressure.Refused(res)
	})
	fmt.Println(err)
	// Output:
	// 503
	// 200
	// <nil>
}

func ExampleThrottle_Transport() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	client := &http.Client{Transport: backpressure.NewThrottle().Transport(nil)} // one for each server
	res, err := client.Get(srv.URL)
	if err != nil {
		return
	}
	_ = res.Body.Close()
	fmt.Println(backpressure.Refused(res) != nil)
	_, err = client.Get(srv.URL) // is not sent
	fmt.Println(errors.Is(err, backpressure.ErrOverload))
	// Output:
	// true
	// true
}

func ExampleUnaryServer() {
	type info struct{ FullMethod string }                        // grpc.UnaryServerInfo
	type handler func(ctx context.Context, req any) (any, error) // grpc.UnaryHandler
	lim := backpressure.NewLimiter()
	intercept := backpressure.UnaryServer[info, handler](lim, nil)
	fmt.Println(intercept(context.Background(), "ping", &info{"/Echo"}, func(_ context.Context, req any) (any, error) {
		return req, nil
	}))
	// Output: ping <nil>
}

func ExampleBreaker() {
	ctx := context.Background()
	b := backpressure.NewBreaker[string](backpressure.BreakerFailures(2), backpressure.BreakerChanged(
		func(key any, open bool) { fmt.Println(key, "open:", open) }))
	down := func(context.Context) error { return errors.New("connection refused") }
	for range 3 {
		err := b.Do(ctx, "eu", down)
		fmt.Println(errors.Is(err, backpressure.ErrOverload))
	}
	fmt.Println(b.Do(ctx, "us", func(context.Context) error { return nil })) // the others go on
	for key, ok := range b.Available() {
		fmt.Println(key, ok, b.Stats().Open)
	}
	// Output:
	// false
	// eu open: true
	// false
	// true
	// <nil>
	// eu false 1
}

func ExampleGate() {
	g := backpressure.NewGate("new checkout")
	in := func() (n int) {
		for i := range 1000 {
			if g.On(fmt.Sprint("user ", i)) {
				n++
			}
		}
		return n
	}
	g.Set(0.1)
	fmt.Println(in() > 70, in() < 130)
	g.Set(1)
	fmt.Println(in(), g.Stats().Share)
	// Output:
	// true true
	// 1000 1
}

func ExampleGate_Ramp() {
	errorRate := 0.001
	g := backpressure.NewGate("new checkout")
	g.Set(0.01)
	g.Ramp(1, 24*time.Hour, func() bool { return errorRate < 0.01 }) // pulls back by itself
	fmt.Println(g.Share())
	// Output: 0.01
}

func ExampleGate_Dark() {
	g := backpressure.NewGate("new search")
	g.Set(1)
	done := make(chan string)
	g.Dark("user 7", context.Background(), func(context.Context) { done <- "the new search ran, too" })
	fmt.Println(<-done)
	// Output: the new search ran, too
}

func ExampleWriteMetrics() {
	g := backpressure.NewGate("new search")
	g.Set(0.5)
	err := backpressure.WriteMetrics(os.Stdout, backpressure.Metric{Name: "search", Stats: g.Stats()})
	fmt.Println(err)
	// Output:
	// # TYPE backpressure_gate_share gauge
	// backpressure_gate_share{name="search"} 0.5
	// # TYPE backpressure_gate_dark_total counter
	// backpressure_gate_dark_total{name="search"} 0
	// # TYPE backpressure_gate_skipped_total counter
	// backpressure_gate_skipped_total{name="search"} 0
	// # TYPE backpressure_gate_panicked_total counter
	// backpressure_gate_panicked_total{name="search"} 0
	// <nil>
}
