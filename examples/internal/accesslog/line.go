package accesslog

import (
	"errors"
	"strings"
)

// MaxLine is the longest line that is looked at. Web servers refuse request lines above 8 KB, so
// what is longer is damage or an attack.
const MaxLine = 16 << 10

// NoPage is what a request without a path is counted under, such as the "-" that a server logs for
// a connection that said nothing, or the first bytes of a TLS greeting sent to a plain port.
const NoPage = "-"

// Line is what is counted of one request.
type Line struct {
	Visitor string // the client's address, as logged
	Page    string // the request's target, query included
	Bytes   int64  // of the response's body
	When    int64  // Unix seconds
	Class   uint8  // first digit of the status
}

// What can be wrong with a line. They are values rather than formatted text so that a log full of
// damage costs no allocation.
var (
	ErrEmpty   = errors.New("empty line")
	ErrTooLong = errors.New("longer than 16 KiB")
	ErrHost    = errors.New("no client address and user")
	ErrTime    = errors.New("no time such as [02/Jan/2006:15:04:05 -0700]")
	ErrRequest = errors.New("no quoted request")
	ErrStatus  = errors.New("no three-digit status")
	ErrBytes   = errors.New("no size in bytes")
	ErrQuoted  = errors.New("no quoted referer and user agent after the size")
)

// Parse reads one line of Common Log Format
//
//	host ident user [02/Jan/2006:15:04:05 -0700] "GET /page HTTP/1.1" 200 2326
//
// or of Combined Log Format, which adds "referer" "user agent" and, on many servers, fields of
// their own that are passed over. The fields of the result are parts of s.
func Parse(s string) (Line, error) {
	s = strings.TrimSuffix(s, "\r")
	if s == "" {
		return Line{}, ErrEmpty
	}
	if len(s) > MaxLine {
		return Line{}, ErrTooLong
	}
	var l Line

	// The user may hold spaces (it is logged unquoted), so what ends it is the time's bracket.
	open := strings.IndexByte(s, '[')
	if open < 1 || s[open-1] != ' ' {
		return Line{}, ErrTime
	}
	who := s[:open-1]
	host := strings.IndexByte(who, ' ')
	if host < 1 {
		return Line{}, ErrHost
	}
	l.Visitor = who[:host]
	if ident := strings.IndexByte(who[host+1:], ' '); ident < 1 || host+1+ident+1 == len(who) {
		return Line{}, ErrHost
	}

	s = s[open+1:]
	if len(s) < 28 || s[26] != ']' || s[27] != ' ' {
		return Line{}, ErrTime
	}
	var ok bool
	if l.When, ok = parseTime(s[:26]); !ok {
		return Line{}, ErrTime
	}

	request, s, ok := cutQuoted(s[28:])
	if !ok {
		return Line{}, ErrRequest
	}
	l.Page = target(request)

	if len(s) < 5 || s[0] != ' ' || !isDigit(s[1]) || !isDigit(s[2]) || !isDigit(s[3]) || s[4] != ' ' {
		return Line{}, ErrStatus
	}
	l.Class = s[1] - '0'

	size, rest, more := strings.Cut(s[5:], " ")
	if l.Bytes, ok = parseSize(size); !ok {
		return Line{}, ErrBytes
	}
	if !more {
		return l, nil
	}
	for range 2 { // referer, user agent
		if _, rest, ok = cutQuoted(rest); !ok {
			return Line{}, ErrQuoted
		}
		if rest != "" && rest[0] != ' ' {
			return Line{}, ErrQuoted
		}
		rest = strings.TrimPrefix(rest, " ")
	}
	return l, nil
}

// target returns the second word of a request line, or [NoPage].
func target(request string) string {
	_, rest, ok := strings.Cut(request, " ")
	if !ok {
		return NoPage
	}
	page, _, _ := strings.Cut(rest, " ")
	if page == "" {
		return NoPage
	}
	return page
}

// cutQuoted splits s after the quoted text that it begins with. A backslash keeps the byte that
// follows it from ending the text, as Apache writes it.
func cutQuoted(s string) (text, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	// The common text has no backslash, and IndexByte is many times faster than a loop.
	end := strings.IndexByte(s[1:], '"') + 1
	if end == 0 {
		return "", s, false
	}
	if strings.IndexByte(s[1:end], '\\') < 0 {
		return s[1:end], s[end+1:], true
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], true
		}
	}
	return "", s, false
}

// parseSize reads a count of bytes; "-" means that there was no body.
func parseSize(s string) (int64, bool) {
	if s == "-" {
		return 0, true
	}
	if s == "" || len(s) > 18 { // 18 digits always fit
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// parseTime reads the 26 bytes of 02/Jan/2006:15:04:05 -0700. [time.Parse] does the same at ten
// times the cost, which is more than the rest of the line takes.
func parseTime(s string) (unix int64, ok bool) {
	if s[2] != '/' || s[6] != '/' || s[11] != ':' || s[14] != ':' || s[17] != ':' || s[20] != ' ' {
		return 0, false
	}
	month := monthOf(s[3:6])
	day, ok1 := digits(s[0:2])
	year, ok2 := digits(s[7:11])
	hour, ok3 := digits(s[12:14])
	minute, ok4 := digits(s[15:17])
	second, ok5 := digits(s[18:20])
	zoneH, ok6 := digits(s[22:24])
	zoneM, ok7 := digits(s[24:26])
	if month == 0 || !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || !ok7 {
		return 0, false
	}
	if day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 || zoneH > 23 || zoneM > 59 {
		return 0, false
	}
	zone := zoneH*3600 + zoneM*60
	switch s[21] {
	case '+':
		zone = -zone
	case '-':
	default:
		return 0, false
	}
	return daysSinceEpoch(year, month, day)*86400 + hour*3600 + minute*60 + second + zone, true
}

// daysSinceEpoch counts the days from 1970-01-01 in the proleptic Gregorian calendar. Years are
// taken to begin in March, so that the leap day is the last of its year.
func daysSinceEpoch(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	const toEpoch = 719468 // from 0000-03-01 to 1970-01-01
	return year*365 + floorDiv(year, 4) - floorDiv(year, 100) + floorDiv(year, 400) +
		(153*(month-3)+2)/5 + day - 1 - toEpoch
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return -((-a + b - 1) / b)
	}
	return a / b
}

func daysIn(year, month int64) int64 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// monthOf returns the number of a month's English name, or 0.
func monthOf(s string) int64 {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	if i := strings.Index(names, s); i >= 0 && i%3 == 0 {
		return int64(i/3) + 1
	}
	return 0
}

func digits(s string) (n int64, ok bool) {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
