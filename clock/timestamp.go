package clock

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/go-calm/calm/internal/wire"
)

// ErrMalformed is matched by the errors of everything in this package that parses text or
// decodes bytes.
var ErrMalformed = wire.ErrMalformed

const (
	// MinTimestamp is the earliest timestamp, 1677-09-21T00:12:43.145224192Z.
	MinTimestamp Timestamp = math.MinInt64
	// MaxTimestamp is the latest timestamp, 2262-04-11T23:47:16.854775807Z.
	MaxTimestamp Timestamp = math.MaxInt64
)

const (
	tickBits = 16
	tickMask = 1<<tickBits - 1
)

// Timestamp is a hybrid logical time: Unix nanoseconds whose low 16 bits count events
// within one physical tick of 65.536 µs.
//
// It is one number: compare it with <, use it as a map key, store it as BIGINT. As a tick
// has as many nanoseconds as its counter has values, a counter that runs over borrows from
// the next tick and cannot run ahead of time for long, and every timestamp is a valid time:
// [At] and [Timestamp.Time] lose nothing in either direction.
//
// Its text is RFC 3339 in UTC with nine digits of fraction, always 30 characters, so that
// texts sort as the numbers do.
//
// The zero value is 1970-01-01T00:00:00Z; clocks never issue it.
type Timestamp int64

// At returns t as a timestamp. Times out of its range become [MinTimestamp] or
// [MaxTimestamp].
func At(t time.Time) Timestamp {
	ts := Timestamp(t.UnixNano()) // wraps around out of range
	switch {
	case ts.Time().Equal(t):
		return ts
	case t.Unix() < 0:
		return MinTimestamp
	}
	return MaxTimestamp
}

// Time returns t as a time in UTC. At(t.Time()) == t.
func (t Timestamp) Time() time.Time { return time.Unix(0, int64(t)).UTC() }

// Physical returns the start of the physical tick that t lies in: t with a logical part
// of 0.
func (t Timestamp) Physical() Timestamp { return t &^ tickMask }

// Logical returns the low 16 bits: the position of t within its physical tick.
func (t Timestamp) Logical() uint16 { return uint16(t & tickMask) }

// Next returns the timestamp that follows t directly; MaxTimestamp for itself.
func (t Timestamp) Next() Timestamp {
	if t == MaxTimestamp {
		return t
	}
	return t + 1
}

// Add returns t moved by d, at most to [MinTimestamp] or [MaxTimestamp].
func (t Timestamp) Add(d time.Duration) Timestamp {
	return Timestamp(addSat(int64(t), int64(d)))
}

// Sub returns the time from u to t, at most the longest [time.Duration] of either sign.
func (t Timestamp) Sub(u Timestamp) time.Duration {
	d := t - u
	if (t < u) == (d < 0) {
		return time.Duration(d)
	}
	if t < u {
		return math.MinInt64
	}
	return math.MaxInt64
}

// addSat adds without running over.
func addSat(a, b int64) int64 {
	s := a + b
	switch {
	case b > 0 && s < a:
		return math.MaxInt64
	case b < 0 && s > a:
		return math.MinInt64
	}
	return s
}

// String returns the text form, such as 2026-11-21T07:46:30.996366813Z.
func (t Timestamp) String() string {
	var b [textLen]byte
	return string(t.appendText(b[:0]))
}

// textLen is the length of every text form.
const textLen = len("2006-01-02T15:04:05.000000000Z")

// AppendText implements [encoding.TextAppender]. It never fails.
func (t Timestamp) AppendText(dst []byte) ([]byte, error) { return t.appendText(dst), nil }

func (t Timestamp) appendText(dst []byte) []byte {
	u := t.Time()
	year, month, day := u.Date()
	hour, minute, second := u.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), u.Nanosecond(), 9)
	return append(dst, 'Z')
}

