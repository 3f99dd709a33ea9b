package entity

import (
	"time"

	"github.com/go-calm/calm/shard"
)

// Turn is the handling of one message by one entity: its key, its state, and an outbox. It is valid
// until the handler returns, on the handler's goroutine.
type Turn[S, M any] struct {
	Key   string
	State *S

	lane   *lane[S, M]
	out    []envelope[S, M]
	later  []delayed
	forget bool
}

type delayed struct {
	at int // in out
	d  time.Duration
}

// Send sends a message to an entity, this or another, when the turn is over and only if it returns
// nil. It never waits, so entities that send to each other cannot block one another; the more such
// messages wait, the less is let in from outside. Messages from one entity to another keep their order.
func (t *Turn[S, M]) Send(key string, m M) {
	t.out = append(t.out, envelope[S, M]{key: key, hash: shard.Hash(key, t.lane.e.cfg.seed), msg: m})
}

// After sends a message to this entity d after the turn, if it returns nil and the entities are not
// closed before. It is in memory only.
func (t *Turn[S, M]) After(d time.Duration, m M) {
	t.later = append(t.later, delayed{len(t.out), d})
	t.Send(t.Key, m)
}

// Forget drops the state when the turn returns nil: the next message starts from a zero state.
func (t *Turn[S, M]) Forget() { t.forget = true }

// commit sends out the outbox.
func (t *Turn[S, M]) commit() {
	for i, v := range t.out {
		if len(t.later) > 0 && t.later[0].at == i {
			t.lane.after(t.later[0].d, v)
			t.later = t.later[1:]
			continue
		}
		t.lane.deliver(v)
	}
}
