package main

import "time"

// alone counts in a single thread. It is what a program is before it is distributed.
func alone(t text, _ int) (outcome, error) {
	o := outcome{counts: map[string]int64{}}
	begin := time.Now()
	eachWord(t.pieces, func(word string, begin time.Time) {
		o.counts[word]++
		o.waits.since(begin)
	})
	o.took = time.Since(begin)
	return o, nil
}
