package loadsim

import (
	"container/heap"
	"time"
)

// events are what will happen, in order of time, and of when it was planned.
type events struct {
	heap eventHeap
	seq  uint64
}

type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (e *events) add(at time.Duration, do func()) {
	e.seq++
	heap.Push(&e.heap, event{at, e.seq, do})
}

// next takes out the first event before end.
func (e *events) next(end time.Duration) (event, bool) {
	if len(e.heap) == 0 || e.heap[0].at >= end {
		return event{}, false
	}
	return heap.Pop(&e.heap).(event), true
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }

func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}

func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *eventHeap) Push(x any) { *h = append(*h, x.(event)) }

func (h *eventHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = event{}
	*h = (*h)[:last]
	return e
}
