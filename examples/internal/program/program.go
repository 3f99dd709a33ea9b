// Package program is what the main functions of the examples have in common.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Main runs a command and ends the process: with 0 if it returns nil or [flag.ErrHelp], and otherwise with
// 1 and what is wrong on standard error. The first interrupt or SIGTERM ends ctx, the second the process.
func Main(name string, command func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := command(ctx); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}
