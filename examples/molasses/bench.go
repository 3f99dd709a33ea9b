package main

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/go-calm/calm/examples/internal/term"
)

// way is one way to do the job.
type way struct {
	name string
	run  func(t text, workers int) (outcome, error)
	// part is in how many parts the text is cut, of which the first is counted: what asks for each
	// word would take minutes for all.
	part int
}

// ways are all of them; the first is the one to beat.
var ways = []way{
	{"a single thread", alone, 1},
	{"one lock", oneLock, 1},
	{"sharded locks", shardedLocks, 1},
	{"a channel to an owner", toOwner, 1},
	{"own state, merged last", mergedLast, 1},
	{"own state, merged as it goes", mergedOften(256), 1},
	{"processes that ask", processes{ask: true}.run, 64},
	{"processes that tell", processes{every: 256}.run, 1},
}

// outcome is what one run comes to.
type outcome struct {
	counts map[string]int64
	waits  waits // for a word to be counted, where it was measured
	took   time.Duration
}

// waits are a sample of how long it took to have a word counted.
type waits []time.Duration

// sampleEvery is which words are timed: reading the clock takes longer than counting a word.
const sampleEvery = 64

// since adds the time since begin, unless that is zero.
func (w *waits) since(begin time.Time) {
	if !begin.IsZero() {
		*w = append(*w, time.Since(begin))
	}
}

// p99 is how long one word in a hundred took, or longer.
func (w waits) p99() time.Duration {
	if len(w) == 0 {
		return 0
	}
	slices.Sort(w)
	return w[len(w)*99/100]
}

// eachWord calls count for each word of the pieces; begin is zero but for the words that are timed.
func eachWord(pieces []string, count func(word string, begin time.Time)) {
	n := 0
	for _, s := range pieces {
		for {
			var word string
			if word, s = nextWord(s); word == "" {
				break
			}
			var begin time.Time
			if n++; n%sampleEvery == 0 {
				begin = time.Now()
			}
			count(word, begin)
		}
	}
}

// bench measures all ways.
type bench struct {
	text     text
	counts   []int // of workers
	budget   time.Duration
	progress *term.Progress
}

// result is what was measured of one way.
type result struct {
	name     string
	counted  map[string]int64
	workers  []int
	speed    []float64 // words per second, by workers
	p99      []time.Duration
	overhead []float64 // share of the machine that did not count words, by workers
	law      law
	cost     int // workers that it takes to beat the single thread; 0 for never
}

// aloneSlots is how much more time the single thread is given than others: all are held against it.
const aloneSlots = 5

var errWrong = errors.New("the counts differ from those of the single thread")

func (b *bench) run() ([]result, error) {
	var results []result
	slot := b.budget / time.Duration(aloneSlots+(len(ways)-1)*len(b.counts))
	want := map[int]map[string]int64{} // by part
	for i, w := range ways {
		r := result{name: w.name}
		t := b.text.first(w.part)
		if want[w.part] == nil {
			o, err := alone(t, 1)
			if err != nil {
				return nil, err
			}
			want[w.part] = o.counts
		}
		for _, n := range b.counts {
			if i == 0 && n > 1 {
				break
			}
			b.progress.Show(fmt.Sprintf("%s, %d workers", w.name, n))
			share := slot
			if i == 0 {
				share *= aloneSlots
			}
			best, p99, err := measure(w, t, n, share)
			if err == nil && !maps.Equal(best.counts, want[w.part]) {
				err = errWrong
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			speed := float64(sum(best.counts)) / best.took.Seconds()
			r.workers, r.speed, r.p99 = append(r.workers, n), append(r.speed, speed), append(r.p99, p99)
			r.counted = best.counts
		}
		results = append(results, r)
	}
	b.progress.Done()
	for i := range results {
		results[i].judge(results[0].speed[0])
	}
	return results, nil
}

// measure runs a way again and again while there is time, up to five times, and returns the fastest
// run (what else the machine does makes a run slower, never faster) and the middle of the waits.
func measure(w way, t text, workers int, slot time.Duration) (best outcome, p99 time.Duration, err error) {
	begin := time.Now()
	var p99s []time.Duration
	for round := 0; round == 0 || round < 5 && time.Since(begin) < slot; round++ {
		runtime.GC() // what the run before left behind is not this one's to clear
		o, err := w.run(t, workers)
		if err != nil {
			return outcome{}, 0, err
		}
		if round == 0 || o.took < best.took {
			best = o
		}
		p99s = append(p99s, o.waits.p99())
	}
	slices.Sort(p99s)
	return best, p99s[len(p99s)/2], nil
}

// judge compares a way with the single thread.
func (r *result) judge(alone float64) {
	for i, n := range r.workers {
		cores := float64(min(n, runtime.NumCPU()))
		r.overhead = append(r.overhead, max(0, 1-r.speed[i]/(alone*cores)))
		if r.cost == 0 && r.speed[i] > alone {
			r.cost = n
		}
	}
	r.law = fit(r.workers, r.speed)
}

func sum(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}