// appendDigits appends the last width decimal digits of n ≥ 0.
func appendDigits(dst []byte, n, width int) []byte {
	for range width {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// MarshalText implements [encoding.TextMarshaler] and with it the JSON form, which is a
// string: numbers of 64 bits do not survive JavaScript. It never fails.
func (t Timestamp) MarshalText() ([]byte, error) {
	return t.appendText(make([]byte, 0, textLen)), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes any RFC 3339 time that a
// timestamp can hold without loss; its errors match [ErrMalformed] and leave t as it was.
func (t *Timestamp) UnmarshalText(b []byte) error {
	u, ok := parseRFC3339(b)
	if !ok {
		return fmt.Errorf("clock: timestamp %.40q: %w: not an RFC 3339 time of at most nine digits of fraction", b, ErrMalformed)
	}
	ts := At(u)
	if !ts.Time().Equal(u) {
		return fmt.Errorf("clock: timestamp %q: %w: outside of 1677…2262", b, ErrMalformed)
	}
	*t = ts
	return nil
}

// parseRFC3339 is stricter than time.Parse, which takes a comma for the point, one-digit
// hours, and fractions of any length, which it cuts.
func parseRFC3339(b []byte) (t time.Time, ok bool) {
	const form = "0000-00-00T00:00:00"
	if len(b) < len(form)+1 || len(b) > textLen+len("+00:00")-1 {
		return t, false
	}
	for i, want := range []byte(form) {
		if c := b[i]; want == '0' && (c < '0' || c > '9') || want != '0' && c != want {
			return t, false
		}
	}
	num := func(from, to int) (n int) {
		for _, c := range b[from:to] {
			n = n*10 + int(c-'0')
		}
		return n
	}
	end := len(form)
	nanos := 0
	if b[end] == '.' {
		from := end + 1
		for end = from; end < len(b) && '0' <= b[end] && b[end] <= '9'; end++ {
		}
		if end == from || end-from > 9 {
			return t, false
		}
		nanos = num(from, end)
		for range 9 - (end - from) {
			nanos *= 10
		}
	}
	offset := 0
	switch zone := b[end:]; {
	case len(zone) == 1 && zone[0] == 'Z':
	case len(zone) == 6 && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':':
		for _, i := range []int{1, 2, 4, 5} {
			if zone[i] < '0' || zone[i] > '9' {
				return t, false
			}
		}
		h, m := num(end+1, end+3), num(end+4, end+6)
		if h > 23 || m > 59 {
			return t, false
		}
		offset = h*60 + m
		if zone[0] == '-' {
			offset = -offset
		}
	default:
		return t, false
	}
	year, month, day := num(0, 4), num(5, 7), num(8, 10)
	hour, minute, second := num(11, 13), num(14, 16), num(17, 19)
	t = time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	// What does not exist, such as February 30, comes back as something else.
	y, mo, d := t.Date()
	h, mi, s := t.Clock()
	if y != year || int(mo) != month || d != day || h != hour || mi != minute || s != second {
		return t, false
	}
	return t.Add(-time.Duration(offset) * time.Minute), true
}

// ParseTimestamp parses what [Timestamp.String] returns, and any other RFC 3339 time that
// a timestamp can hold without loss. Its errors match [ErrMalformed].
func ParseTimestamp(s string) (t Timestamp, err error) {
	err = t.UnmarshalText([]byte(s))
	return t, err
}

// AppendBinary implements [encoding.BinaryAppender]: 8 bytes, the most significant one
// first, which sort as the numbers do from 1970 on. It never fails.
func (t Timestamp) AppendBinary(dst []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(t)), nil
}

// MarshalBinary implements [encoding.BinaryMarshaler]. It never fails.
func (t Timestamp) MarshalBinary() ([]byte, error) { return t.AppendBinary(make([]byte, 0, 8)) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. Its error matches
// [ErrMalformed].
func (t *Timestamp) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return fmt.Errorf("clock: timestamp: %w: %d bytes instead of 8", ErrMalformed, len(b))
	}
	*t = Timestamp(binary.BigEndian.Uint64(b))
	return nil
}

// Value implements [driver.Valuer]: an int64, for a BIGINT column.
func (t Timestamp) Value() (driver.Value, error) { return int64(t), nil }

// Scan implements [database/sql.Scanner]. It takes what the columns a timestamp may be
// stored in give back: an int64, its decimal digits, the text form, or a time. NULL is an
// error; scan into a sql.Null[Timestamp] where it may occur.
func (t *Timestamp) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		*t = Timestamp(v)
		return nil
	case time.Time:
		ts := At(v)
		if !ts.Time().Equal(v) {
			return fmt.Errorf("clock: timestamp %v: %w: outside of 1677…2262", v, ErrMalformed)
		}
		*t = ts
		return nil
	case string:
		return t.scanText(v)
	case []byte:
		return t.scanText(string(v))
	case nil:
		return errors.New("clock: timestamp: cannot scan NULL; use sql.Null[clock.Timestamp]")
	}
	return fmt.Errorf("clock: timestamp: cannot scan a %T", src)
}

func (t *Timestamp) scanText(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		*t = Timestamp(n)
		return nil
	}
	return t.UnmarshalText([]byte(s))
}

// LogValue implements [slog.LogValuer]: the text form, as slog's own handlers cut times to
// milliseconds.
func (t Timestamp) LogValue() slog.Value { return slog.StringValue(t.String()) }
