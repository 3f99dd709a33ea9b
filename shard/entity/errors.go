package entity

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed means that the entities are closed or closing.
	ErrClosed = errors.New("entity: closed; send to the next owner of the slot")
	// ErrNotOwned means that the key's slot is not owned here, as it was handed off or never adopted:
	// send to its owner.
	ErrNotOwned = errors.New("entity: the slot is not owned here; send to its owner")
	// ErrOwned means that a slot was adopted that is owned already; hand it off first.
	ErrOwned = errors.New("entity: the slot is owned already; hand it off first")
	// ErrSlot means that there is no slot of that number.
	ErrSlot = errors.New("entity: no such slot; they are numbered from 0, as many as the map given to Like has, or 4096")
	// ErrPanic is what every [*PanicError] matches.
	ErrPanic = errors.New("entity: a handler panicked")
)

// PanicError is a panic, or a call of [runtime.Goexit], in a handler or in a function given to [Ask]. It
// matches [ErrPanic].
type PanicError struct {
	Value any    // what was panicked with
	Stack []byte // of the goroutine, as debug.Stack writes it
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("%v: %v", ErrPanic, e.Value) }

// Is reports whether target is [ErrPanic].
func (e *PanicError) Is(target error) bool { return target == ErrPanic }
