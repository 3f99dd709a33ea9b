package main

import (
	"bufio"
	"encoding/gob"
	"io"
	"slices"
	"time"

	"github.com/go-calm/calm/crdt"
)

// work is a process that counts its share of the text, and sends news of it.
func work(stdin io.Reader, stdout io.Writer) error {
	in, out := bufio.NewReader(stdin), gob.NewEncoder(stdout)
	var j job
	if err := gob.NewDecoder(in).Decode(&j); err != nil {
		return err
	}
	if err := out.Encode(news{}); err != nil { // ready
		return err
	}
	if _, err := in.ReadByte(); err != nil {
		return err
	}
	count := tell
	if j.Ask {
		count = ask
	}
	w, err := count(j, in, out)
	if err != nil {
		return err
	}
	return out.Encode(news{Done: true, Waits: w})
}

// ask has the coordinator count each word.
func ask(j job, in *bufio.Reader, out *gob.Encoder) (w waits, err error) {
	eachWord(j.Text, func(word string, begin time.Time) {
		if err == nil {
			err = out.Encode(news{Word: word})
		}
		if err == nil {
			_, err = in.ReadByte()
		}
		w.since(begin)
	})
	return w, err
}

// tell counts into its own replica, and says now and then what is new there.
func tell(j job, _ *bufio.Reader, out *gob.Encoder) (w waits, err error) {
	replica := crdt.Open[*counts](j.Replica)
	fresh := map[string]int64{}
	for pieces := range slices.Chunk(j.Text, j.Every) {
		eachWord(pieces, func(word string, begin time.Time) {
			fresh[word]++
			w.since(begin)
		})
		delta := replica.Store().Update(func() {
			for word, n := range fresh {
				replica.At(word).Add(n)
			}
		})
		clear(fresh)
		b, err := delta.MarshalBinary()
		if err != nil {
			return nil, err
		}
		if err := out.Encode(news{Delta: b}); err != nil {
			return nil, err
		}
	}
	return w, nil
}
