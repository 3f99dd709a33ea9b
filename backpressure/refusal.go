package backpressure

import (
	"math"
	"sync/atomic"
	"time"
)

// refusals are the answers of a Limiter for one reason, made beforehand so that refusing allocates
// nothing. They differ in RetryAfter: each has its place in the line, and its own draw.
type refusals struct {
	n     atomic.Uint64
	block atomic.Pointer[[refusalBlock]Overload]
	made  time.Duration // when
}

const (
	refusalBlock = 64
	refusalAge   = time.Millisecond
	longestAway  = 5 * time.Minute
)

// refuse answers a call that does not wait: there is no permit left.
func (l *Limiter) refuse() *Overload {
	if !l.limited.Load() {
		l.limited.Store(true)
	}
	r := &l.refused[0]
	n := r.n.Add(1)
	if n%refusalBlock == 0 || r.block.Load() == nil || l.stale.Load() {
		now := l.now()
		l.mu.Lock()
		l.refresh(Full, now)
		l.mu.Unlock()
	}
	return l.refusal(r, n)
}

// refuseLocked is refuse with mu held.
func (l *Limiter) refuseLocked(reason Reason, now time.Duration) *Overload {
	r := &l.refused[reason-Full]
	n := r.n.Add(1)
	if n%refusalBlock == 0 || r.block.Load() == nil || l.stale.Load() {
		l.refresh(reason, now)
	}
	return l.refusal(r, n)
}

func (l *Limiter) refusal(r *refusals, n uint64) *Overload {
	o := &r.block.Load()[n%refusalBlock]
	if l.hooks.Refused != nil {
		l.hooks.Refused(o)
	}
	return o
}

// refresh makes new answers, once a millisecond at most. The backlog is who waits and who was sent
// away and is not back yet: whoever is sent away is given the time when its turn would come, so that
// as many come back as there will be room for. Those who are away come back as fast as work is done,
// if nobody else comes; that others come shows in that refusals go on, and then the times get longer
// until hardly one in twenty of those who come is refused. mu is held.
func (l *Limiter) refresh(reason Reason, now time.Duration) {
	l.stale.Store(false)
	r := &l.refused[reason-Full]
	if r.block.Load() != nil && now-r.made < refusalAge {
		return
	}
	r.made = now
	var seen uint64
	for i := range l.refused {
		seen += l.refused[i].n.Load()
	}
	perSecond := l.throughput(now)
	if passed := (now - l.refreshed).Seconds(); passed > 0 && perSecond > 0 {
		sent := float64(seen - l.awaySeen)
		l.refusing += (sent/passed/perSecond - l.refusing) * (1 - math.Exp(-passed))
		back := perSecond * max(1-20*l.refusing, 0.05)
		l.away = min(max(0, l.away-back*passed)+sent, perSecond*longestAway.Seconds())
	}
	l.awaySeen, l.refreshed = seen, now
	w := l.word.Load()
	block := new([refusalBlock]Overload)
	for i := range block {
		o := &block[i]
		*o = Overload{Reason: reason, Scope: l.scope, Queued: l.room.size, Limit: l.room.most}
		if l.room.most == 0 {
			o.Queued, o.Limit = int(inFlightOf(w)), int(limitOf(w))
		}
		if perSecond > 0 {
			turn := (float64(l.room.size+i+1) + l.away) / perSecond * (1 + l.draw())
			o.RetryAfter = time.Duration(min(turn, longestAway.Seconds()) * float64(time.Second))
		}
	}
	r.block.Store(block)
}

// throughput is how many permits were released a second, lately. mu is held.
func (l *Limiter) throughput(now time.Duration) float64 {
	n := (countOf(l.word.Load())-l.meter.count)&(countRange-1) + uint64(l.last.Completed)
	t := now - l.meter.began + l.last.Elapsed
	if t <= 0 {
		return 0
	}
	return float64(n) / t.Seconds()
}
