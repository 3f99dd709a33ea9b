package main

import (
	"fmt"
	"io"
	"os"
)

// progress is a line that changes in place, on a terminal; elsewhere nothing is shown. A nil one
// shows nothing.
type progress struct {
	w     io.Writer
	shown bool
}

// newProgress shows progress on f if it is a terminal.
func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return &progress{w: f}
}

func (p *progress) show(text string) {
	if p == nil {
		return
	}
	fmt.Fprintf(p.w, "\r%s\x1b[K", text)
	p.shown = true
}

// done makes room for lines that stay.
func (p *progress) done() {
	if p == nil || !p.shown {
		return
	}
	fmt.Fprint(p.w, "\r\x1b[K")
	p.shown = false
}
