package backpressure

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func algorithms() []Algorithm {
	return []Algorithm{&Little{}, &Gradient2{}, &Vegas{}, &AIMD{}, &AIMD{Backoff: 0.5}}
}

func drawWindow(t *rapid.T) Window {
	d := rapid.OneOf(rapid.Int64Range(0, int64(time.Minute)), rapid.Int64())
	f := rapid.OneOf(rapid.Float64Range(1, 1000), rapid.SampledFrom([]float64{0, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}))
	n := rapid.OneOf(rapid.IntRange(0, 1000), rapid.Int())
	return Window{
		Now: time.Duration(d.Draw(t, "now")), Elapsed: time.Duration(d.Draw(t, "elapsed")), Samples: n.Draw(t, "samples"),
		Mean: time.Duration(d.Draw(t, "mean")), Min: time.Duration(d.Draw(t, "min")), P90: time.Duration(d.Draw(t, "p90")),
		MaxInFlight: n.Draw(t, "most"), Limited: rapid.Bool().Draw(t, "limited"), Dropped: rapid.Bool().Draw(t, "dropped"),
		Limit: f.Draw(t, "limit"), InFlight: f.Draw(t, "in flight"), Median: time.Duration(d.Draw(t, "median")),
		Completed: n.Draw(t, "completed"), Drops: n.Draw(t, "drops"), Left: time.Duration(d.Draw(t, "left")),
		Overtaking: f.Draw(t, "overtaking"), Spread: f.Draw(t, "spread"),
	}
}

// TestAlgorithmsTakeAnything feeds nonsense among sense. No algorithm panics; a good limit never
// becomes NaN; the same windows give the same limits; and a limiter stays within its bounds.
func TestAlgorithmsTakeAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		windows := rapid.SliceOfN(rapid.Custom(drawWindow), 1, 20).Draw(t, "windows")
		first, second := algorithms(), algorithms()
		for i := range first {
			l := NewLimiter(Using(first[i]), Between(3, 70))
			for _, w := range windows {
				next := first[i].Step(w)
				again := second[i].Step(w)
				require.True(t, next == again || math.IsNaN(next) && math.IsNaN(again))
				if w.Limit >= 1 && w.Limit <= 1e6 {
					require.False(t, math.IsNaN(next), "%T %+v", first[i], w)
				}
				l.set(next)
				require.GreaterOrEqual(t, l.Stats().Limit, 3)
				require.LessOrEqual(t, l.Stats().Limit, 70)
			}
		}
	})
}

// TestAlgorithmsGrowAndShrink checks what all of them have in common: the limit grows while it is met
// and nothing gets slower, and shrinks when everything is dropped.
func TestAlgorithmsGrowAndShrink(t *testing.T) {
	for _, a := range algorithms() {
		t.Run(reflect.TypeOf(a).Elem().Name(), func(t *testing.T) {
			w := Window{Elapsed: 100 * time.Millisecond, Limit: 10, Limited: true}
			step := func() { w.Limit = math.Round(min(a.Step(w), 1000)) }
			good := func() {
				w.Samples, w.Completed = int(w.Limit)*10, int(w.Limit)*10
				w.Mean, w.Min, w.P90, w.Median = 10*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond
				w.Dropped, w.Drops, w.InFlight = false, 0, w.Limit
				step()
			}
			for range 30 {
				good()
			}
			high := w.Limit
			require.Greater(t, high, 15.0)
			w.Limited = false
			good()
			unmet := w.Limit
			good()
			require.Equal(t, unmet, w.Limit, "what nobody meets teaches nothing")
			if _, ok := a.(*Gradient2); ok {
				return // knows latency only
			}
			w.Limited = true
			for range 30 {
				w.Dropped, w.Drops, w.Median = true, w.Completed, never
				step()
			}
			require.Less(t, w.Limit, 0.9*high)
		})
	}
}

