package clock

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// ErrInboxFull is matched by the error of [Inbox.Receive] for a message that there is no
// room to keep until its causes arrive. The sender has to offer it again.
var ErrInboxFull = errors.New("clock: inbox full")

// Message is what an [Inbox] sends and receives: a body, the dot of its sending, and all
// that its sender had sent or been delivered before.
type Message[ID cmp.Ordered, M any] struct {
	Dot  Dot[ID]
	Past Vector[ID]
	Body M
}

// Inbox puts messages that were broadcast among a group into causal order: it delivers a
// message only after all that its sender had sent or been delivered before it sent it, and
// keeps it until then. Duplicates are dropped. Losses are not made good, but [Inbox.Missing]
// says what to ask for.
//
// Create one with [NewInbox]. It is a deterministic core that needs to be used by one
// goroutine at a time. A waiting message is looked at again only when one that it waits for
// was delivered.
//
// Source: Birman, Schiper & Stephenson, "Lightweight Causal and Atomic Group Multicast"
// (1991).
type Inbox[ID cmp.Ordered, M any] struct {
	self    ID
	room    int
	have    Vector[ID]
	waiting map[Dot[ID]]bool             // the dots of the messages kept
	byCause map[Dot[ID]][]Message[ID, M] // the messages kept, by one dot that each lacks
}

// NewInbox returns the inbox of one member, which keeps at most room messages at a time that
// wait for others. have is what was delivered before, the empty vector at the very start; a
// member that restarts without it must take a new id. It panics if room is negative.
func NewInbox[ID cmp.Ordered, M any](self ID, have Vector[ID], room int) *Inbox[ID, M] {
	if room < 0 {
		panic("clock: inbox with negative room")
	}
	return &Inbox[ID, M]{
		self: self, room: room, have: have.Clone(),
		waiting: map[Dot[ID]]bool{}, byCause: map[Dot[ID]][]Message[ID, M]{},
	}
}

// Send returns the message to be sent to all other members. To the sender it counts as
// delivered.
func (in *Inbox[ID, M]) Send(body M) Message[ID, M] {
	past := in.have.Clone()
	return Message[ID, M]{in.have.Tick(in.self), past, body}
}

// Receive takes in a message and returns those that can be delivered now, in causal order:
// none if it has to wait or was received before, and otherwise the message and all that
// waited for it alone. It keeps the message's Past; nobody may change it any more. Its
// error matches [ErrInboxFull], or [ErrMalformed] for a message that contradicts itself,
// which no member sends.
func (in *Inbox[ID, M]) Receive(m Message[ID, M]) ([]Message[ID, M], error) {
	if m.Dot.N == 0 || m.Past.At(m.Dot.Node) != m.Dot.N-1 {
		return nil, fmt.Errorf("clock: inbox: %w: message %v with a past of %v", ErrMalformed, m.Dot, m.Past)
	}
	if in.have.Has(m.Dot) || in.waiting[m.Dot] {
		return nil, nil
	}
	if cause, ok := in.lacks(m); ok {
		if len(in.waiting) >= in.room {
			return nil, fmt.Errorf("%w: %d messages wait for others", ErrInboxFull, len(in.waiting))
		}
		in.waiting[m.Dot] = true
		in.byCause[cause] = append(in.byCause[cause], m)
		return nil, nil
	}
	out := []Message[ID, M]{m}
	for i := 0; i < len(out); i++ { // out grows meanwhile
		d := out[i].Dot
		in.have.Add(d)
		freed := in.byCause[d]
		delete(in.byCause, d)
		for _, w := range freed {
			if cause, ok := in.lacks(w); ok {
				in.byCause[cause] = append(in.byCause[cause], w)
				continue
			}
			delete(in.waiting, w.Dot)
			out = append(out, w)
		}
	}
	return out, nil
}

// lacks returns a dot that has to be delivered before m, if there is one: of one node, the
// last, as by then all before it are.
func (in *Inbox[ID, M]) lacks(m Message[ID, M]) (Dot[ID], bool) {
	for id, n := range m.Past.All() {
		if in.have.At(id) < n {
			return Dot[ID]{id, n}, true
		}
	}
	return Dot[ID]{}, false
}

// Delivered returns what has been sent or delivered. With it [NewInbox] goes on where this
// inbox ends, except for the messages that wait.
func (in *Inbox[ID, M]) Delivered() Vector[ID] { return in.have.Clone() }

// Waiting returns how many messages wait for others.
func (in *Inbox[ID, M]) Waiting() int { return len(in.waiting) }

// Missing iterates over runs of dots that messages wait for and that have not arrived
// themselves, ascending: what to ask the others for. O(waiting · members).
func (in *Inbox[ID, M]) Missing() iter.Seq[Run[ID]] {
	var want, here Context[ID]
	for _, ms := range in.byCause {
		for _, m := range ms {
			want.Merge(Context[ID]{v: m.Past.Clone()})
		}
	}
	here = ContextOf(in.have)
	for d := range in.waiting {
		here.Add(d)
	}
	rest := want.Since(here)
	return slices.Values(slices.Collect(rest.Runs()))
}
