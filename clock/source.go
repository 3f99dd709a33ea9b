package clock

import (
	"errors"
	"sync"
	"time"
)

// Source is a physical clock. It may jump, stop and go back: timestamps increase all the
// same. It must be safe for concurrent use.
type Source interface {
	// Now returns the time in Unix nanoseconds.
	Now() int64
}

// Bounded is a [Source] that knows how wrong it may be.
type Bounded interface {
	Source
	// Bound returns two times, in Unix nanoseconds, between which the true time is. It
	// fails while no such bound is known, as when the system's clock is not synchronized.
	Bound() (earliest, latest int64, err error)
}

// ErrUnbounded is matched by the errors of [Clock.Interval] and [Clock.Commit] when the
// clock's source does not know how wrong it may be.
var ErrUnbounded = errors.New("clock: the error of the physical clock is unknown")

// ErrUnsynchronized is matched by the errors of a source whose clock nothing keeps in step
// with true time.
var ErrUnsynchronized = errors.New("clock: the system clock is not synchronized")

// Fixed returns the system clock with an error that somebody vouches for: the true time is
// within e of it, as long as the machines are kept that way by other means. It panics if e
// is negative. [Clock] reads it as fast as it reads the system clock.
func Fixed(e time.Duration) Bounded {
	if e < 0 {
		panic("clock: negative error bound")
	}
	return fixed(e)
}

type fixed time.Duration

func (fixed) isSystem() {}

// Now implements [Source].
func (fixed) Now() int64 { return time.Now().UnixNano() }

// Bound implements [Bounded].
func (f fixed) Bound() (earliest, latest int64, err error) {
	t := time.Now().UnixNano()
	return addSat(t, -int64(f)), addSat(t, int64(f)), nil
}

// Fake is a [Bounded] source that stands still until it is told to move, for tests. The
// zero value stands at 1970-01-01 and is exact. All methods may be called concurrently.
type Fake struct {
	mu    sync.Mutex
	now   Timestamp
	bound time.Duration
	err   error
}

// NewFake returns a fake that stands at t.
func NewFake(t Timestamp) *Fake { return &Fake{now: t} }

// Set moves the fake to t, forwards or back.
func (f *Fake) Set(t Timestamp) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = t
}

// Advance moves the fake by d, forwards or back, and returns where it stands.
func (f *Fake) Advance(d time.Duration) Timestamp {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
	return f.now
}

// SetBound sets how wrong the fake says it may be; an err other than nil is what
// [Fake.Bound] fails with.
func (f *Fake) SetBound(e time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bound, f.err = e, err
}

// Now implements [Source].
func (f *Fake) Now() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(f.now)
}

// Bound implements [Bounded].
func (f *Fake) Bound() (earliest, latest int64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return 0, 0, f.err
	}
	return int64(f.now.Add(-f.bound)), int64(f.now.Add(f.bound)), nil
}
