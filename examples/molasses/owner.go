package main

import (
	"sync"
	"time"
)

// toOwner sends each word to the one goroutine that has the map: no lock to be seen, and all the
// same one after the other.
func toOwner(t text, workers int) (outcome, error) {
	type message struct {
		word  string
		begin time.Time
	}
	begin := time.Now()
	words := make(chan message, 1024)
	var senders sync.WaitGroup
	for w := range workers {
		senders.Go(func() {
			eachWord(t.of(w, workers), func(word string, begin time.Time) { words <- message{word, begin} })
		})
	}
	go func() {
		senders.Wait()
		close(words)
	}()
	o := outcome{counts: map[string]int64{}}
	for m := range words {
		o.counts[m.word]++
		o.waits.since(m.begin)
	}
	o.took = time.Since(begin)
	return o, nil
}
