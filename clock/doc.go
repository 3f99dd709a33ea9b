// Package clock says when something happened and what it happened before.
//
// Wall clocks of different machines disagree, jump, and give two events the same time.
// This package has clocks that do not: a hybrid logical clock whose timestamps look like
// wall time, never go back, and respect causality; and the sets of events that replicated
// data is built on.
//
// | question                                                | use                    |
// |---------------------------------------------------------|------------------------|
// | when, in one sortable number?                           | [Timestamp] of a [Clock] |
// | which event of which node?                              | [Dot]                  |
// | does one state know all that the other does?            | [Vector]               |
// | the same, when events arrive out of order?              | [Context]              |
// | how do two of them relate?                              | [Order]                |
package clock
