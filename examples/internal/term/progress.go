// Package term writes for people at a terminal: numbers, and a line of progress.
package term

import (
	"fmt"
	"io"
	"os"
)

// Progress is a line that changes in place, on a terminal; elsewhere nothing is shown. A nil one
// shows nothing. One goroutine at a time may use it.
type Progress struct {
	w     io.Writer
	shown bool
}

// NewProgress shows progress on w if it is a terminal.
func NewProgress(w io.Writer) *Progress {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return &Progress{w: f}
}

// Show replaces the line.
func (p *Progress) Show(text string) {
	if p == nil {
		return
	}
	fmt.Fprintf(p.w, "\r%s\x1b[K", text)
	p.shown = true
}

// Done makes room for lines that stay.
func (p *Progress) Done() {
	if p == nil || !p.shown {
		return
	}
	fmt.Fprint(p.w, "\r\x1b[K")
	p.shown = false
}
