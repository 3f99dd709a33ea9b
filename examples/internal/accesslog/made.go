package accesslog

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/examples/internal/term"
)

// Made describes a made-up access log: which visitor asks for which page is drawn from two Zipf
// distributions, as real traffic is roughly shaped. The same description gives the same bytes.
type Made struct {
	Lines    int
	Visitors int
	Pages    int
	Seed     uint64
}

// madeAtATime is how many bytes are made at once.
const madeAtATime = 32 << 10

// damageEvery is how often a made-up line is cut short, as real logs have them.
const damageEvery = 50_000

func (s Made) String() string {
	return fmt.Sprintf("a made-up stream of %s lines: %s visitors and %s pages, Zipf-distributed, seed %d",
		term.Thousands(int64(s.Lines)), term.Thousands(int64(s.Visitors)), term.Thousands(int64(s.Pages)), s.Seed)
}

// reader returns the log from its first byte.
func (s Made) reader() *madeReader {
	r := &madeReader{
		Made:    s,
		rng:     rand.New(rand.NewPCG(s.Seed, 0x7261666669632e)),
		visitor: NewZipf(1.05, s.Visitors),
		page:    NewZipf(1.2, s.Pages),
		when:    time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC),
	}
	r.setTime()
	agents := []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
		"Mozilla/5.0 (compatible; examplebot/2.1; +https://example.com/bot.html)",
	}
	// All of a line but its time is known beforehand, so that making a line costs little beside
	// counting it.
	r.heads = make([]string, s.Visitors)
	r.tails = make([]string, s.Visitors)
	for i := range r.heads {
		r.heads[i] = fmt.Sprintf("10.%d.%d.%d - - [", i>>16&255, i>>8&255, i&255)
		r.tails[i] = fmt.Sprintf(` "-" "%s"`+"\n", agents[i%len(agents)])
	}
	r.requests = make([]string, s.Pages)
	for i := range r.requests {
		switch {
		case i == 0:
			r.requests[i] = ` +0000] "GET / HTTP/1.1" `
		case i%4 == 0:
			r.requests[i] = fmt.Sprintf(` +0000] "GET /static/%d.css HTTP/1.1" `, i)
		default:
			r.requests[i] = fmt.Sprintf(` +0000] "GET /articles/%d HTTP/1.1" `, i)
		}
	}
	return r
}

// madeReader makes the lines of a [Made] as they are read.
type madeReader struct {
	Made
	rng           *rand.Rand
	visitor, page Zipf
	heads, tails  []string // by visitor
	requests      []string // by page

	made    int
	shown   atomic.Int64 // as made, for those who watch
	when    time.Time
	text    [20]byte // when, as the log writes it
	buf     []byte   // lines made last
	pending []byte   // the part of buf that is not yet read
}

// Read fills p with whole and parts of lines.
func (r *madeReader) Read(p []byte) (int, error) {
	if len(r.pending) == 0 {
		if r.made == r.Lines {
			return 0, io.EOF
		}
		r.buf = r.buf[:0]
		for len(r.buf) < madeAtATime && r.made < r.Lines {
			r.buf = r.appendLine(r.buf)
		}
		r.pending = r.buf
		r.shown.Store(int64(r.made))
	}
	n := copy(p, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

// fraction is how much of the log has been made.
func (r *madeReader) fraction() float64 { return float64(r.shown.Load()) / float64(r.Lines) }

func (r *madeReader) appendLine(b []byte) []byte {
	dice := r.rng.Uint64()
	if dice&31 == 0 { // 32 lines a second on average
		r.when = r.when.Add(time.Second)
		r.setTime()
	}
	visitor, page := r.visitor.Draw(r.rng), r.page.Draw(r.rng)
	status, size := "200 ", 512+page*37%60_000
	switch dice >> 8 & 127 {
	case 0:
		status, size = "404 ", 209
	case 1, 2, 3:
		status, size = "304 ", 0
	case 4:
		if page%16 == 0 {
			status, size = "500 ", 88
		}
	}
	start := len(b)
	b = append(b, r.heads[visitor]...)
	b = append(b, r.text[:]...)
	b = append(b, r.requests[page]...)
	b = append(b, status...)
	b = strconv.AppendInt(b, int64(size), 10)
	b = append(b, r.tails[visitor]...)
	if r.made++; r.made%damageEvery == 0 {
		b = append(b[:start+(len(b)-start)/3], '\n')
	}
	return b
}

func (r *madeReader) setTime() { r.when.AppendFormat(r.text[:0], "02/Jan/2006:15:04:05") }
