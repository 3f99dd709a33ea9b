// Package clock says when something happened and what it happened before.
//
// Wall clocks of different machines disagree, jump, and give two events the same time. This
// package has clocks that do not: a hybrid logical clock whose timestamps look like wall
// time, never go back and respect causality, at about the price of time.Now; and the
// sets of events that replicated data is built on.
//
//	c := clock.New()                  // one for the process
//	sent := c.Now()                   // the stamp of what happens here
//	got, err := c.Observe(remote)     // of a message that came: after its sender's, and all before
//
//	I want to …                                          use
//	stamp events with one sortable 64-bit number         Clock, Timestamp
//	… and go on above them after a crash                 Open over a File
//	… and order equal times of different nodes           Stamp
//	carry timestamps in messages                         Clock.Inject, Clock.Extract, package clockhttp
//	let a session read its own writes                    NewContext, Clock.Wait
//	know how wrong the time may be                       Clock.Interval over Kernel or Fixed
//	commit in the order of true time                     Clock.Commit
//	find out whose wall clock is off                     Skew
//	only count                                           Lamport
//	name one event of one node                           Dot
//	know whether one state has seen all of another       Vector, shared ids: Roster
//	the same, when events arrive with gaps               Context
//	keep concurrent values of a key apart                Siblings
//	the same as a Vector, when members come and go       Tree
//	deliver messages after their causes                  Inbox
//	know what everyone has seen, and collect garbage     Stability
//	let time stand still in a test                       Fake
//
// # What a clock promises
//
// Each timestamp is greater than all that the clock issued before, and all that it was shown
// by [Clock.Observe] or [Clock.Witness]. So if one event happened before another, its
// timestamp is smaller. The reverse does not hold: for that, and to see that two events are
// concurrent, use a [Vector].
//
// A timestamp is at or after the physical tick it was issued in, and ahead of the physical
// clock by no more than the maximal drift plus one nanosecond for each timestamp issued
// meanwhile. What is further ahead is refused ([DriftError]): a machine whose clock is hours
// ahead cannot pull the others with it.
//
// # When not to use it
//
// Timestamps are not secret, not random, and two nodes may issue equal ones; ids that must be
// globally unique want a [Stamp] with a node in it. A process that may forget what it issued
// is a new node, unless its clock was opened over a store.
//
// # Binary forms
//
// All of them are canonical: equal values have equal bytes, and decoders take nothing else.
// They never panic, allocate in proportion to the input, and fail with errors that match
// [ErrMalformed]. Node ids may be of any ordered type; strings and uint64 are the fastest.
package clock
