package clock

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultMaxDrift is how far ahead of the physical clock a remote timestamp may be unless
// [WithMaxDrift] says otherwise.
const DefaultMaxDrift = 500 * time.Millisecond

// maxPhysical is where physical time ends for a clock, in the year 2259: so far below the
// greatest timestamp that counting on from there never runs over.
const maxPhysical = math.MaxInt64 - 1<<56

// MaxReserve is how many timestamps one call of [Clock.Reserve] hands out at most. They
// span a sixtieth of a second.
const MaxReserve = 1 << 24

// Clock is a hybrid logical clock: its timestamps strictly increase, whatever the physical
// clock does, follow all timestamps it was shown, and stay as close to physical time as
// that allows.
//
// Create one with [New], or with [Open] to keep the promise across restarts; there should
// be one per process and role, shared by all. All methods may be called concurrently and
// none allocates unless it fails. Now, Observe, Witness, Reserve and Last take no lock: in
// the common case they are one reading of the physical clock and one atomic instruction.
//
// The system clock is read by its monotonic half alone, at the price of half a time.Now;
// where the wall clock stands relative to it is looked up again once a millisecond by
// whoever comes first. So a step of the wall clock is noticed in passing, at most a
// millisecond late ([OnStep]).
//
// Source: Kulkarni, Demirbas, Madappa, Avva & Leone, "Logical Physical Clocks and
// Consistent Snapshots in Globally Distributed Databases" (2014), with the logical part in
// the low bits of the time, as in section 6.2 there.
type Clock struct {
	// state is the last timestamp issued or witnessed. Everyone writes it, so it has a
	// cache line of its own; what follows is read by everyone and seldom written.
	_     [64]byte
	state atomic.Int64
	_     [64]byte

	// hint is a physical tick that state has reached: hint ≤ state. While the physical
	// clock is not past it, the next timestamp is one atomic add away, and state need not
	// be looked at before.
	hint   atomic.Int64
	due    atomic.Int64 // the monotonic reading from which on offset is stale
	offset atomic.Int64 // wall time - monotonic time
	limit  atomic.Int64 // no timestamp above is handed out before it was raised
	coarse atomic.Bool  // a goroutine raises state to the physical time and keeps cached
	cached atomic.Int64
	base   time.Time
	source Source // nil: the system clock
	bound  Bounded
	drift  int64
	_      [64]byte

	window  int64
	anchor  sync.Mutex // who looks up offset holds it
	read    func() time.Time
	onStep  func(time.Duration)
	refused atomic.Uint64
	steps   atomic.Uint64
	stepped atomic.Int64
	resets  atomic.Uint64

	saver  *saver        // nil unless opened over a store
	stop   chan struct{} // closed by Close; nil if no goroutine runs
	closed sync.Once
	done   sync.WaitGroup
}

// Option is a setting of [New] and [Open].
type Option func(*Clock)

// WithMaxDrift sets how far ahead of the physical clock a remote timestamp may be; what is
// further ahead is refused. Take the greatest offset between two healthy machines plus some
// room. It panics if d is negative; [math.MaxInt64] accepts everything.
func WithMaxDrift(d time.Duration) Option {
	if d < 0 {
		panic(fmt.Sprintf("clock: maximal drift %v is negative", d))
	}
	return func(c *Clock) { c.drift = int64(d) }
}

// WithSource sets the physical clock; without it, it is the system's.
func WithSource(s Source) Option {
	return func(c *Clock) {
		c.source, c.bound = s, nil
		if b, ok := s.(Bounded); ok {
			c.bound = b
		}
		// What is the system clock anyway is better read the fast way.
		if _, ok := s.(interface{ isSystem() }); ok || s == nil {
			c.source = nil
		}
	}
}

// WithCoarse has the physical clock read once a millisecond by a goroutine instead of by
// each call, which makes calls several times cheaper and timestamps up to a millisecond (or
// however long the goroutine gets no processor) older. [Clock.Close] ends the goroutine.
func WithCoarse() Option { return func(c *Clock) { c.coarse.Store(true) } }

// OnStep sets a function to be told when the system's wall clock was found to have stepped
// relative to the monotonic one, and by how much: it was set, or the machine was suspended.
// It is called by the goroutine that noticed, from within a method of the clock, and so
// should be quick. Slewing, by which time services correct small errors, is no step.
// With [WithSource] there is nothing to compare the source with and no step is noticed.
func OnStep(f func(by time.Duration)) Option { return func(c *Clock) { c.onStep = f } }

// New returns a clock that knows of no timestamp yet. Its promises end with the process;
// see [Open].
func New(opts ...Option) *Clock {
	c := newClock(opts)
	c.start()
	return c
}

func newClock(opts []Option) *Clock {
	c := &Clock{drift: int64(DefaultMaxDrift), window: int64(DefaultWindow), base: time.Now(), read: time.Now}
	for _, o := range opts {
		if o == nil {
			panic("clock: nil option")
		}
		o(c)
	}
	c.hint.Store(math.MinInt64)
	c.limit.Store(math.MaxInt64)
	c.offset.Store(clampPhysical(c.read().UnixNano()) - int64(time.Since(c.base)))
	c.due.Store(int64(time.Since(c.base)) + anchorFor)
	return c
}

// start starts the goroutine of a coarse clock.
func (c *Clock) start() {
	if !c.coarse.Load() {
		return
	}
	c.refreshCoarse()
	c.stop = make(chan struct{})
	c.done.Go(func() {
		t := time.NewTicker(time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				c.refreshCoarse()
			case <-c.stop:
				return
			}
		}
	})
}

