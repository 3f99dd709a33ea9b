package antientropy

import (
	"math"
	"slices"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/internal/interval"
)

// resync is one run of asking a peer for all that lacks here: questions, their answers, and the
// questions that follow from these. Who asks keeps track; who is asked keeps nothing.
type resync struct {
	number uint64
	tick   int // when it last got on
	open   []open
	// The peer's log as it was when it first answered: what was in it is here at the end.
	session, head uint64
	more          bool
}

// open is a question that is not answered in full.
type open struct {
	token uint64
	first bool
	got   interval.Set // which answers there are, counted from 1
}

// askPeers asks peers for all that lacks here, as far as there is a reason. While all of a state lacks, one
// after the other is asked, for what one has told the next one need not tell again; but those that a
// [Node.Read] waits for at once. Who has not answered lately is asked last.
func (n *Node) askPeers() {
	var due []*peer
	busy, alone := false, false
	for _, p := range n.peers {
		busy = busy || p.resync != nil
		alone = alone || p.alone && (p.askPending || p.resync != nil)
		if p.askPending && p.resync == nil && !n.isRetired(n.cfg.Self) {
			due = append(due, p)
		}
	}
	if len(due) == 0 {
		return
	}
	alone = alone || !busy && n.cfg.State.Context().IsZero()
	var next *peer
	for _, p := range due {
		switch {
		case !alone || slices.ContainsFunc(n.waiting, func(w pending) bool { return w.read && p.asked < w.asked }):
			n.startResync(p)
			busy = true
		case next == nil || p.silent < next.silent || p.silent == next.silent && p.turn < next.turn:
			next = p
		}
	}
	if next != nil && !busy {
		next.alone = true
		n.startResync(next)
	}
}

// startResync asks a peer for all that lacks here.
func (n *Node) startResync(p *peer) {
	p.askPending = false
	n.askTick = n.tick + 4*n.cfg.ProbeTicks
	n.resyncs++
	p.turn = n.resyncs // who was asked last comes last
	p.resync = &resync{number: n.resyncs, tick: n.tick, head: math.MaxUint64}
	for _, q := range n.cfg.State.Questions(n.cfg.MaxFrame - overhead) {
		n.ask(p, q, true)
	}
}

func (n *Node) ask(p *peer, q crdt.Question, first bool) {
	n.token++
	p.resync.open = append(p.resync.open, open{token: n.token, first: first})
	n.send(p.id, &message{kind: questionMessage, token: n.token, question: q})
}

// question answers one.
func (n *Node) question(p *peer, m *message) error {
	ans, err := n.answerTo(p, m.question)
	if err != nil {
		return err
	}
	if ans.Lacks && p.resync == nil && !n.told(p) {
		p.askPending = true
	}
	n.reply(p, m.token, ans)
	return nil
}

// answerTo answers a question of a peer, and takes in what it tells. What a peer is told is written as it
// asks for it, so much at a time: a whole state is never held, and what is told twice is what was lost.
// Nothing is remembered of who has got how far: what it asks next tells.
func (n *Node) answerTo(p *peer, q crdt.Question) (crdt.Answer, error) {
	ans := n.cfg.State.Answer(q, n.cfg.MaxFrame-overhead, n.cfg.BufferBytes-p.answered)
	for _, d := range ans.Patch {
		p.answered += d.Len()
	}
	return ans, n.learn(p, ans.Over)
}

// told reports whether all that a peer has and that lacks here is on its way, in its log.
func (n *Node) told(p *peer) bool { return p.complete && !n.cfg.Mesh }

// reply sends what a question of the peer led to. Token 0 is for what it did not ask.
func (n *Node) reply(p *peer, token uint64, ans crdt.Answer) {
	var out []message
	for _, d := range ans.Patch {
		out = append(out, message{delta: d})
	}
	for _, q := range ans.Questions {
		out = append(out, message{question: q, flags: flagQuestion})
	}
	if len(out) == 0 && token != 0 {
		out = append(out, message{}) // nothing lacks: that is an answer too
	}
	if ans.More && len(out) > 0 {
		out[0].flags |= flagMore // it asks for the rest when it has this
	}
	for i := range out {
		m := &out[i]
		m.kind, m.token, m.index, m.count = answerMessage, token, uint64(i), uint64(len(out))
		m.session, m.upto = n.session, n.head
		n.send(p.id, m)
	}
}

// answer takes in one.
func (n *Node) answer(p *peer, m *message) error {
	r := p.resync
	i := -1
	if r != nil {
		i = slices.IndexFunc(r.open, func(o open) bool { return o.token == m.token })
	}
	expected := i >= 0 && r.open[i].got.Add(m.index+1)
	if err := n.learn(p, m.delta); err != nil {
		p.resync = nil // a probe starts it again, later
		return err
	}
	if !expected {
		return nil
	}
	if !m.question.IsZero() {
		ans, err := n.answerTo(p, m.question)
		if err != nil {
			p.resync = nil
			return err
		}
		for _, q := range ans.Questions {
			n.ask(p, q, false)
		}
		ans.Questions = nil
		n.reply(p, 0, ans)
	}
	r.tick = n.tick
	r.more = r.more || m.flags&flagMore != 0
	o := &r.open[i]
	if o.first {
		if r.session != 0 && r.session != m.session {
			r.more = true // it has started anew meanwhile
		}
		r.session, r.head = m.session, min(r.head, m.upto)
	}
	if o.got.Count() == m.count {
		if r.open = slices.Delete(r.open, i, i+1); len(r.open) == 0 {
			n.finishResync(p)
		}
	}
	return nil
}

// finishResync takes note that nothing lacks here of what the peer had when it was asked.
func (n *Node) finishResync(p *peer) {
	r := p.resync
	p.resync, p.alone = nil, p.alone && r.more
	if r.more {
		p.askPending = true
		return
	}
	p.asked = r.number
	n.listen(p, r.session)
	if r.head < p.hole {
		p.askPending = true // its log was cut since then
		return
	}
	p.applied, p.complete, p.owesAck = max(p.applied, r.head), true, true
}

func (n *Node) sendProbe(p *peer, flags byte) {
	p.probeTick = n.tick + 1 + n.cfg.ProbeTicks/2 + n.rng.IntN(n.cfg.ProbeTicks)
	if p.lost {
		p.probeTick = n.tick + p.patience(n.cfg.ResendTicks)
	}
	n.send(p.id, &message{kind: probeMessage, flags: flags, print: n.cfg.State.Fingerprint(), roster: fingerprint(n.retired)})
}

// probe compares states. While changes are on their way, states differ for a moment all the time:
// a difference is pursued if it stays as it is. Besides, some peer is asked now and then, if its log
// does not tell all that it learns.
func (n *Node) probe(p *peer, m *message) {
	if m.roster != fingerprint(n.retired) {
		n.tellRetired(p.id)
	}
	if m.flags&flagAsk != 0 {
		n.sendProbe(p, 0) // it wants to hear whether anybody is here, and how far
		p.owesAck = p.session != 0
	}
	if m.flags&flagHole != 0 && p.resync == nil {
		p.askPending = true
	}
	ours := n.cfg.State.Fingerprint()
	if m.print == ours {
		p.theirs, p.ours = 0, 0
		return
	}
	switch {
	case p.resync != nil:
	case m.flags&flagAsk != 0 || p.theirs == m.print && p.ours == ours,
		n.tick >= n.askTick && !n.told(p):
		p.askPending = true
	default:
		p.probeTick = min(p.probeTick, n.tick+2) // so that both know soon
	}
	p.theirs, p.ours = m.print, ours
}
