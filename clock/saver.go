package clock

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"
)

// DefaultWindow is how far ahead a clock over a store persists its bound, unless
// [WithWindow] says otherwise.
const DefaultWindow = 2 * time.Second

// WithWindow sets how far ahead of its timestamps a clock persists its bound: it saves
// twice a window, survives a store that is stuck for half a window without waiting, and
// waits for up to a window when it starts again after a crash. It panics unless d is at
// least a millisecond. [New] has no use for it.
func WithWindow(d time.Duration) Option {
	if d < time.Millisecond {
		panic(fmt.Sprintf("clock: window %v is less than a millisecond", d))
	}
	return func(c *Clock) { c.window = int64(d) }
}

// saver keeps the bound of an opened clock ahead of its timestamps. No timestamp leaves the
// clock that is above a bound which is in the store.
type saver struct {
	c      *Clock
	store  Store
	window int64

	life   context.Context // of the goroutine and its saves
	cancel context.CancelFunc
	wake   chan struct{}

	saving sync.Mutex // held over each call of the store

	mu    sync.Mutex    // guards what follows; never held over a call
	bound int64         // what is in the store for certain; the lowest number while that changes
	grown chan struct{} // closed and replaced when bound grows
	idle  bool          // the goroutine has ended: who needs a greater bound saves it
	err   error         // of the last save
	saves uint64
	waits uint64
}

// Open returns a clock whose promises hold across restarts and crashes: it issues nothing
// that is not below a bound in the store, and starts above the bound it finds there. A
// goroutine moves the bound on before it is needed, until [Clock.Close]; [Clock.Now] and
// the others wait for the store only when the window is used up, as when saving has failed
// for a whole window. [Clock.Stats] tells why.
//
// After a crash the bound is up to a window ahead of the physical time. Open waits until it
// is not more than half the maximal drift, so that peers accept the clock's timestamps;
// after Close there is nothing to wait for. A bound that is further ahead than a crash
// explains means that the wall clock was set back, or that it was far ahead when the bound
// was saved: Open then fails with a [*DriftError] at once, and the way on is to correct the
// wall clock, or to Save a lower bound to the store knowing what [Clock.Reset] says.
//
// Errors of the store fail Open. A store that says it was never written starts at the
// physical time.
func Open(ctx context.Context, store Store, opts ...Option) (*Clock, error) {
	if store == nil {
		panic("clock: Open: nil store; New makes a clock without one")
	}
	c := newClock(opts)
	bound, err := store.Load(ctx)
	switch {
	case isNew(err):
		bound = 0
	case err != nil:
		return nil, fmt.Errorf("clock: open: %w", err)
	default:
		if err := c.awaitStart(ctx, int64(bound)); err != nil {
			return nil, fmt.Errorf("clock: open: %w", err)
		}
	}
	life, cancel := context.WithCancel(context.Background())
	s := &saver{
		c: c, store: store, window: c.window,
		life: life, cancel: cancel, wake: make(chan struct{}, 1), grown: make(chan struct{}),
		bound: math.MinInt64,
	}
	c.saver = s
	c.limit.Store(math.MinInt64)
	c.state.Store(max(0, int64(bound)))
	if err := s.extend(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("clock: open: %w", err)
	}
	c.done.Go(s.run)
	c.start()
	return c, nil
}

// awaitStart waits until a bound found in the store is near enough.
func (c *Clock) awaitStart(ctx context.Context, bound int64) error {
	pt := c.exact()
	// What was issued is at most the drift ahead, a reservation more, and the window.
	explained := addSat(c.drift, 2*c.window)
	if bound > addSat(pt, explained) || bound > maxPhysical {
		return &DriftError{Remote: Timestamp(bound), Local: Timestamp(pt), Max: time.Duration(explained)}
	}
	return until(ctx, func() (int64, error) { return bound - addSat(c.exact(), c.drift/2), nil })
}

// extend saves a bound a window ahead of everything, unless it is half a window ahead.
func (s *saver) extend(ctx context.Context) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	need := max(s.c.state.Load(), s.c.exact())
	s.mu.Lock()
	enough := s.bound != math.MinInt64 && s.bound-s.window/2 > need
	s.mu.Unlock()
	if enough {
		return nil
	}
	return s.save(ctx, addSat(need, s.window), nil)
}

