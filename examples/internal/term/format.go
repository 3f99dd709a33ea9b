package term

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Thousands writes n in groups of three digits.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := len(s) % 3
	if n < 0 {
		start = 1 + (len(s)-1)%3
	}
	var b strings.Builder
	b.WriteString(s[:start])
	for i := start; i < len(s); i += 3 {
		if i > 0 && s[i-1] != '-' {
			b.WriteByte(' ')
		}
		b.WriteString(s[i : i+3])
	}
	return b.String()
}

// Size writes a number of bytes with a unit.
func Size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// Took writes a duration with three digits at most.
func Took(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	unit := time.Nanosecond
	for d >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}

// PerSecond writes a rate.
func PerSecond(n int64, d time.Duration) string {
	return Thousands(int64(float64(n) / max(d.Seconds(), 1e-9)))
}

// Printable makes text from outside safe for a terminal: a log line may hold escape sequences.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '�'
	}, s)
}

// Seconds writes a Unix time.
func Seconds(unix int64) string { return time.Unix(unix, 0).UTC().Format("2006-01-02 15:04:05 MST") }
