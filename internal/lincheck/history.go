package lincheck

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Pending is the Return of an operation that had not returned when its history ends.
const Pending = math.MaxInt64

// Op is one operation of one client: what was asked, what came back, and when. Call and
// Return are positions in the common order of all calls and returns, not times.
type Op[I, O any] struct {
	Client int   `json:"client"`
	Call   int64 `json:"call"`
	Return int64 `json:"return"`
	Input  I     `json:"input"`
	Output O     `json:"output"`
}

// History is a set of operations, in order of Call when it comes from [Record].
type History[I, O any] []Op[I, O]

// Client is one concurrent caller. It belongs to the goroutine that [Record] started with
// it.
type Client[I, O any] struct {
	id    int
	rng   *rand.Rand
	clock *atomic.Int64
	ops   []Op[I, O]
}

// ID is the client's number, counted from 0.
func (c *Client[I, O]) ID() int { return c.id }

// Rand is the client's own source of choices, fixed by the seed and the client's number.
func (c *Client[I, O]) Rand() *rand.Rand { return c.rng }

// Do records one operation: it stamps the call, runs fn, stamps the return. What fn
// returns must not be changed afterwards.
func (c *Client[I, O]) Do(in I, fn func() O) O {
	if c.rng.Uint32()&3 == 0 {
		runtime.Gosched()
	}
	call := c.clock.Add(1)
	out := fn()
	ret := c.clock.Add(1)
	c.ops = append(c.ops, Op[I, O]{Client: c.id, Call: call, Return: ret, Input: in, Output: out})
	return out
}

// DoAll records a call that takes effect as several operations, such as a batch that waits
// for room in between: parts names them after the return. They share one call and one
// return, so the order among them is left open; number the inputs if the specification
// knows their order.
func (c *Client[I, O]) DoAll(fn func(), parts func(yield func(in I, out O))) {
	if c.rng.Uint32()&3 == 0 {
		runtime.Gosched()
	}
	call := c.clock.Add(1)
	fn()
	ret := c.clock.Add(1)
	parts(func(in I, out O) {
		c.ops = append(c.ops, Op[I, O]{Client: c.id, Call: call, Return: ret, Input: in, Output: out})
	})
}

// Record runs so many clients, each in its own goroutine and all behind one barrier, waits
// for them, and returns what they did in order of Call. It panics if a client panics.
func Record[I, O any](clients int, seed uint64, run func(c *Client[I, O])) History[I, O] {
	var (
		clock atomic.Int64
		start = make(chan struct{})
		wg    sync.WaitGroup
		all   = make([]*Client[I, O], clients)
	)
	for id := range all {
		c := &Client[I, O]{id: id, clock: &clock, rng: rand.New(rand.NewPCG(seed, uint64(id)))}
		all[id] = c
		wg.Go(func() {
			<-start
			run(c)
		})
	}
	close(start)
	wg.Wait()

	var h History[I, O]
	for _, c := range all {
		h = append(h, c.ops...)
	}
	slices.SortStableFunc(h, func(a, b Op[I, O]) int { return int(a.Call - b.Call) })
	return h
}

// String lists the operations in order of Call, one a line, with the interval in which
// each took effect.
func (h History[I, O]) String() string { return h.describe(nil) }

func (h History[I, O]) describe(f func(I, O) string) string {
	if f == nil {
		f = func(in I, out O) string { return fmt.Sprintf("%+v -> %+v", in, out) }
	}
	var b strings.Builder
	for _, op := range h {
		end, what := fmt.Sprint(op.Return), f(op.Input, op.Output)
		if op.Return == Pending {
			end, what = "...", what+"  (not returned by then)"
		}
		fmt.Fprintf(&b, "  [%4d, %4s]  client %d  %s\n", op.Call, end, op.Client, what)
	}
	return b.String()
}

// Save writes the history as JSON. Inputs and outputs must survive encoding/json.
func (h History[I, O]) Save(path string) error {
	b, err := json.MarshalIndent(h, "", " ")
	if err != nil {
		return fmt.Errorf("lincheck: save history: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("lincheck: save history: %w", err)
	}
	return nil
}

// Load reads what [History.Save] wrote, to be checked again.
func Load[I, O any](path string) (History[I, O], error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("lincheck: load history: %w", err)
	}
	var h History[I, O]
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, fmt.Errorf("lincheck: load history: %w", err)
	}
	return h, nil
}