// TestLittleFindsTheServer steps Little by the formula of a server with so many slots.
func TestLittleFindsTheServer(t *testing.T) {
	for _, slots := range []float64{1, 2, 7, 100, 5000} {
		a, w := &Little{}, Window{Elapsed: 100 * time.Millisecond, Limit: 4, Limited: true}
		served, slow := 10*time.Millisecond, 1.0
		run := func(windows int) (worst float64) {
			worst = math.Inf(1)
			for range windows {
				w.Limit = max(1, math.Round(w.Limit))
				work := slow * served.Seconds()
				w.InFlight = w.Limit
				w.Completed = int(min(w.Limit, slots) / work * w.Elapsed.Seconds())
				w.Samples = min(w.Completed, 256)
				w.Median = time.Duration(work * max(1, w.Limit/slots) * float64(time.Second))
				worst = min(worst, w.Limit/slots)
				w.Limit = a.Step(w)
			}
			return worst
		}
		run(60)
		worst := run(100)
		require.GreaterOrEqual(t, worst, 0.69, "%v slots: a probe is no deeper than that", slots)
		require.LessOrEqual(t, w.Limit, max(slots+4, 1.6*slots))
		slow = 3 // everything takes three times as long: as many slots
		run(60)
		require.GreaterOrEqual(t, run(60), 0.69)
		slow = 0.5
		run(60)
		require.GreaterOrEqual(t, run(60), 0.69)
		if slots >= 7 { // seven in eight are lost
			slots = math.Round(slots / 8)
			run(300)
			require.LessOrEqual(t, w.Limit, max(slots+6, 2.2*slots))
		}
	}
}

// TestLittleKeepsDeadlines has clients with little time: the limit stays close to what the server does
// at once, but for where it probes, and comes back to the usual where they have plenty.
func TestLittleKeepsDeadlines(t *testing.T) {
	for _, c := range []struct {
		left      time.Duration
		low, high float64 // of what the server does at once, between two probes
	}{
		{15 * time.Millisecond, 1, 1.1},
		{30 * time.Millisecond, 1.1, 1.3},
		{100 * time.Millisecond, 1.35, 1.45},
		{0, 1.35, 1.45}, // nobody has a deadline
	} {
		const slots = 100
		a, w := &Little{}, Window{Elapsed: 100 * time.Millisecond, Limit: 4, Limited: true, Left: c.left}
		sum, windows := 0.0, 0
		for i := range 300 {
			w.Limit = max(1, math.Round(w.Limit))
			w.InFlight = w.Limit
			w.Completed = int(min(w.Limit, slots) * 10)
			w.Samples = min(w.Completed, 256)
			w.Median = time.Duration(max(1, w.Limit/slots) * float64(10*time.Millisecond))
			if i > 100 && a.sinceLast > 0 && !a.probing {
				sum += w.Limit / slots
				windows++
			}
			w.Limit = a.Step(w)
		}
		mean := sum / float64(windows)
		t.Logf("%v left: %.3f of what the server does at once", c.left, mean)
		require.GreaterOrEqual(t, mean, c.low, c.left)
		require.LessOrEqual(t, mean, c.high, c.left)
	}
}

// farm is a server with so many slots, whose queue and answers are in an order that tells what it does.
type farm struct {
	slots, work float64 // seconds
	spread      float64
}

// window is what a limiter sees of it at a limit. A queue shifts latencies, and hides some of the spread.
func (l farm) window(limit float64) Window {
	n := math.Round(limit)
	queued := max(0, n-l.slots)
	wait := queued * l.work / l.slots
	median := l.work * math.Exp(-l.spread*l.spread/2)
	done := int(min(n, l.slots) / l.work / 10)
	return Window{
		Elapsed: 100 * time.Millisecond, Limit: n, Limited: true, InFlight: n,
		Completed: done, Samples: min(done, 256), Median: time.Duration((wait + median) * float64(time.Second)),
		Overtaking: min(n, l.slots), Spread: l.spread * median / (median + wait/2),
	}
}

