// Package program is what the main functions of the examples have in common: signals, exit codes, -h.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a command and ends the process: with 0 if it returns nil or [flag.ErrHelp], with 2 if it was
// called wrongly ([UsageError]) and with 1 if anything else failed, and what is wrong on standard error. The
// first interrupt or SIGTERM ends ctx, the second the process.
func Main(name string, command func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Exit(name, command(ctx), os.Stderr))
}

// Exit says on stderr what is wrong, if anything is, and returns the exit code.
func Exit(name string, err error, stderr io.Writer) int {
	var usage *UsageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return 1
}

// UsageError is a mistake in how a command was called.
type UsageError struct{ Err error }

// Error tells the mistake.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the mistake.
func (e *UsageError) Unwrap() error { return e.Err }

// Usage makes err a *[UsageError]; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &UsageError{err}
}

// Usagef is [fmt.Errorf] for a *[UsageError].
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// Parse parses the flags of a command. Asked for help, it writes what the command is about and its flags to
// stdout and returns [flag.ErrHelp]; other errors are a *[UsageError].
func Parse(f *flag.FlagSet, args []string, about string, stdout io.Writer) error {
	f.SetOutput(io.Discard) // it would print all flags below a mistake in one
	f.Usage = func() {}
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "%s\n\nFlags:\n", about)
		f.SetOutput(stdout)
		f.PrintDefaults()
		return err
	case err != nil:
		return Usagef("%w; -h lists the flags", err)
	}
	return nil
}
