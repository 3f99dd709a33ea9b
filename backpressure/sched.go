package backpressure

import "sync"

// sched is the engine of the policy that must take an item out to let another in: it does
// everything under one lock.
type sched[T any] struct {
	mu       sync.Mutex
	items    []T // a circle
	put, got uint64
	evicted  uint64
	closed   bool
}

func newSched[T any](capacity int) *sched[T] { return &sched[T]{items: make([]T, capacity)} }

// push appends v, in place of the oldest item if there is no room.
func (s *sched[T]) push(v T) (old T, evicted bool, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return old, false, over
	}
	if s.len() == len(s.items) {
		old, evicted = s.items[s.at(0)], true
		s.evicted++
	}
	s.items[s.at(s.len())] = v
	s.put++
	return old, evicted, moved
}

func (s *sched[T]) pop() (v T, o outcome) {
	var one [1]T
	_, o = s.popAll(one[:])
	return one[0], o
}

func (s *sched[T]) popAll(dst []T) (n int, o outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n = min(s.len(), len(dst))
	for i := range n {
		slot := &s.items[s.at(0)]
		dst[i] = *slot
		var zero T
		*slot = zero
		s.got++
	}
	switch {
	case n > 0:
		return n, moved
	case s.closed:
		return 0, over
	}
	return 0, denied
}

func (s *sched[T]) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// len and at are called with mu held; at(i) is the place of the i-th oldest item.
func (s *sched[T]) len() int { return int(s.put - s.got - s.evicted) }

func (s *sched[T]) at(i int) int { return int((s.got + s.evicted + uint64(i)) % uint64(len(s.items))) }

func (s *sched[T]) puts() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put
}

func (s *sched[T]) gots() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func (s *sched[T]) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.len()
}

func (s *sched[T]) drained() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed && s.len() == 0
}