// TestLittleBelievesOrder has work that takes unevenly long, and medians that are off by chance: what the
// server does at once is found all the same, soon after it has changed, and probes cost nothing.
func TestLittleBelievesOrder(t *testing.T) {
	for _, slots := range []float64{4, 10, 300} {
		rng := rand.New(rand.NewPCG(uint64(slots), 3))
		a, limit := &Little{}, 4.0
		l := farm{slots, 0.01, 1.5}
		run := func(windows int) (least, mean float64) {
			least = math.Inf(1)
			for range windows {
				w := l.window(limit)
				w.Median = time.Duration(float64(w.Median) * math.Exp(0.3*rng.NormFloat64()))
				limit = a.Step(w)
				least, mean = min(least, math.Round(limit)), mean+math.Round(limit)/float64(windows)
			}
			return least, mean
		}
		run(12)
		require.True(t, a.sure, "there was no queue at the start that could hide how uneven work is")
		run(100)
		least, mean := run(200)
		t.Logf("%v slots: at least %v, in the mean %.2f", slots, least, mean)
		require.GreaterOrEqual(t, least, slots, "a probe costs nothing")
		require.LessOrEqual(t, mean, max(1.4*slots, slots+0.8))
		l.work *= 2 // everything takes twice as long
		run(20)
		least, _ = run(100)
		require.GreaterOrEqual(t, least, math.Floor(0.8*slots))
		l.slots = math.Ceil(slots / 2) // half is lost
		run(30)
		least, mean = run(100)
		t.Logf("%v slots: at least %v, in the mean %.2f", l.slots, least, mean)
		require.GreaterOrEqual(t, least, math.Floor(0.8*l.slots))
		require.LessOrEqual(t, mean, max(1.4*l.slots, l.slots+1))
		l.slots = slots // and comes back
		run(60)
		least, _ = run(100)
		require.GreaterOrEqual(t, least, math.Floor(0.8*l.slots))
	}
}

// TestLittleSeesThatWorkIsShared has a server that works on everything at once, each with a share of it:
// as the median is far below the mean, latencies taken for those of a line would say that there is room.
func TestLittleSeesThatWorkIsShared(t *testing.T) {
	a, limit, most := &Little{}, 4.0, 0.0
	l := farm{10, 0.01, 1.5}
	for i := range 400 {
		w := l.window(limit)
		w.Median = time.Duration(l.work * math.Exp(-1.5*1.5/2) * max(1, w.Limit/l.slots) * float64(time.Second))
		w.Overtaking, w.Spread = w.Limit, 1.5
		limit = a.Step(w)
		if i >= 300 {
			most = max(most, limit)
		}
	}
	t.Logf("at most %.1f, where 10 are enough", most)
	require.Less(t, most, 20.0)
}

// TestLittleDoubtsOrder has a server that does forty things at once and puts its answers in order: they
// look as if it did one at a time.
func TestLittleDoubtsOrder(t *testing.T) {
	a, limit := &Little{}, 4.0
	l := farm{40, 0.01, 1.5}
	sum := 0.0
	for i := range 600 {
		w := l.window(limit)
		w.Overtaking = 1
		if i < 10 { // so far it did not
			w.Overtaking = min(w.Limit, l.slots)
		}
		limit = a.Step(w)
		if i >= 100 {
			sum += min(1, w.Limit/l.slots) / 500
		}
	}
	t.Logf("%.3f of what it can do", sum)
	require.Greater(t, sum, 0.85)
}

// TestLittleWantsLatencyToAgree has answers in order, none of which takes longer the more is let in.
func TestLittleWantsLatencyToAgree(t *testing.T) {
	a, w := &Little{}, Window{Elapsed: 100 * time.Millisecond, Limit: 1, Limited: true, Overtaking: 1, Spread: 2}
	for range 7 {
		w.InFlight, w.Completed, w.Samples, w.Median = w.Limit, int(w.Limit*10), int(w.Limit*10), 10*time.Millisecond
		w.Limit = a.Step(w)
	}
	require.Equal(t, 128.0, w.Limit)
}

// TestLittleDoublesOn sees a queue once where there is none, and goes on.
func TestLittleDoublesOn(t *testing.T) {
	a, w := &Little{}, Window{Elapsed: 100 * time.Millisecond, Limit: 1, Limited: true}
	for i := range 8 {
		w.InFlight, w.Completed, w.Samples, w.Median = w.Limit, int(w.Limit*10), int(w.Limit*10), 10*time.Millisecond
		if i == 2 {
			w.Median = 50 * time.Millisecond // by chance
		}
		w.Limit = a.Step(w)
	}
	require.Equal(t, 128.0, w.Limit)
	for range 2 {
		w.InFlight, w.Completed, w.Samples, w.Median = w.Limit, 400, 400, 50*time.Millisecond
		w.Limit = a.Step(w)
	}
	require.Less(t, w.Limit, 128.0)
}
