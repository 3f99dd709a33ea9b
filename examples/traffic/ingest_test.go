package main

import (
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/accesslog"
)

func newSite(t *testing.T) (*crdt.Store, *site) {
	t.Helper()
	store := crdt.NewStore(crdt.NewReplicaID())
	return store, crdt.OpenStruct[site](store, siteName)
}

// TestIngestCountsWhatItDoesNotDrop ends epochs all the while lines come in: whatever the policy,
// what was counted and what was dropped together are the input.
func TestIngestCountsWhatItDoesNotDrop(t *testing.T) {
	made := accesslog.Made{Lines: 30_000, Visitors: 300, Pages: 40, Seed: 5}
	in := accesslog.Input{Name: made.String(), Made: &made}
	want, err := recountOf(in, everything)
	require.NoError(t, err)

	for _, full := range []fullPolicy{fullBlock, fullReject, fullDropOldest} {
		t.Run(string(full), func(t *testing.T) {
			ing, err := newIngest(3, 16, full)
			require.NoError(t, err)
			store, s := newSite(t)
			var end position
			apply := func() {
				e := ing.seal()
				end = e.end
				store.Update(func() { s.apply(ing.workers, e.parity) })
				for _, w := range ing.workers {
					w.reset(e.parity)
				}
			}

			var feeding sync.WaitGroup
			fed := make(chan struct{})
			feeding.Go(func() {
				defer close(fed)
				stream, _ := in.Open()
				for l := newLines(stream); ; {
					c, err := l.next()
					if errors.Is(err, io.EOF) {
						return
					}
					ing.feed(c)
				}
			})
			for running := true; running; {
				select {
				case <-fed:
					running = false
				default:
				}
				apply()
			}
			feeding.Wait()
			apply()
			ing.close()

			require.Equal(t, want.lines, end.lines)
			require.Equal(t, want.bad.count, end.malformed)
			require.Equal(t, want.bad, ing.firstBad())
			missing := map[string]pageTally{}
			ing.dropped.addTo(missing)
			if full == fullBlock {
				require.Empty(t, missing)
				s.First.Set(1, want.first) // the nodes do this, not the workers
				s.Last.Set(1, want.last)
			} else {
				require.NotEmpty(t, missing, "so small a queue must overflow")
			}
			require.Empty(t, differences(s, want, missing))
			var dropped int64
			for _, p := range missing {
				dropped += p.requests
			}
			require.Equal(t, dropped, ing.dropped.n.Load())
			require.Equal(t, dropped, end.dropped)
		})
	}
}

func TestEpochSaysHowFarItRead(t *testing.T) {
	ing, err := newIngest(2, 8, fullBlock)
	require.NoError(t, err)
	defer ing.close()
	const text = `a - - [17/May/2015:10:05:03 +0000] "GET /x HTTP/1.1" 200 10` + "\n"
	ing.feed(chunk{text + "no\n", 1000, 7})
	require.Equal(t, position{1000, 7, 2, 1, 0}, ing.seal().end)
	require.Equal(t, position{1000, 7, 2, 1, 0}, ing.seal().end, "an empty epoch ends where the one before did")
	ing.feed(chunk{text, 2000, 8})
	require.Equal(t, position{2000, 8, 3, 1, 0}, ing.seal().end)
}

func TestRoutesSpreadVisitorsAndKeepThem(t *testing.T) {
	r, err := newRoutes(4)
	require.NoError(t, err)
	var load [4]int
	for i := range 4000 {
		name := string(rune('a'+i%26)) + string(rune('0'+i%10)) + string(rune(i))
		w := r.worker(name)
		require.Equal(t, w, r.worker(name))
		load[w]++
	}
	for _, n := range load {
		require.Greater(t, n, 500)
	}
	for _, n := range []int{0, -1, maxWorkers + 1} {
		_, err := newRoutes(n)
		require.Error(t, err)
	}
}

// siteReplica is a store with its site.
type siteReplica struct {
	store *crdt.Store
	site  *site
}
