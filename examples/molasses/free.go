package main

import (
	"slices"
	"sync"
	"time"

	"github.com/go-calm/calm/lattice"
)

// tally is what workers have counted: a row for each, with the greatest count of each word. Only its
// worker writes a row, so the greatest count is the newest, and rows may be joined in any order,
// late or twice.
type tally = lattice.Vec[*row]

// row is what one worker has counted.
type row = lattice.Map[string, lattice.Max[int64]]

// mergedLast has workers count by themselves, and puts their rows side by side when they are done.
func mergedLast(t text, workers int) (outcome, error) {
	begin := time.Now()
	rows, waited := make([]*row, workers), make([]waits, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			counts := map[string]int64{}
			eachWord(t.of(w, workers), func(word string, begin time.Time) {
				counts[word]++
				waited[w].since(begin)
			})
			rows[w] = rowOf(counts, counts)
		})
	}
	all.Wait()
	return outcome{counts: sumsOf(lattice.VecOf(rows...)), took: time.Since(begin), waits: slices.Concat(waited...)}, nil
}

// mergedOften has them tell what is new after a number of pieces, again and again, so that whoever
// looks at the total sees counts that are never far behind.
func mergedOften(every int) func(text, int) (outcome, error) {
	return func(t text, workers int) (outcome, error) { return mergedEvery(t, workers, every) }
}

func mergedEvery(t text, workers, every int) (outcome, error) {
	begin := time.Now()
	var (
		mu    sync.Mutex
		total tally
		all   sync.WaitGroup
	)
	waited := make([]waits, workers)
	for w := range workers {
		all.Go(func() {
			counts, fresh := map[string]int64{}, map[string]int64{}
			for pieces := range slices.Chunk(t.of(w, workers), every) {
				eachWord(pieces, func(word string, begin time.Time) {
					fresh[word]++
					waited[w].since(begin)
				})
				for word, n := range fresh {
					counts[word] += n
				}
				delta := rowOf(counts, fresh)
				clear(fresh)
				mu.Lock()
				total.Put(w, delta)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return outcome{counts: sumsOf(&total), took: time.Since(begin), waits: slices.Concat(waited...)}, nil
}

// rowOf returns the counts of the words that are in some map.
func rowOf(counts, words map[string]int64) *row {
	r := &row{}
	r.Grow(len(words))
	for word := range words {
		r.Put(word, lattice.MaxOf(counts[word]))
	}
	return r
}

// sumsOf adds the rows up: the question that all of it was for.
func sumsOf(t *tally) map[string]int64 {
	var sums map[string]int64
	for _, r := range t.All() {
		if sums == nil {
			sums = make(map[string]int64, 2*r.Len())
		}
		for word, n := range r.All() {
			sums[word] += n.Value()
		}
	}
	return sums
}
