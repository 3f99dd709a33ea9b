package backpressure

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Breaker stops calls to what is broken, by key: a shard, a tenant, an address. What fails five times
// in a row is open, and calls are refused with an [*Overload] of reason [Open], whose RetryAfter says
// until when. Then one call is let through as a probe, while the others are still refused: if it
// succeeds the key is closed again, and if it fails the key stays open twice as long as before, up to
// a limit. A probe that does not come back is followed by another after the same time. The other keys
// are not affected: that is partial availability.
//
// Only keys that have failed are remembered, and no more than so many: beyond, the one that has
// waited longest is forgotten, and so taken for well, at a cost that does not grow with their number. A
// key that is not equal to itself, such as a NaN, is always well. The outcome of a call that began
// before its key was opened or closed is not counted.
//
// Make one with [NewBreaker]. It is safe for concurrent use, and has no goroutine of its own. Do costs
// a few atomic operations while all keys are well, and two locks while some are not. A refusal
// allocates nothing unless RetryAfter has changed by a tenth.
type Breaker[K comparable] struct {
	c                     breakerConfig
	began                 time.Time
	known                 atomic.Int64 // keys in the table
	done, failed, refused atomic.Uint64

	mu    sync.Mutex
	keys  map[K]*suspect[K]
	lines [2]list.List // of the closed, and of the open, in the order of their last failures
	seq   uint64
}

// suspect is a key that has failed.
type suspect[K comparable] struct {
	circuit
	key K
	at  *list.Element // of a line
}

// BreakerOption changes one thing about a [Breaker].
type BreakerOption func(*breakerConfig)

type breakerConfig struct {
	failures int
	open     time.Duration
	longest  time.Duration
	keys     int
	failed   func(error) bool
	changed  func(key any, open bool)
	scope    string
}

// BreakerFailures sets how many failures in a row open a key; 5 without it.
func BreakerFailures(n int) BreakerOption { return func(c *breakerConfig) { c.failures = n } }

// BreakerOpen sets how long a key is open at first, and at the longest: a second and half a minute
// without it.
func BreakerOpen(first, longest time.Duration) BreakerOption {
	return func(c *breakerConfig) { c.open, c.longest = first, longest }
}

// BreakerKeys sets how many keys that have failed are remembered; 10 000 without it.
func BreakerKeys(n int) BreakerOption { return func(c *breakerConfig) { c.keys = n } }

// BreakerFailed says which errors are failures. Without it all are but [context.Canceled], which is
// the caller's doing.
func BreakerFailed(failed func(error) bool) BreakerOption {
	return func(c *breakerConfig) { c.failed = failed }
}

// BreakerChanged names the function that is told when a key opens, and when it is closed again, by the
// call whose outcome brought that about, before Do returns. It may use the breaker. That a key which
// stays open is probed, or forgotten for too many others, is no change.
func BreakerChanged(changed func(key any, open bool)) BreakerOption {
	return func(c *breakerConfig) { c.changed = changed }
}

// BreakerScope names the breaker in its refusals.
func BreakerScope(scope string) BreakerOption { return func(c *breakerConfig) { c.scope = scope } }

// NewBreaker makes a breaker with all keys closed. It panics if an option makes no sense.
func NewBreaker[K comparable](opts ...BreakerOption) *Breaker[K] {
	b := &Breaker[K]{
		c:     breakerConfig{failures: 5, open: time.Second, longest: 30 * time.Second, keys: 10_000},
		began: time.Now(), keys: map[K]*suspect[K]{},
	}
	b.c.failed = func(err error) bool { return !errors.Is(err, context.Canceled) }
	for _, o := range opts {
		if o == nil {
			panic("backpressure: NewBreaker: nil option")
		}
		o(&b.c)
	}
	if b.c.failed == nil {
		panic("backpressure: NewBreaker: BreakerFailed has no function")
	}
	if c := b.c; c.failures < 1 || c.open <= 0 || c.longest < c.open || c.keys < 1 {
		panic(fmt.Sprintf("backpressure: NewBreaker: %d failures, open for %v to %v, %d keys make no sense", c.failures, c.open, c.longest, c.keys))
	}
	return b
}

// Do calls fn with ctx, unless key is open. The error that fn returns says how the key is; a panic, or a
// call of [runtime.Goexit], is a failure. Do returns fn's error or an [*Overload].
func (b *Breaker[K]) Do(ctx context.Context, key K, fn func(context.Context) error) error {
	round, refusal := b.enter(key)
	if refusal != nil {
		return refusal
	}
	failed := true
	defer func() { b.leave(key, round, failed) }()
	err := fn(ctx)
	failed = err != nil && b.c.failed(err)
	return err
}

