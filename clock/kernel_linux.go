package clock

import (
	"fmt"
	"syscall"
	"time"
)

// Kernel returns the system clock with the error bound that the kernel keeps for it (the
// maximal error of adjtimex(2), which a time service sets and the kernel lets grow by
// 500 ppm). Its Bound fails with [ErrUnsynchronized] while no time service vouches for the
// clock. It is for Linux; elsewhere its error matches [errors.ErrUnsupported]. [Clock]
// reads it as fast as it reads the system clock.
func Kernel() (Bounded, error) {
	k := kernel{}
	if _, err := k.query(); err != nil {
		return nil, err
	}
	return k, nil
}

type kernel struct{}

func (kernel) isSystem() {}

// Now implements [Source].
func (kernel) Now() int64 { return time.Now().UnixNano() }

// adjtime is what the kernel says about its clock.
type adjtime struct {
	now    int64 // Unix nanoseconds
	maxErr int64 // nanoseconds
	synced bool
}

func (kernel) query() (a adjtime, err error) {
	var tx syscall.Timex // Modes 0: only ask
	state, err := syscall.Adjtimex(&tx)
	if err != nil {
		return a, fmt.Errorf("clock: adjtimex: %w", err)
	}
	return readTimex(int64(tx.Time.Sec), int64(tx.Time.Usec), int64(tx.Maxerror), int(tx.Status), state), nil
}

// readTimex gives the fields of a struct timex their meaning.
func readTimex(sec, frac, maxErr int64, status, state int) adjtime {
	const (
		timeError   = 5      // TIME_ERROR
		staUnsync   = 0x0040 // STA_UNSYNC
		staClockErr = 0x1000 // STA_CLOCKERR
		staNano     = 0x2000 // STA_NANO: the fraction is in nanoseconds
	)
	if status&staNano == 0 {
		frac *= 1000
	}
	return adjtime{
		now:    sec*1e9 + frac,
		maxErr: maxErr * 1000, // always microseconds
		synced: state != timeError && status&(staUnsync|staClockErr) == 0,
	}
}

// Bound implements [Bounded].
func (k kernel) Bound() (earliest, latest int64, err error) {
	a, err := k.query()
	if err != nil {
		return 0, 0, err
	}
	return a.bound()
}

func (a adjtime) bound() (earliest, latest int64, err error) {
	if !a.synced {
		return 0, 0, ErrUnsynchronized
	}
	return a.now - a.maxErr, a.now + a.maxErr, nil
}
