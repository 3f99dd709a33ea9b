package backpressure

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A server of ten workers whose jobs take 10 ms on average, so a capacity of 1000 a second,
// for clients that wait 100 ms.
const (
	simWorkers  = 10
	simService  = 10 * time.Millisecond
	simDeadline = 100 * time.Millisecond
	simCapacity = float64(time.Second/simService) * simWorkers
)

type simJob struct {
	came   time.Time
	tenant int
}

// simulate offers each tenant's load, in multiples of the capacity, for the given time, and
// returns what was offered and what ended in time, in jobs, after warmUp. If clients
// wait, each job is a goroutine that Puts until its deadline; else it may be refused.
//
// Each goroutine draws from a source of its own and hardly any two act at the same
// nanosecond, so a run is repeated exactly.
func simulate(q *Queue[simJob], load []float64, warmUp, length time.Duration, wait bool) (offered, good []float64) {
	var (
		begin            = time.Now()
		counts           = make([]atomic.Int64, len(load))
		workers, clients sync.WaitGroup
	)
	for i := range uint64(simWorkers) {
		rng := rand.New(rand.NewPCG(1, i))
		workers.Go(func() {
			for {
				j, err := q.Get(background)
				if err != nil {
					return
				}
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(simService)))
				at := time.Since(begin)
				if time.Since(j.came) <= simDeadline && warmUp <= at && at <= length {
					counts[j.tenant].Add(1)
				}
			}
		})
	}
	offered = make([]float64, len(load))
	for i, x := range load {
		rng := rand.New(rand.NewPCG(2, uint64(i)))
		clients.Go(func() {
			for {
				time.Sleep(time.Duration(rng.ExpFloat64() * float64(time.Second) / (x * simCapacity)))
				j := simJob{time.Now(), i}
				if j.came.Sub(begin) > length {
					return
				}
				if j.came.Sub(begin) >= warmUp {
					offered[i]++
				}
				if !wait {
					_ = q.TryPut(j)
					continue
				}
				clients.Go(func() {
					ctx, cancel := context.WithDeadline(background, j.came.Add(simDeadline))
					defer cancel()
					_ = q.Put(ctx, j)
				})
			}
		})
	}
	clients.Wait()
	q.Close()
	workers.Wait()
	for i := range counts {
		good = append(good, float64(counts[i].Load()))
	}
	return offered, good
}

func simFairness(wait bool, opts ...Option[simJob]) (mice, total float64) {
	const warmUp, length = 500 * time.Millisecond, 2500 * time.Millisecond
	load := []float64{50, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05}
	offered, good := simulate(NewQueue(10_000, opts...), load, warmUp, length, wait)
	asked, served := 0.0, 0.0
	for i := 1; i < len(load); i++ {
		asked += offered[i]
		served += good[i]
	}
	return served / asked, (served + good[0]) / (simCapacity * (length - warmUp).Seconds())
}

// TestOverloadAtTenTimesTheCapacity offers ten times what a server can do. First come, first
// served works on what is just about to be too late, even with a deadline. To shed what has
// waited too long, or to serve the newest, keeps the server at what it can do.
func TestOverloadAtTenTimesTheCapacity(t *testing.T) {
	const length = 4 * time.Second
	late := Deadline(func(j simJob) time.Time { return j.came.Add(simDeadline) })
	for _, c := range []struct {
		name        string
		opts        []Option[simJob]
		least, most float64
	}{
		{"FIFO", []Option[simJob]{RejectWhenFull[simJob]()}, 0, 0.05},
		{"FIFO with a deadline", []Option[simJob]{RejectWhenFull[simJob](), late}, 0, 0.10},
		{"CoDel", []Option[simJob]{RejectWhenFull[simJob](), CoDel[simJob](5*time.Millisecond, 100*time.Millisecond)}, 0.95, 1.1},
		{"AdaptiveLIFO", []Option[simJob]{DropOldest[simJob](nil), AdaptiveLIFO[simJob](100 * time.Millisecond)}, 0.95, 1.1},
		{"AdaptiveLIFO with a deadline", []Option[simJob]{RejectWhenFull[simJob](), late, AdaptiveLIFO[simJob](100 * time.Millisecond)}, 0.95, 1.1},
		{"both", []Option[simJob]{RejectWhenFull[simJob](), CoDel[simJob](5*time.Millisecond, 100*time.Millisecond), AdaptiveLIFO[simJob](100 * time.Millisecond)}, 0.95, 1.1},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, good := simulate(NewQueue(1000, c.opts...), []float64{10}, time.Second, length, false)
			share := good[0] / (simCapacity * (length - time.Second).Seconds())
			t.Logf("%-30s %5.1f %%", c.name, 100*share)
			require.LessOrEqual(t, c.least, share, c.name)
			require.GreaterOrEqual(t, c.most, share, c.name)
		})
	}
}

// TestOverloadByOneTenant lets one tenant offer fifty times the capacity and nine others a
// twentieth each.
func TestOverloadByOneTenant(t *testing.T) {
	tenant := func(j simJob) int { return j.tenant }
	newest := AdaptiveLIFO[simJob](100 * time.Millisecond)
	for _, c := range []struct {
		name        string
		wait        bool
		opts        []Option[simJob]
		mice, total float64
	}{
		{"refused when full", false, []Option[simJob]{Fair(tenant, nil), newest, RejectWhenFull[simJob]()}, 0.99, 0.98},
		{"dropped when full", false, []Option[simJob]{Fair(tenant, nil), newest, DropOldest[simJob](nil)}, 0.99, 0.98},
		{"waiting when full", true, []Option[simJob]{Fair(tenant, nil), newest}, 0.99, 0.98},
	} {
		synctest.Test(t, func(t *testing.T) {
			mice, total := simFairness(c.wait, c.opts...)
			t.Logf("%-30s mice %5.1f %%, total %5.1f %%", c.name, 100*mice, 100*total)
			require.GreaterOrEqual(t, mice, c.mice, c.name)
			require.GreaterOrEqual(t, total, c.total, c.name)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		mice, _ := simFairness(false, newest, DropOldest[simJob](nil))
		t.Logf("%-30s mice %5.1f %%", "one line for all", 100*mice)
		require.Less(t, mice, 0.5)
	})
}
