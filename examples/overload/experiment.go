package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-calm/calm/examples/internal/term"
)

// experiment is what is measured.
type experiment struct {
	power    power
	deadline time.Duration
	guess    int
	loads    []float64 // times the capacity
	step     time.Duration
	seed     uint64
	listen   func() (network, error)
	out      io.Writer
	progress *term.Progress
	wrk      *wrk // if not nil it offers the loads, and there are no tenants
}

// outcome is what came of the requests that somebody sent.
type outcome struct {
	offered, good, refused, late int
	took                         []time.Duration // of the good ones, ascending
}

func (o outcome) p99() time.Duration {
	if len(o.took) == 0 {
		return 0
	}
	return o.took[len(o.took)*99/100]
}

// result is all of it.
type result struct {
	capacity float64
	deadline time.Duration
	step     time.Duration
	loads    []float64
	names    []string
	byLoad   [][]outcome // by variant, then by load
	tenants  []tenants   // by variant
}

// tenants is how one elephant and several mice fared.
type tenants struct{ elephant, mice outcome }

const (
	mice         = 9
	elephantLoad = 5.0  // times the capacity
	mouseLoad    = 0.05 // each
)

// run measures every variant at every load, and then with an elephant among the tenants.
func (e experiment) run(ctx context.Context) (result, error) {
	capacity := e.power.capacity()
	r := result{capacity: capacity, deadline: e.deadline, step: e.step, loads: e.loads}
	fmt.Fprintf(e.out, "capacity %.0f requests/s (%d slots, %v each); callers give up after %v\n\n",
		capacity, e.power.slots, e.power.mean, e.deadline)
	fmt.Fprintf(e.out, "%-12s %8s %10s %9s %9s %9s %10s\n", "", "load", "goodput/s", "of it", "refused", "too late", "p99")
	for _, v := range variants(e.guess, e.deadline) {
		r.names = append(r.names, v.name)
		var outcomes []outcome
		for _, load := range e.loads {
			offer := e.offer
			if e.wrk != nil {
				offer = e.offerByWrk
			}
			o, err := offer(ctx, v, fmt.Sprintf("%s at %gx", v.name, load), []stream{{"", load * capacity}})
			if err != nil {
				return r, err
			}
			outcomes = append(outcomes, o[0])
			fmt.Fprintf(e.out, "%-12s %7gx %10.0f %7.0f %% %9d %9d %10s\n", v.name, load, r.goodput(o[0]),
				100*r.share(o[0], load), o[0].refused, o[0].late, term.Took(o[0].p99()))
		}
		r.byLoad = append(r.byLoad, outcomes)
	}

	if e.wrk != nil {
		e.progress.Done()
		return r, nil
	}
	fmt.Fprintf(e.out, "\n%d tenants send %g of the capacity each, and one sends %gx:\n", mice, mouseLoad, elephantLoad)
	streams := []stream{{"elephant", elephantLoad * capacity}}
	for i := range mice {
		streams = append(streams, stream{fmt.Sprintf("mouse-%d", i+1), mouseLoad * capacity})
	}
	for _, v := range variants(e.guess, e.deadline) {
		o, err := e.offer(ctx, v, v.name+" with an elephant", streams)
		if err != nil {
			return r, err
		}
		t := tenants{elephant: o[0]}
		for _, m := range o[1:] {
			t.mice.offered += m.offered
			t.mice.good += m.good
		}
		r.tenants = append(r.tenants, t)
		fmt.Fprintf(e.out, "%-12s the small ones were served %.0f %% of what they asked for, the elephant %.0f %%; %.0f %% of the capacity was used well\n",
			v.name, percent(t.mice), percent(t.elephant), 100*(r.goodput(t.mice)+r.goodput(t.elephant))/capacity)
	}
	e.progress.Done()
	return r, nil
}

func (r result) goodput(o outcome) float64 { return float64(o.good) / r.step.Seconds() }

// share is the goodput beside what could have been done.
func (r result) share(o outcome, load float64) float64 {
	return r.goodput(o) / (r.capacity * min(load, 1))
}