func (c *Clock) refreshCoarse() {
	pt := c.exact()
	c.cached.Store(pt)
	pt &^= tickMask
	for last := c.state.Load(); last < pt && !c.state.CompareAndSwap(last, pt); last = c.state.Load() {
	}
}

// Now returns a timestamp for a local event or a message to be sent: greater than all that
// the clock issued or was shown before the call. With a store, it waits if the persisted
// window is used up.
func (c *Clock) Now() Timestamp {
	if !c.coarse.Load() {
		if pt := c.exact() &^ tickMask; pt > c.hint.Load() {
			return c.tick(pt)
		}
	}
	t := c.state.Add(1)
	if t > c.limit.Load() && !c.await(t) {
		return c.Now()
	}
	return Timestamp(t)
}

// tick moves the state on to a physical tick that is perhaps new.
func (c *Clock) tick(pt int64) Timestamp {
	t := pt
	for {
		last := c.state.Load()
		if last >= pt { // another goroutine was faster, or the clock runs ahead
			c.raiseHint(pt)
			t = c.state.Add(1)
			break
		}
		if c.state.CompareAndSwap(last, pt) {
			c.raiseHint(pt)
			break
		}
	}
	if t > c.limit.Load() && !c.await(t) {
		return c.Now()
	}
	return Timestamp(t)
}

// raiseHint is called when state has been seen at pt or later.
func (c *Clock) raiseHint(pt int64) {
	for h := c.hint.Load(); h < pt; h = c.hint.Load() {
		if c.hint.CompareAndSwap(h, pt) {
			break
		}
	}
	// Reset lowers first the state and then the hint. If its state came in between, the
	// hint must go; if it comes now, it will lower the hint itself.
	if c.state.Load() < pt {
		c.hint.Store(math.MinInt64)
	}
}

// Reserve returns the first of n consecutive timestamps that the caller may use as it
// likes, at the price of one. Reserving many moves the clock ahead, by a nanosecond each.
// It panics unless 1 ≤ n ≤ [MaxReserve].
func (c *Clock) Reserve(n int) Timestamp {
	if n < 1 || n > MaxReserve {
		panic(fmt.Sprintf("clock: cannot reserve %d timestamps", n))
	}
	var last int64
	if pt := c.tickStart(); pt <= c.hint.Load() {
		last = c.state.Add(int64(n))
	} else {
		last = c.raise(pt-1, int64(n))
		c.raiseHint(pt)
	}
	if last > c.limit.Load() && !c.await(last) {
		return c.Reserve(n)
	}
	return Timestamp(last - int64(n) + 1)
}

// tickStart returns the physical tick in which a next timestamp is at the earliest. A
// coarse clock's state is there already.
func (c *Clock) tickStart() int64 {
	if c.coarse.Load() {
		return math.MinInt64
	}
	return c.exact() &^ tickMask
}

// raise moves the state to at least floor and then on by n, and returns it.
func (c *Clock) raise(floor, n int64) int64 {
	for {
		last := c.state.Load()
		next := max(floor, last) + n
		if c.state.CompareAndSwap(last, next) {
			return next
		}
	}
}

// Observe takes in the timestamp of a message received and returns one for the receipt,
// greater than remote and than all that the clock issued or was shown before the call. It
// fails with a [*DriftError] if remote is too far ahead of the physical clock; the clock is
// then as if it had not been called. However old remote is, it is welcome.
func (c *Clock) Observe(remote Timestamp) (Timestamp, error) {
	if int64(remote) <= c.state.Load() {
		return c.Now(), nil
	}
	pt := c.physical()
	if int64(remote) > c.ceiling(pt) {
		return 0, c.refuse(remote, pt)
	}
	t := c.raise(max(pt&^tickMask-1, int64(remote)), 1)
	if t > c.limit.Load() && !c.await(t) {
		return c.Observe(remote)
	}
	return Timestamp(t), nil
}

// Witness takes in a timestamp without asking for one: what the clock issues afterwards is
// greater than remote. It fails as [Clock.Observe] does. For an old remote it costs two
// atomic loads.
func (c *Clock) Witness(remote Timestamp) error {
	r := int64(remote)
	if r <= c.state.Load() && r <= c.limit.Load() {
		return nil
	}
	return c.witness(r)
}

func (c *Clock) witness(r int64) error {
	if r > c.state.Load() {
		pt := c.physical()
		if r > c.ceiling(pt) {
			return c.refuse(Timestamp(r), pt)
		}
		c.raise(r, 0)
	}
	if r > c.limit.Load() && !c.await(r) {
		return c.Witness(Timestamp(r))
	}
	return nil
}

// ceiling returns the greatest remote timestamp that is accepted at a physical time.
func (c *Clock) ceiling(pt int64) int64 { return min(addSat(pt, c.drift), maxPhysical) }

func (c *Clock) refuse(remote Timestamp, pt int64) error {
	c.refused.Add(1)
	return &DriftError{Remote: remote, Local: Timestamp(pt), Max: time.Duration(c.drift)}
}

// Last returns the greatest timestamp that the clock issued or was shown, 0 at first. Like
// all others it is handed out only once a store covers it.
func (c *Clock) Last() Timestamp {
	for {
		t := c.state.Load()
		if t <= c.limit.Load() || c.await(t) {
			return Timestamp(t)
		}
	}
}

// Physical returns what the clock takes to be the physical time now.
func (c *Clock) Physical() Timestamp { return Timestamp(c.physical()) }
