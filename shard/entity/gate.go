package entity

import "sync/atomic"

// gate lets one who closed something wait until everyone has left who may have seen it open. Those
// who look are inside from before they look until they have acted on it; a look that comes after
// the closing sees it. So after the closing each side need be seen empty once. There are two
// sides, and those who come use the other one while one is being emptied, so that it does empty.
// It is the read side of sleepable RCU (McKenney 2006).
type gate struct {
	_     [64]byte // a line that the lane does not write
	side  atomic.Uint32
	count [2]atomic.Int64
	_     [64]byte
}

func (g *gate) enter() (side uint32) {
	side = g.side.Load() & 1
	g.count[side].Add(1)
	return side
}

func (g *gate) leave(side uint32) { g.count[side&1].Add(-1) }

// pass waits, by calling wait again and again, until all have left who were inside; it ends early
// with an error of wait. One call at a time.
func (g *gate) pass(wait func() error) error {
	for range g.count {
		side := (g.side.Add(1) - 1) & 1
		for g.count[side].Load() != 0 {
			if err := wait(); err != nil {
				return err
			}
		}
	}
	return nil
}
