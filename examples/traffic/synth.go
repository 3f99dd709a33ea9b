package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"
)

// synth describes a made-up access log: which visitor asks for which page is drawn from two Zipf
// distributions, as real traffic is roughly shaped. The same description gives the same bytes.
type synth struct {
	lines    int
	visitors int
	pages    int
	seed     uint64
}

// damageEvery is how often a made-up line is cut short, as real logs have them.
const damageEvery = 50_000

func (s synth) String() string {
	return fmt.Sprintf("a made-up stream of %s lines: %s visitors and %s pages, Zipf-distributed, seed %d",
		thousands(int64(s.lines)), thousands(int64(s.visitors)), thousands(int64(s.pages)), s.seed)
}

// reader returns the log from its first byte.
func (s synth) reader() *synthReader {
	r := &synthReader{
		synth:   s,
		rng:     rand.New(rand.NewPCG(s.seed, 0x7261666669632e)),
		visitor: newZipf(1.05, s.visitors),
		page:    newZipf(1.2, s.pages),
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
	r.heads = make([]string, s.visitors)
	r.tails = make([]string, s.visitors)
	for i := range r.heads {
		r.heads[i] = fmt.Sprintf("10.%d.%d.%d - - [", i>>16&255, i>>8&255, i&255)
		r.tails[i] = fmt.Sprintf(` "-" "%s"`+"\n", agents[i%len(agents)])
	}
	r.requests = make([]string, s.pages)
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

// synthReader makes the lines of a [synth] as they are read.
type synthReader struct {
	synth
	rng           *rand.Rand
	visitor, page zipf
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
func (r *synthReader) Read(p []byte) (int, error) {
	if len(r.pending) == 0 {
		if r.made == r.lines {
			return 0, io.EOF
		}
		r.buf = r.buf[:0]
		for len(r.buf) < chunkSize && r.made < r.lines {
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
func (r *synthReader) fraction() float64 { return float64(r.shown.Load()) / float64(r.lines) }

func (r *synthReader) appendLine(b []byte) []byte {
	dice := r.rng.Uint64()
	if dice&31 == 0 { // 32 lines a second on average
		r.when = r.when.Add(time.Second)
		r.setTime()
	}
	visitor, page := r.visitor.draw(r.rng), r.page.draw(r.rng)
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

func (r *synthReader) setTime() { r.when.AppendFormat(r.text[:0], "02/Jan/2006:15:04:05") }

// zipf draws i < n with a probability proportional to 1/(i+1)^s, in constant time (Walker's alias
// method: n equal columns, each shared by at most two values).
type zipf struct {
	keep  []float64 // the share of column i that is i's own
	alias []int32   // whose the rest is
}

func newZipf(s float64, n int) zipf {
	share := make([]float64, n)
	var sum float64
	for i := range share {
		share[i] = math.Pow(float64(i+1), -s)
		sum += share[i]
	}
	z := zipf{keep: make([]float64, n), alias: make([]int32, n)}
	var small, large []int32
	for i := range share {
		share[i] *= float64(n) / sum
		if share[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		poor, rich := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		z.keep[poor], z.alias[poor] = share[poor], rich
		if share[rich] -= 1 - share[poor]; share[rich] < 1 {
			large = large[:len(large)-1]
			small = append(small, rich)
		}
	}
	for _, i := range append(small, large...) { // exactly full, up to rounding
		z.keep[i], z.alias[i] = 1, i
	}
	return z
}

func (z zipf) draw(rng *rand.Rand) int {
	i := rng.IntN(len(z.keep))
	if rng.Float64() < z.keep[i] {
		return i
	}
	return int(z.alias[i])
}
