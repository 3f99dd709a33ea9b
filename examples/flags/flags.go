package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/backpressure"
	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/replica"
)

// plan is what is replicated of a flag. It starts when it was written.
type plan struct {
	From float64       `json:"from"` // the share of the users at first, and after a pull-back
	To   float64       `json:"to"`
	Over time.Duration `json:"over"` // nanoseconds that it takes
	Dark bool          `json:"dark"` // new code runs, and nobody is shown its answer
	Why  string        `json:"why"`
}

// check refuses what cannot be carried out.
func (p plan) check() error {
	switch {
	case !(p.From >= 0 && p.From <= 1 && p.To >= 0 && p.To <= 1):
		return errors.New("a share is from 0 to 1")
	case p.Over < 0:
		return errors.New("a ramp takes no less than no time")
	}
	return nil
}

// Flags is a node's copy of all flags. It may be used concurrently.
type Flags struct {
	*replica.Replica
	plans *crdt.Map[string, *crdt.LWW[string]] // of JSON; the replica's lock guards it
	clock *clock.Clock
	known atomic.Pointer[map[string]*Flag] // is not changed: a new flag makes a new map
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// Flag is one of them, as this node carries it out. A nil one is off.
type Flag struct {
	gate   *backpressure.Gate
	dark   atomic.Bool
	health health

	// The replica's lock guards these.
	plan  plan
	stamp clock.Stamp[crdt.ReplicaID]
}

// startFlags begins to talk with the others.
func startFlags(cfg replica.Config) (*Flags, error) {
	f := &Flags{
		plans: crdt.Open[*crdt.Map[string, *crdt.LWW[string]]](crdt.NewReplicaID()),
		clock: clock.New(),
	}
	f.known.Store(&map[string]*Flag{})
	cfg.Store = f.plans.Store()
	var err error
	if f.Replica, err = replica.Start(cfg); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.done.Go(func() { f.watch(ctx) })
	f.done.Go(func() { _ = f.Wait(ctx, func() bool { f.refresh(); return false }) }) // at each change
	return f, nil
}

func (f *Flags) close() error {
	f.stop()
	f.done.Wait()
	return f.Close()
}

// Get returns a flag for a request to ask: two loads and a look into a map.
func (f *Flags) Get(name string) *Flag { return (*f.known.Load())[name] }

// On says whether key gets what the flag stands for.
func (g *Flag) On(key string) bool { return g != nil && !g.dark.Load() && g.gate.On(key) }

// Dark runs fn beside the request if the flag is in the dark, and key is in.
func (g *Flag) Dark(ctx context.Context, key string, fn func(context.Context)) {
	if g != nil && g.dark.Load() {
		g.gate.Dark(key, ctx, fn)
	}
}

// Set writes a plan that starts from where the flag is on this node.
func (f *Flags) Set(name string, to float64, over time.Duration, dark bool, why string) error {
	p := plan{To: to, Over: over, Dark: dark, Why: why}
	if g := f.Get(name); g != nil && g.dark.Load() == dark {
		p.From = g.gate.Share() // what ran in the dark was shown to nobody
	}
	if err := p.check(); err != nil {
		return err
	}
	return f.Do(func() error { return f.write(name, p) })
}

// write has the replica's lock.
func (f *Flags) write(name string, p plan) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	f.plans.At(name).Set(f.clock.Now(), string(text))
	f.refresh()
	return nil
}

// until waits until this node carries out a plan of which f holds.
func (f *Flags) until(ctx context.Context, name string, holds func(plan) bool) error {
	return f.Wait(ctx, func() bool {
		f.refresh()
		g := f.Get(name)
		return g != nil && holds(g.plan)
	})
}

// refresh carries out plans that are new. It has the replica's lock.
func (f *Flags) refresh() {
	for name, register := range f.plans.All() {
		text, ok := register.Value()
		stamp, _ := register.Stamp()
		known := *f.known.Load()
		g := known[name]
		if !ok || g != nil && g.stamp == stamp {
			continue
		}
		var p plan
		if json.Unmarshal([]byte(text), &p) != nil || p.check() != nil {
			p = plan{Why: "the plan cannot be read"} // then nobody is in
		}
		if g == nil {
			g = &Flag{gate: backpressure.NewGate(name)}
			known = maps.Clone(known)
			known[name] = g
		}
		g.carryOut(p, stamp, time.Since(stamp.Time.Time()))
		f.known.Store(&known)
	}
}

// carryOut takes over a plan that was written some time ago, here or elsewhere.
func (g *Flag) carryOut(p plan, stamp clock.Stamp[crdt.ReplicaID], ago time.Duration) {
	g.plan, g.stamp = p, stamp
	if g.dark.Load() && !p.Dark {
		g.gate.Set(0) // else those who were in the dark would be let out for a moment
	}
	g.dark.Store(p.Dark)
	g.health.reset()
	ago = max(ago, 0)
	if ago >= p.Over {
		g.gate.Set(p.To)
		return
	}
	g.gate.Set(p.From + (p.To-p.From)*float64(ago)/float64(p.Over))
	g.gate.Ramp(p.To, p.Over-ago, g.health.ok)
}

const watchEvery = 5 * time.Millisecond

// watch pulls flags back that do not do well here.
func (f *Flags) watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for name, g := range *f.known.Load() {
			if !g.health.ok() {
				_ = f.Do(func() error { return f.pullBack(name, g) }) // nothing in it fails
			}
		}
	}
}

// pullBack writes the plan that leads back to where the last began, at once, unless there is another
// plan meanwhile. It has the replica's lock.
func (f *Flags) pullBack(name string, g *Flag) error {
	if g.health.ok() {
		return nil
	}
	back := min(g.plan.From, g.plan.To)
	if back == g.plan.To {
		back = 0 // it was there for longer, and does not do well there either
	}
	return f.write(name, plan{
		From: back, To: back, Dark: g.plan.Dark, Why: fmt.Sprintf("pulled back: %s", &g.health),
	})
}

// health is how new code does: of its last some hundred runs, how many failed.
type health struct{ runs, failed atomic.Int64 }

const (
	runsToJudge = 20
	runsToKeep  = 200
)

// ran counts a run.
func (h *health) ran(ok bool) {
	if !ok {
		h.failed.Add(1)
	}
	if h.runs.Add(1) == runsToKeep { // what was long ago counts for less
		h.failed.Add(-h.failed.Load() / 2)
		h.runs.Add(-runsToKeep / 2)
	}
}

// ok says no if one in ten failed, or more.
func (h *health) ok() bool {
	runs := h.runs.Load()
	return runs < runsToJudge || h.failed.Load()*10 < runs
}

func (h *health) reset() { h.runs.Store(0); h.failed.Store(0) }

// String is how people read it.
func (h *health) String() string {
	return fmt.Sprintf("%d of the last %d runs failed", h.failed.Load(), h.runs.Load())
}