func percent(o outcome) float64 { return 100 * float64(o.good) / float64(max(o.offered, 1)) }

// stream is what one tenant sends.
type stream struct {
	tenant string
	rate   float64 // requests a second
}

// offer runs a variant and sends it streams, each at random instants, whatever becomes of the requests
// before: callers do not know of each other.
func (e experiment) offer(ctx context.Context, v variant, title string, streams []stream) ([]outcome, error) {
	network, stop, err := e.start(v)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return network.dial(ctx) },
		MaxIdleConnsPerHost: 1 << 12, MaxIdleConns: 1 << 12,
	}
	client := &http.Client{Transport: transport, Timeout: e.deadline}

	outcomes := make([]outcome, len(streams))
	var mu sync.Mutex
	var callers sync.WaitGroup
	graph := newGraph(e.progress, title, e.power.capacity())
	for i, s := range streams {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(e.seed, uint64(i)+100))
			began := time.Now()
			for at := time.Duration(0); ; {
				at += time.Duration(rng.ExpFloat64() / s.rate * float64(time.Second))
				if at >= e.step {
					return
				}
				select {
				case <-time.After(time.Until(began.Add(at))):
				case <-ctx.Done():
					return
				}
				callers.Go(func() {
					sent := time.Now()
					status := ask(ctx, client, s.tenant)
					took := time.Since(sent)
					mu.Lock()
					defer mu.Unlock()
					o := &outcomes[i]
					o.offered++
					switch {
					case status == http.StatusOK && took <= e.deadline:
						o.good++
						o.took = append(o.took, took)
						graph.good()
					case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
						o.refused++
					default:
						o.late++
					}
				})
			}
		})
	}
	callers.Wait()
	transport.CloseIdleConnections()
	stop()
	for i := range outcomes {
		slices.Sort(outcomes[i].took)
	}
	return outcomes, ctx.Err()
}

// start serves a variant until stop is called.
func (e experiment) start(v variant) (at network, stop func(), err error) {
	at, err = e.listen()
	if err != nil {
		return at, nil, err
	}
	server := &http.Server{Handler: echo(v.wrap(e.power.start(e.seed))), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(at) // ends with Close
	}()
	return at, func() { server.Close(); <-served }, nil
}

// offerByWrk runs a variant and lets wrk send it what its one stream is.
func (e experiment) offerByWrk(ctx context.Context, v variant, title string, streams []stream) ([]outcome, error) {
	network, stop, err := e.start(v)
	if err != nil {
		return nil, err
	}
	defer stop()
	e.progress.Show(title)
	o, err := e.wrk.offer(ctx, "http://"+network.Addr().String()+"/", streams[0].rate, e.step, e.deadline, e.seed)
	slices.Sort(o.took)
	return []outcome{o}, err
}

// ask sends a request and returns the status, 0 if there was none in time.
func ask(ctx context.Context, client *http.Client, tenant string) int {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service/", nil)
	if err != nil {
		return 0
	}
	req.Header.Set(tenantHeader, tenant)
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0
	}
	return resp.StatusCode
}

// graph draws the goodput of the last instants on a terminal.
type graph struct {
	progress *term.Progress
	title    string
	full     float64 // answers in an instant, at capacity
	bars     strings.Builder
	count    int
	since    time.Time
}

const instant = 50 * time.Millisecond

func newGraph(p *term.Progress, title string, capacity float64) *graph {
	return &graph{progress: p, title: title, full: capacity * instant.Seconds(), since: time.Now()}
}

// good counts an answer that came in time.
func (g *graph) good() {
	for time.Since(g.since) >= instant {
		bars := []rune(" ▁▂▃▄▅▆▇█")
		g.bars.WriteRune(bars[min(int(float64(g.count)/g.full*float64(len(bars)-1)), len(bars)-1)])
		g.count, g.since = 0, g.since.Add(instant)
		g.progress.Show(fmt.Sprintf("%-24s goodput %s", g.title, g.bars.String()))
	}
	g.count++
}
