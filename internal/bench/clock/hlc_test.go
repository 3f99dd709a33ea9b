package clock

import (
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/serf/serf"
	"github.com/oklog/ulid/v2"

	"github.com/go-calm/calm/clock"
)

// mutexHLC is the algorithm of cockroach's util/hlc: 64 bits of wall time and 32 bits of
// counter behind one lock, with the physical clock read outside of it.
type mutexHLC struct {
	mu      sync.Mutex
	wall    int64
	logical int32
	max     time.Duration
}

func (c *mutexHLC) now() (int64, int32) {
	pt := time.Now().UnixNano()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wall >= pt {
		c.logical++
	} else {
		c.wall, c.logical = pt, 0
	}
	return c.wall, c.logical
}

var errOffset = errors.New("remote wall time is too far ahead")

func (c *mutexHLC) update(wall int64, logical int32) error {
	pt := time.Now().UnixNano()
	if d := time.Duration(wall - pt); d > c.max {
		return errOffset
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wall > c.wall {
		c.wall, c.logical = wall, logical
	} else if wall == c.wall && logical > c.logical {
		c.logical = logical
	}
	return nil
}

// many runs f in so many goroutines, whatever the number of processors.
func many(b *testing.B, goroutines int, f func()) {
	var wg sync.WaitGroup
	for g := range goroutines {
		n := b.N / goroutines
		if g == 0 {
			n += b.N % goroutines
		}
		wg.Go(func() {
			for range n {
				f()
			}
		})
	}
	wg.Wait()
}

// least is no clock, but what any clock shared by goroutines must do at the least: read a
// physical clock, and pass one word from processor to processor. It is the bound below
// which Now cannot come while it is strictly increasing for all of them.
type least struct {
	_     [64]byte
	state atomic.Int64
	_     [64]byte
}

var started = time.Now()

func (c *least) now() int64 {
	if time.Since(started) < 0 {
		return 0
	}
	return c.state.Add(1)
}

func BenchmarkNow(b *testing.B) {
	for _, g := range []struct {
		name string
		n    int
	}{{"1", 1}, {"2", 2}, {"8", 8}} {
		b.Run("time.Now/"+g.name, func(b *testing.B) { many(b, g.n, func() { _ = time.Now().UnixNano() }) })
		b.Run("calm/"+g.name, func(b *testing.B) { c := clock.New(); many(b, g.n, func() { c.Now() }) })
		b.Run("least/"+g.name, func(b *testing.B) { var c least; many(b, g.n, func() { c.now() }) })
		b.Run("mutexHLC/"+g.name, func(b *testing.B) { var c mutexHLC; many(b, g.n, func() { c.now() }) })
		b.Run("calm-coarse/"+g.name, func(b *testing.B) {
			c := clock.New(clock.WithCoarse())
			defer c.Close()
			many(b, g.n, func() { c.Now() })
		})
	}
	b.Run("calm-file", func(b *testing.B) {
		c, err := clock.Open(b.Context(), clock.File(b.TempDir()+"/bound"))
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		for b.Loop() {
			c.Now()
		}
	})
	b.Run("ulid.Make", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ulid.Make()
		}
	})
	b.Run("uuid.NewV7", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = uuid.NewV7()
		}
	})
}

func BenchmarkLamport(b *testing.B) {
	b.Run("calm", func(b *testing.B) {
		var l clock.Lamport
		for b.Loop() {
			l.Tick()
		}
	})
	b.Run("serf", func(b *testing.B) {
		var l serf.LamportClock
		for b.Loop() {
			l.Increment()
		}
	})
}

func BenchmarkReceive(b *testing.B) {
	b.Run("time.Now", func(b *testing.B) {
		for b.Loop() {
			_ = time.Now().UnixNano()
		}
	})
	old := clock.At(time.Now())
	b.Run("Observe", func(b *testing.B) {
		c := clock.New()
		c.Now()
		for b.Loop() {
			_, _ = c.Observe(old)
		}
	})
	b.Run("Witness", func(b *testing.B) {
		c := clock.New()
		c.Now()
		for b.Loop() {
			_ = c.Witness(old)
		}
	})
	b.Run("mutexHLC", func(b *testing.B) {
		c := mutexHLC{max: time.Second}
		c.now()
		for b.Loop() {
			_ = c.update(int64(old), 0)
		}
	})
	b.Run("mixed/Observe", func(b *testing.B) { // one in four is a millisecond ahead
		c := clock.New(clock.WithMaxDrift(math.MaxInt64))
		last := c.Now()
		i := 0
		for b.Loop() {
			r := last
			if i++; i&3 == 0 {
				r = last.Add(time.Millisecond)
			}
			last, _ = c.Observe(r)
		}
	})
	b.Run("refused", func(b *testing.B) {
		b.ReportAllocs()
		c := clock.New()
		far := c.Now().Add(time.Hour)
		for b.Loop() {
			_ = c.Witness(far)
		}
	})
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "node-" + uuid.NewSHA1(uuid.Nil, []byte{byte(i), byte(i >> 8)}).String()[:6]
	}
	slices.Sort(out)
	return out
}

func BenchmarkVector(b *testing.B) {
	for _, n := range []struct {
		name string
		n    int
	}{{"16", 16}, {"1000", 1000}} {
		ids := names(n.n)
		counters := map[string]uint64{}
		for i, id := range ids {
			counters[id] = uint64(i + 1)
		}
		v := clock.VectorOf(counters)
		w := v.Clone()
		w.Tick(ids[n.n-1]) // the last one alone differs
		other := clock.VectorOf(counters)
		b.Run("Compare/shared/"+n.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Compare(w)
			}
		})
		b.Run("Compare/foreign/"+n.name, func(b *testing.B) {
			for b.Loop() {
				other.Compare(w)
			}
		})
		b.Run("Merge/shared/"+n.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Merge(w)
			}
		})
		b.Run("map/Compare/"+n.name, func(b *testing.B) { // what a map-based clock cannot be faster than
			o := map[string]uint64{}
			for id, k := range counters {
				o[id] = k
			}
			for b.Loop() {
				same := true
				for id, k := range counters {
					same = same && o[id] == k
				}
			}
		})
	}
	numbers := map[uint64]uint64{}
	for i := range uint64(16) {
		numbers[i*7919] = i + 1
	}
	v, w := clock.VectorOf(numbers), clock.VectorOf(numbers)
	b.Run("Compare/uint64/16", func(b *testing.B) {
		for b.Loop() {
			v.Compare(w)
		}
	})
}

func BenchmarkTree(b *testing.B) {
	trees := []clock.Tree{clock.Seed()}
	for len(trees) < 16 {
		l, r := trees[0].Fork()
		trees = append(trees[1:], l, r)
	}
	for range 4 {
		for i := range trees {
			trees[i] = trees[i].Event()
			j := (i*5 + 3) % 16
			trees[j], _ = trees[j].Join(trees[i].Peek())
		}
	}
	b.Run("Event/16", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			trees[3].Event()
		}
	})
	m := trees[9].Peek()
	b.Run("Join/16", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = trees[3].Join(m)
		}
	})
	b.Run("Compare/16", func(b *testing.B) {
		for b.Loop() {
			trees[3].Compare(m)
		}
	})
}
