package accesslog

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	at := time.Date(2015, time.May, 17, 10, 5, 3, 0, time.UTC).Unix()
	const when = `[17/May/2015:10:05:03 +0000]`
	for name, c := range map[string]struct {
		in   string
		want Line
		err  error
	}{
		"common":             {in: `10.0.0.1 - - ` + when + ` "GET /a HTTP/1.1" 200 17`, want: Line{"10.0.0.1", "/a", 17, at, 2}},
		"combined":           {in: `10.0.0.1 - bob ` + when + ` "GET /a?b=c HTTP/1.1" 404 17 "-" "Mozilla/5.0 (X)"`, want: Line{"10.0.0.1", "/a?b=c", 17, at, 4}},
		"IPv6":               {in: `2001:db8::1 - - ` + when + ` "GET / HTTP/2.0" 301 0`, want: Line{"2001:db8::1", "/", 0, at, 3}},
		"no body":            {in: `h - - ` + when + ` "HEAD / HTTP/1.1" 304 -`, want: Line{"h", "/", 0, at, 3}},
		"user with spaces":   {in: `h - John Doe ` + when + ` "GET / HTTP/1.1" 200 1`, want: Line{"h", "/", 1, at, 2}},
		"zone":               {in: `h - - [17/May/2015:12:35:03 +0230] "GET / HTTP/1.1" 200 1`, want: Line{"h", "/", 1, at, 2}},
		"zone behind":        {in: `h - - [17/May/2015:05:05:03 -0500] "GET / HTTP/1.1" 200 1`, want: Line{"h", "/", 1, at, 2}},
		"escaped quote":      {in: `h - - ` + when + ` "GET /\"x\" HTTP/1.1" 200 1 "a\"b" "c\\"`, want: Line{"h", `/\"x\"`, 1, at, 2}},
		"HTTP/0.9":           {in: `h - - ` + when + ` "GET /old" 200 1`, want: Line{"h", "/old", 1, at, 2}},
		"said nothing":       {in: `h - - ` + when + ` "-" 408 -`, want: Line{"h", NoPage, 0, at, 4}},
		"TLS to a plain":     {in: `h - - ` + when + ` "\x16\x03\x01" 400 226 "-" "-"`, want: Line{"h", NoPage, 226, at, 4}},
		"empty request":      {in: `h - - ` + when + ` "" 400 0`, want: Line{"h", NoPage, 0, at, 4}},
		"own fields":         {in: `h - - ` + when + ` "GET / HTTP/1.1" 200 1 "-" "UA" 0.003 "x"`, want: Line{"h", "/", 1, at, 2}},
		"carriage return":    {in: `h - - ` + when + ` "GET / HTTP/1.1" 200 1` + "\r", want: Line{"h", "/", 1, at, 2}},
		"leap day":           {in: `h - - [29/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 1`, want: Line{"h", "/", 1, 1709164800, 2}},
		"empty":              {in: ``, err: ErrEmpty},
		"blank":              {in: ` `, err: ErrTime},
		"not a log":          {in: `hello, world`, err: ErrTime},
		"too long":           {in: `h - - ` + when + ` "GET /` + strings.Repeat("a", MaxLine) + ` HTTP/1.1" 200 1`, err: ErrTooLong},
		"no host":            {in: ` - - ` + when + ` "GET / HTTP/1.1" 200 1`, err: ErrHost},
		"no user":            {in: `h - ` + when + ` "GET / HTTP/1.1" 200 1`, err: ErrHost},
		"no leap day":        {in: `h - - [29/Feb/2023:00:00:00 +0000] "GET / HTTP/1.1" 200 1`, err: ErrTime},
		"hour 24":            {in: `h - - [17/May/2015:24:05:03 +0000] "GET / HTTP/1.1" 200 1`, err: ErrTime},
		"month":              {in: `h - - [17/anF/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 1`, err: ErrTime},
		"request unquoted":   {in: `h - - ` + when + ` GET / 200 1`, err: ErrRequest},
		"request cut off":    {in: `h - - ` + when + ` "GET /abc`, err: ErrRequest},
		"status of two":      {in: `h - - ` + when + ` "GET / HTTP/1.1" 20 1`, err: ErrStatus},
		"no size":            {in: `h - - ` + when + ` "GET / HTTP/1.1" 200 `, err: ErrBytes},
		"size below zero":    {in: `h - - ` + when + ` "GET / HTTP/1.1" 200 -1`, err: ErrBytes},
		"size too large":     {in: `h - - ` + when + ` "GET / HTTP/1.1" 200 1234567890123456789`, err: ErrBytes},
		"agent not closed":   {in: `h - - ` + when + ` "GET / HTTP/1.1" 200 235 "-" "Mozilla/5.0 (compatible; Goo`, err: ErrQuoted},
		"agent missing":      {in: `h - - ` + when + ` "GET / HTTP/1.1" 200 235 "-"`, err: ErrQuoted},
		"glued to the quote": {in: `h - - ` + when + ` "GET / HTTP/1.1" 200 235 "-"x "-"`, err: ErrQuoted},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse(c.in)
			require.Equal(t, c.err, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	const s = `10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 17 "-" "Mozilla/5.0"`
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := Parse(s); err != nil {
			panic(err)
		}
	}))
}

func TestParseTimeAgreesWithTimeParse(t *testing.T) {
	const layout = "02/Jan/2006:15:04:05 -0700"
	for day := range 366 * 8 {
		s := time.Date(1996, 1, 1+day, day%24, day%60, day%59, 0, time.FixedZone("", (day%27-13)*3600)).Format(layout)
		want, err := time.Parse(layout, s)
		require.NoError(t, err)
		got, ok := parseTime(s)
		require.True(t, ok, s)
		require.Equal(t, want.Unix(), got, s)
	}
}

// reference is the same grammar as a regular expression: slow, and obviously right.
var reference = regexp.MustCompile(`^([^ \[]+) [^ \[]+ [^\[]+ \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-](?:[01]\d|2[0-3])[0-5]\d)\] "((?:[^"\\]|\\.)*)" (\d)\d\d (\d{1,18}|-)` +
	`(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*"(?: .*)?)?$`)

func FuzzParse(f *testing.F) {
	f.Add(`83.149.9.216 - - [17/May/2015:10:05:03 +0000] "GET /images/kibana.png HTTP/1.1" 200 203023 "http://semicomplete.com/" "Mozilla/5.0 (X11)"`)
	f.Add(`h - J D [01/Jan/0001:00:00:00 -0000] "-" 408 -`)
	f.Add(`h - - [29/Feb/2024:23:59:59 +2359] "GET \" /\\" 500 0 "\"" "" 0.1`)
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\n\r") || len(s) > MaxLine {
			Parse(s)
			return
		}
		got, err := Parse(s)
		m := reference.FindStringSubmatch(s)
		if m == nil {
			require.Error(t, err)
			return
		}
		when, terr := time.Parse("02/Jan/2006:15:04:05 -0700", m[2])
		if terr != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, m[1], got.Visitor)
		require.Equal(t, when.Unix(), got.When)
		require.Equal(t, m[4], string('0'+rune(got.Class)))
		if words := strings.Split(m[3], " "); len(words) > 1 && words[1] != "" {
			require.Equal(t, words[1], got.Page)
		} else {
			require.Equal(t, NoPage, got.Page)
		}
	})
}
