package crdttest

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A diagram draws one line for each thing that happens, time running downwards and a column
// for each replica: ● acts, ──▶ receives.
type diagram struct {
	n     int
	steps int
	lines []string
	at    int // the replica of the last line
}

func (d *diagram) start(n int) { d.n = n }

func (d *diagram) step() { d.steps++ }

// line says what happens at replica at, caused by replica from; -1 means none.
func (d *diagram) line(at, from int, text string) {
	d.at = at
	var b strings.Builder
	lo, hi := min(at, from), max(at, from)
	arrow := from >= 0 && at != from
	for i := range d.n {
		mark := "│"
		switch {
		case i == at && arrow && from < at:
			mark = "▶"
		case i == at && arrow:
			mark = "◀"
		case i == at:
			mark = "●"
		case arrow && i == from && from < at:
			mark = "├"
		case arrow && i == from:
			mark = "┤"
		case arrow && lo < i && i < hi:
			mark = "┼"
		}
		b.WriteString(mark)
		if fill := "    "; arrow && lo <= i && i < hi {
			b.WriteString("────")
		} else {
			b.WriteString(fill)
		}
	}
	d.lines = append(d.lines, fmt.Sprintf("%s %s", b.String(), text))
}

// value appends what replica i shows to its line.
func (d *diagram) value(i int, v any) {
	if len(d.lines) > 0 && d.at == i {
		d.lines[len(d.lines)-1] += "   shows " + show(v)
		d.at = -1
	}
}

const maxLines = 200

// String draws the last lines in full; of a long run the beginning is left out.
func (d *diagram) String() string {
	var b strings.Builder
	head := ""
	for i := range d.n {
		head += fmt.Sprintf("%-5s", fmt.Sprintf("r%d", i))
	}
	lines := append([]string{head}, d.lines...)
	if over := len(lines) - maxLines; over > 0 {
		lines = append([]string{head, fmt.Sprintf("… %d lines", over)}, lines[over+1:]...)
	}
	for _, l := range lines {
		b.WriteString(strings.TrimRight(l, " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// show prints a value on one line of bounded length.
func show(v any) string { return shorten(fmt.Sprintf("%v", v)) }

// hex prints bytes: as text if they are text, as hexadecimal digits otherwise.
func hex(b []byte) string {
	if utf8.Valid(b) && strings.IndexFunc(string(b), func(r rune) bool { return r < ' ' }) < 0 && len(b) > 0 {
		return shorten(fmt.Sprintf("%q", b))
	}
	return shorten(fmt.Sprintf("[%x]", b))
}

func shorten(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + fmt.Sprintf("… (%d bytes)", len(s))
}
