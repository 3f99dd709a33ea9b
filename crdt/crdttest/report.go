package crdttest

import (
	"fmt"
	"strings"
)

// Report says what a check did: a check that found nothing because it did nothing is no proof.
type Report struct {
	Checks int // runs drawn, or small worlds looked at

	// Of CheckExhaustive: the schedules of exactly the stated length that were covered, and
	// the distinct worlds that they lead through.
	Schedules uint64
	States    int

	marks  marks
	needed [numMarks]bool
}

// Mark returns how often the named thing happened; Marks lists the names.
func (r Report) Mark(name string) int {
	for i, n := range markNames() {
		if n == name {
			return r.marks[i]
		}
	}
	return 0
}

// Marks returns the names of the coverage marks.
func (r Report) Marks() []string {
	names := markNames()
	return names[:]
}

// Vacuous returns the marks that had to occur and did not.
func (r Report) Vacuous() []string {
	var out []string
	for i, n := range markNames() {
		if r.needed[i] && r.marks[i] == 0 {
			out = append(out, n)
		}
	}
	return out
}

// String returns the numbers on one line.
func (r Report) String() string {
	var parts []string
	if r.States > 0 {
		parts = append(parts, fmt.Sprintf("%d schedules, %d distinct worlds", r.Schedules, r.States))
	} else {
		parts = append(parts, fmt.Sprintf("%d runs", r.Checks))
	}
	for i, n := range markNames() {
		if r.marks[i] > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", n, r.marks[i]))
		}
	}
	return strings.Join(parts, ", ")
}

// marks count what happened.
type marks [numMarks]int

const (
	markCompared = iota
	markConcurrent
	markOvertook
	markTwice
	markStale
	markLost
	markCut
	markCrashLost
	markCrashDisk
	markJump
	markLeft
	numMarks
)

func markNames() [numMarks]string {
	return [numMarks]string{
		markCompared:   "value compared with the specification",
		markConcurrent: "concurrent operations",
		markOvertook:   "message overtook one it depends on",
		markTwice:      "message arrived twice",
		markStale:      "stale message",
		markLost:       "message lost",
		markCut:        "partition",
		markCrashLost:  "crash without disk",
		markCrashDisk:  "crash with disk",
		markJump:       "clock jump",
		markLeft:       "replica left for ever",
	}
}

func (m *marks) add(other marks) {
	for i, n := range other {
		m[i] += n
	}
}
