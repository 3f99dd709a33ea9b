package main

import (
	"slices"
	"sync"
	"time"

	"github.com/go-calm/calm/shard"
)

// oneLock shares one map, behind one lock.
func oneLock(t text, workers int) (outcome, error) {
	var mu sync.Mutex
	counts := map[string]int64{}
	return together(t, workers, func(word string) {
		mu.Lock()
		counts[word]++
		mu.Unlock()
	}, func() map[string]int64 { return counts })
}

// shardedLocks shares 64 maps, each behind a lock of its own. Workers meet less often, but where a
// word is frequent they meet all the same.
func shardedLocks(t text, workers int) (outcome, error) {
	var shards [64]struct {
		mu     sync.Mutex
		counts map[string]int64
		_      [48]byte // on a cache line of its own
	}
	for i := range shards {
		shards[i].counts = map[string]int64{}
	}
	return together(t, workers, func(word string) {
		s := &shards[shard.Hash(word, 0)%uint64(len(shards))]
		s.mu.Lock()
		s.counts[word]++
		s.mu.Unlock()
	}, func() map[string]int64 {
		all := map[string]int64{}
		for i := range shards {
			for word, n := range shards[i].counts {
				all[word] = n
			}
		}
		return all
	})
}

// together has workers call count for each word, and result at the end.
func together(t text, workers int, count func(word string), result func() map[string]int64) (outcome, error) {
	begin := time.Now()
	waited := make([]waits, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			eachWord(t.of(w, workers), func(word string, begin time.Time) {
				count(word)
				waited[w].since(begin)
			})
		})
	}
	all.Wait()
	return outcome{counts: result(), took: time.Since(begin), waits: slices.Concat(waited...)}, nil
}
