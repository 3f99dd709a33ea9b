package backpressure

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However they come, what pays takes a share of the time and what was saved up before.
func TestThriftSpendsItsShareAtMost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			thrift     thrift
			begin      = time.Unix(0, 0)
			now        = begin
			spent      time.Duration
			steps      = rapid.IntRange(1, 400).Draw(t, "steps")
			longestGap = rapid.Int64Range(1, int64(time.Millisecond)).Draw(t, "gap")
		)
		for range steps {
			now = now.Add(time.Duration(rapid.Int64Range(0, longestGap).Draw(t, "gap")))
			if !thrift.may(now) {
				continue
			}
			cost := time.Duration(rapid.Int64Range(0, int64(paying)).Draw(t, "cost"))
			thrift.spent(now, cost)
			now, spent = now.Add(cost), spent+cost
			require.LessOrEqual(t, spent, (now.Sub(begin)+savings)/cheap+paying)
		}
	})
}

func TestThriftSavesUpForABurst(t *testing.T) {
	var thrift thrift
	now, n := time.Unix(1, 0), 0
	for ; thrift.may(now); n++ {
		thrift.spent(now, time.Microsecond)
		now = now.Add(time.Microsecond)
	}
	require.Equal(t, 267, n, "250 saved up, one on credit, 16 for the time that this took")
}

// However rarely a Put comes to the queue: there may be many more queues that it comes to.
func TestThriftGivesUpWhatDoesNotPay(t *testing.T) {
	var (
		thrift thrift
		now    = time.Unix(1, 0)
		apart  = func() (n int) { // how many Puts it takes until one may
			for n = 1; ; n++ {
				now = now.Add(time.Minute)
				if thrift.may(now) {
					return n
				}
			}
		}
	)
	for i, cost := range []time.Duration{2 * paying, time.Microsecond, paying} {
		var got []int
		for range 8 {
			got = append(got, apart())
			thrift.spent(now, cost)
		}
		switch i {
		case 0:
			require.Equal(t, []int{1, 1, 4, 16, 64, 256, 1024, 1024}, got)
		case 1:
			require.Equal(t, []int{1024, 1, 1, 1, 1, 1, 1, 1}, got, "at each again, when it pays again")
		default:
			require.Equal(t, []int{1, 1, 1, 1, 1, 1, 1, 1}, got)
		}
	}
	now = now.Add(time.Minute)
	thrift.spent(now, time.Hour)
	require.Equal(t, restraint-savings, thrift.next.Sub(now), "however long it took")
}

// Who is served runs before the Put that served it returns, and after a TryPut.
func TestPutLetsTheServedRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // nobody else may run it
	const rounds = 256
	for _, c := range []struct {
		name string
		put  func(*Queue[int]) error
		want bool
	}{
		{"Put", func(q *Queue[int]) error { return q.Put(background, 1) }, true},
		{"PutAll", func(q *Queue[int]) error { _, err := q.PutAll(background, []int{1}); return err }, true},
		{"TryPut", func(q *Queue[int]) error { return q.TryPut(1) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := NewQueue[int](4)
				var got atomic.Int64
				go func() {
					for range q.All(background) {
						got.Add(1)
					}
				}()
				at := 0
				for i := range int64(rounds) {
					time.Sleep(time.Millisecond)
					require.NoError(t, c.put(q))
					if got.Load() > i {
						at++
					}
				}
				q.Close()
				if c.want {
					require.Equal(t, rounds, at)
				} else {
					require.Less(t, at, rounds/4) // the runtime may let it run at any time
				}
			})
		})
	}
}
