package main

import "sync"

// strays are messages from turns to keys of other nodes, in order, on their way. They wait here without a
// bound of their own: what bounds them is that every one of them stands for a message from outside, and
// readers wait when the mailboxes are full.
type strays struct {
	mu     sync.Mutex
	more   sync.Cond
	list   []event
	closed bool
}

func newStrays() *strays {
	s := &strays{}
	s.more.L = &s.mu
	return s
}

func (s *strays) put(e event) {
	s.mu.Lock()
	s.list = append(s.list, e)
	s.mu.Unlock()
	s.more.Signal()
}

// forward passes the messages on one after the other, until the strays are closed and all are gone.
func (s *strays) forward(send func(event)) {
	for {
		s.mu.Lock()
		for len(s.list) == 0 && !s.closed {
			s.more.Wait()
		}
		list := s.list
		s.list = nil
		s.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for _, e := range list {
			send(e)
		}
	}
}

func (s *strays) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.more.Signal()
}
