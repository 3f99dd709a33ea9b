package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-calm/calm/backpressure"
)

// power is what a backend can do.
type power struct {
	slots int
	mean  time.Duration // of the time that a request takes; they are distributed exponentially
}

// capacity is how many requests it can do in a second.
func (p power) capacity() float64 { return float64(p.slots) / p.mean.Seconds() }

// backend is what does the work: a machine, a database. It works on what it was given in the order in
// which it came, whether somebody still waits for it or not.
type backend struct {
	power
	free chan struct{}
	mu   sync.Mutex
	rng  *rand.Rand
}

func (p power) start(seed uint64) *backend {
	return &backend{power: p, free: make(chan struct{}, p.slots), rng: rand.New(rand.NewPCG(seed, 1))}
}

// ServeHTTP does the work of a request.
func (b *backend) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.mu.Lock()
	takes := time.Duration(b.rng.ExpFloat64() * float64(b.mean))
	b.mu.Unlock()
	b.free <- struct{}{}
	time.Sleep(takes)
	<-b.free
	_, _ = io.WriteString(w, "done\n") // the caller may be gone
}

// variant is a way to put a service before a backend.
type variant struct {
	name  string
	about string
	wrap  func(http.Handler) http.Handler
}

// variants are the three ways.
func variants(guess int, deadline time.Duration) []variant {
	return []variant{
		{"unprotected", "every request is let in", func(work http.Handler) http.Handler { return work }},
		{"semaphore", fmt.Sprintf("%d are let in, the others wait until they give up", guess), func(work http.Handler) http.Handler {
			return within(deadline, semaphore(guess, work))
		}},
		{"limiter", "backpressure.NewLimiter(backpressure.Waiting(1000))", func(work http.Handler) http.Handler {
			lim := backpressure.NewLimiter(backpressure.Waiting(1000))
			return tenant(within(deadline, lim.Handler(work)))
		}},
	}
}

// within gives requests the time that their callers have.
func within(deadline time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), deadline)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// semaphore is what one writes in a minute: it bounds the work, and who waits is served in order.
func semaphore(n int, next http.Handler) http.Handler {
	in := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case in <- struct{}{}:
			defer func() { <-in }()
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			http.Error(w, "too late", http.StatusServiceUnavailable)
		}
	})
}

// tenantHeader says on whose behalf a request is.
const tenantHeader = "X-Tenant"

// tenant tells the limiter whose request it is.
func tenant(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(backpressure.WithTenant(r.Context(), r.Header.Get(tenantHeader))))
	})
}

// network is how callers reach a service.
type network struct {
	net.Listener
	dial func(ctx context.Context) (net.Conn, error)
}

func loopback() (network, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return network{}, err
	}
	var d net.Dialer
	return network{l, func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}}, nil
}

// serve serves the three variants beside each other, each with a backend of its own.
func serve(ctx context.Context, addr string, p power, guess int, deadline time.Duration, out io.Writer) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	fmt.Fprintf(out, "%d slots, %v a request: the capacity of each is %.0f requests/s\n", p.slots, p.mean, p.capacity())
	for _, v := range variants(guess, deadline) {
		mux.Handle("/"+v.name, v.wrap(p.start(1)))
		fmt.Fprintf(out, "http://%s/%s  %s\n", l.Addr(), v.name, v.about)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	defer context.AfterFunc(ctx, func() { server.Close() })()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