// save replaces the bound in the store and then, after saved if there is one, the limit of
// the clock. It is called with saving held.
func (s *saver) save(ctx context.Context, bound int64, saved func()) error {
	err := s.store.Save(ctx, Timestamp(bound))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	if err != nil {
		return err
	}
	if saved != nil {
		saved()
	}
	s.saves++
	s.bound = bound
	s.c.limit.Store(bound)
	close(s.grown)
	s.grown = make(chan struct{})
	return nil
}

// run extends the bound ahead of time until the saver's life ends.
func (s *saver) run() {
	const firstRetry, lastRetry = 10 * time.Millisecond, time.Second
	retry := firstRetry
	for {
		pause, wake := time.Duration(s.window/8), s.wake
		if err := s.extend(s.life); err != nil {
			pause, wake = retry, nil // who waits must not make it try at once again
			retry = min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-wake:
		case <-s.life.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// await returns true once the store covers t. It returns false if the clock was reset
// meanwhile, so that t is worth nothing.
func (c *Clock) await(t int64) bool {
	s := c.saver
	for waited := false; ; waited = true {
		s.mu.Lock()
		covered, grown, idle := t <= s.bound, s.grown, s.idle
		if !covered && !waited {
			s.waits++
		}
		s.mu.Unlock()
		switch {
		case t > c.state.Load():
			return false
		case covered:
			return true
		case idle:
			if s.extend(context.Background()) != nil {
				time.Sleep(10 * time.Millisecond)
			}
		default:
			select {
			case s.wake <- struct{}{}:
			default:
			}
			<-grown
		}
	}
}

// freeze stops all timestamps until the next save, and returns what undoes it.
func (s *saver) freeze() (thaw func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.bound
	s.bound = math.MinInt64
	s.c.limit.Store(math.MinInt64)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.bound == math.MinInt64 {
			s.bound = before
			s.c.limit.Store(before)
			close(s.grown)
			s.grown = make(chan struct{})
		}
	}
}

// close ends the goroutine and saves a bound that is not ahead of anything, so that the
// next start need not wait.
func (s *saver) close() error {
	s.cancel()
	s.c.done.Wait()
	s.saving.Lock()
	defer s.saving.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	thaw := s.freeze()
	defer thaw()
	// Whatever is issued from here on is above the state read now, or sees the freeze.
	err := s.save(ctx, s.c.state.Load(), nil)
	s.mu.Lock()
	s.idle = true
	close(s.grown) // those who wait have to save for themselves
	s.grown = make(chan struct{})
	s.mu.Unlock()
	return err
}

// storeTimeout bounds the saves of Close and Reset.
const storeTimeout = 5 * time.Second

// Close ends the goroutines of a clock that was opened over a store or is coarse, and saves
// the store a last time, for at most five seconds; its error is that of the store. The
// clock keeps its promises afterwards: it reads the time exactly, and a call that needs a
// new bound saves it itself. Further calls do nothing.
func (c *Clock) Close() error {
	var err error
	c.closed.Do(func() {
		if c.stop != nil {
			close(c.stop)
		}
		c.coarse.Store(false)
		if c.saver == nil {
			c.done.Wait()
			return
		}
		if err = c.saver.close(); err != nil {
			err = fmt.Errorf("clock: close: %w", err)
		}
	})
	return err
}

// Reset sets the clock to t, back as well as forward: the next timestamp is greater than t
// and nothing else is promised. It is the cure for a clock that was pulled far ahead, by its
// own wall clock or because it was allowed to drift, and whose timestamps peers refuse
// from then on. The price: timestamps between t and the old [Clock.Last] may be issued
// again or be in use elsewhere, so what they order (last-writer-wins data above all) is to be
// stamped anew or to be waited out. Resets are counted in [Clock.Stats].
//
// With a store, the new bound is saved first, for at most five seconds; its error leaves the
// clock as it was. A t
// that is itself too far ahead of the physical clock is refused with a [*DriftError].
func (c *Clock) Reset(t Timestamp) error {
	if pt := c.physical(); int64(t) > c.ceiling(pt) {
		return c.refuse(t, pt)
	}
	if s := c.saver; s != nil {
		s.saving.Lock()
		defer s.saving.Unlock()
		thaw := s.freeze()
		defer thaw()
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		if err := s.save(ctx, addSat(int64(t), s.window), func() { c.reset(t) }); err != nil {
			return fmt.Errorf("clock: reset: %w", err)
		}
		return nil
	}
	c.reset(t)
	return nil
}

func (c *Clock) reset(t Timestamp) {
	// In this order; see raiseHint.
	c.state.Store(max(0, int64(t)))
	c.hint.Store(math.MinInt64)
	c.resets.Add(1)
}
