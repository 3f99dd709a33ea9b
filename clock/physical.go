package clock

import (
	"runtime"
	"time"
)

// anchorFor is how long, in monotonic time, the offset of the wall clock is trusted.
const anchorFor = int64(time.Millisecond)

// physical returns the physical time in Unix nanoseconds, at most maxPhysical.
func (c *Clock) physical() int64 {
	if c.coarse.Load() {
		return c.cached.Load()
	}
	return c.exact()
}

// exact is physical, but read now.
func (c *Clock) exact() int64 {
	if c.source != nil {
		return clampPhysical(c.source.Now())
	}
	mono := int64(time.Since(c.base))
	if mono < c.due.Load() {
		return mono + c.offset.Load()
	}
	return c.reanchor(mono)
}

func clampPhysical(t int64) int64 { return min(t, maxPhysical) }

// reanchor looks up how far the wall clock is from the monotonic one, unless somebody else
// is about to.
func (c *Clock) reanchor(mono int64) int64 {
	if !c.anchor.TryLock() {
		return mono + c.offset.Load()
	}
	var step int64
	if offset, ok := c.measureOffset(); ok {
		if d := offset - c.offset.Load(); d > stepFloor() || d < -stepFloor() {
			step = d
			c.steps.Add(1)
			c.stepped.Store(d)
		}
		c.offset.Store(offset)
	}
	mono = int64(time.Since(c.base))
	c.due.Store(mono + anchorFor)
	c.anchor.Unlock()
	if step != 0 && c.onStep != nil {
		c.onStep(time.Duration(step))
	}
	return mono + c.offset.Load()
}

// measureOffset reads both clocks. A reading that took long says little, as the goroutine
// may have lost its processor between the two; after a few of them the old offset is kept
// until the next time.
func (c *Clock) measureOffset() (offset int64, ok bool) {
	const quick = int64(20 * time.Microsecond)
	for range 4 {
		before := int64(time.Since(c.base))
		wall := clampPhysical(c.read().UnixNano())
		after := int64(time.Since(c.base))
		if after-before <= quick {
			return wall - before - (after-before)/2, true
		}
	}
	return 0, false
}

// stepFloor is the least change of the offset that is called a step. Windows advances its
// wall clock by up to 15.6 ms at a time.
func stepFloor() int64 {
	if runtime.GOOS == "windows" {
		return int64(40 * time.Millisecond)
	}
	return int64(time.Millisecond)
}