func (b *Breaker[K]) enter(key K) (round uint64, refusal *Overload) {
	if b.known.Load() == 0 { // nothing is wrong anywhere
		return 0, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.keys[key]
	if c == nil {
		return 0, nil
	}
	now := time.Since(b.began)
	if !c.enter(now) {
		b.refused.Add(1)
		return 0, b.refuse(&c.circuit, now, key)
	}
	return c.round, nil
}

// refuse returns the error for who may not go, made anew when its time is off by a tenth. mu is held.
func (b *Breaker[K]) refuse(c *circuit, now time.Duration, key K) *Overload {
	left := c.until - now
	if c.refusal == nil || c.refusal.RetryAfter-left > c.wait/10 {
		scope := b.c.scope
		if scope != "" {
			scope += " "
		}
		c.refusal = &Overload{Reason: Open, Scope: scope + fmt.Sprint(key), RetryAfter: left}
	}
	return c.refusal
}

func (b *Breaker[K]) leave(key K, round uint64, failed bool) {
	b.done.Add(1)
	if failed {
		b.failed.Add(1)
	} else if b.known.Load() == 0 {
		return
	}
	if open, changed := b.count(key, round, failed); changed && b.c.changed != nil {
		b.c.changed(key, open)
	}
}

// count takes the outcome of a call, and says whether key is open now, and was not before, or the other
// way round.
func (b *Breaker[K]) count(key K, round uint64, failed bool) (open, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.keys[key]
	if s == nil {
		if !failed || round != 0 || !equal(key, key) {
			return false, false
		}
		if len(b.keys) == b.c.keys {
			b.forget()
		}
		b.seq++
		s = &suspect[K]{circuit: circuit{born: b.seq}, key: key}
		b.keys[key] = s
	}
	failures, was := s.failures, s.round != 0
	s.leave(time.Since(b.began), round, failed, &b.c, &b.seq)
	if s.failures != failures {
		b.line(s)
	}
	b.known.Store(int64(len(b.keys)))
	open = s.round != 0
	return open, open != was
}

func equal[K comparable](a, b K) bool { return a == b }

// line puts a suspect that has failed last of all in line, and lets go of one that is well. mu is held.
func (b *Breaker[K]) line(s *suspect[K]) {
	if s.at != nil {
		for i := range b.lines {
			b.lines[i].Remove(s.at) // it is in one of them
		}
	}
	switch {
	case s.failures == 0:
		delete(b.keys, s.key)
	case s.round == 0:
		s.at = b.lines[0].PushBack(s)
	default:
		s.at = b.lines[1].PushBack(s)
	}
}

// forget makes room for a key: who failed longest ago goes, closed ones first. mu is held.
func (b *Breaker[K]) forget() {
	for i := range b.lines {
		if first := b.lines[i].Front(); first != nil {
			s := b.lines[i].Remove(first).(*suspect[K])
			delete(b.keys, s.key)
			return
		}
	}
}

// Available lists the keys that are remembered, those that have failed lately, in the order in which they
// began to, and says of each whether a call would be let through now. It is a snapshot.
func (b *Breaker[K]) Available() iter.Seq2[K, bool] {
	return func(yield func(K, bool) bool) {
		type entry struct {
			key  K
			born uint64
			ok   bool
		}
		b.mu.Lock()
		now := time.Since(b.began)
		var list []entry
		for k, c := range b.keys {
			list = append(list, entry{k, c.born, c.lets(now)})
		}
		b.mu.Unlock()
		slices.SortFunc(list, func(x, y entry) int { return cmp.Compare(x.born, y.born) })
		for _, e := range list {
			if !yield(e.key, e.ok) {
				return
			}
		}
	}
}

// BreakerStats is what a [Breaker] knows now and has done so far.
type BreakerStats struct {
	Known, Open int    // keys that have failed lately; those of them that let no call through
	Done        uint64 // calls that were let through and ended
	Failed      uint64 // those of them that failed
	Refused     uint64
}

// Stats returns what the breaker knows now and has done so far.
func (b *Breaker[K]) Stats() BreakerStats {
	s := BreakerStats{Done: b.done.Load(), Failed: b.failed.Load(), Refused: b.refused.Load()}
	for _, ok := range b.Available() {
		s.Known++
		if !ok {
			s.Open++
		}
	}
	return s
}

// circuit is the state of a key that has failed: a pure core, which is told the time. It is closed
// while round is 0.
type circuit struct {
	born     uint64
	round    uint64        // a new one each time it opens: what began in another counts no more
	failures int           // in a row
	until    time.Duration // if open, no call goes until then, and then one does
	wait     time.Duration // how long that is
	refusal  *Overload
}

func (c *circuit) lets(now time.Duration) bool { return c.round == 0 || now >= c.until }

// enter says whether a call may go. If open that is a probe, and the next may go when it should have
// been back for long.
func (c *circuit) enter(now time.Duration) bool {
	if !c.lets(now) {
		return false
	}
	if c.round != 0 {
		c.until, c.refusal = later(now, c.wait), nil
	}
	return true
}

// later is the time after a wait, which may be as long as for ever.
func later(now, wait time.Duration) time.Duration { return now + min(wait, math.MaxInt64-now) }

// leave takes the outcome of a call that began in a round.
func (c *circuit) leave(now time.Duration, round uint64, failed bool, b *breakerConfig, seq *uint64) {
	if round != c.round {
		return
	}
	if !failed {
		c.failures, c.round = 0, 0
		return
	}
	c.failures++
	switch {
	case c.round != 0:
		c.wait += min(c.wait, b.longest-c.wait)
	case c.failures >= b.failures:
		c.wait = b.open
	default:
		return
	}
	*seq++
	c.round, c.until, c.refusal = *seq, later(now, c.wait), nil
}
