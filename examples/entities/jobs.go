package main

import (
	"bufio"
	"strings"
	"unicode"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/go-calm/calm/shard"
	"github.com/go-calm/calm/shard/entity"
)

// account is the state of an entity.
type account struct {
	In, Out int64 // amounts paid to and by it
	Events  int64 // messages handled
	Last    int64 // number of the last message from outside
	Wrong   int64 // messages from outside that did not have the next number
}

// payment is a message: of Amount, to be passed on to To unless that is empty. Those from outside are
// numbered from 1 for each key.
type payment struct {
	To     string
	Amount int64
	Number int64
}

// handle is all the logic there is. It needs no lock, and what it sends goes out only with what it
// changes: debit and credit are one transaction though their states are on two nodes.
func handle(t *entity.Turn[account, payment], p payment) error {
	a := t.State
	a.Events++
	if p.Number > 0 {
		if p.Number != a.Last+1 {
			a.Wrong++
		}
		a.Last = p.Number
	}
	if p.To == "" {
		a.In += p.Amount
		return nil
	}
	a.Out += p.Amount
	t.Send(p.To, payment{Amount: p.Amount})
	return nil
}

// event is a message and the key it goes to.
type event struct {
	key string
	payment
}

// job says what messages a line leads to.
type job func(line string, send func(event))

var jobs = map[string]job{"accounts": accounts, "words": words}

func accounts(line string, send func(event)) {
	l, err := accesslog.Parse(line)
	if err != nil {
		l.Visitor, l.Page, l.Bytes = "nobody", "damaged lines", int64(len(line))
	}
	send(event{"visitor " + l.Visitor, payment{To: "page " + l.Page, Amount: l.Bytes}})
}

func words(line string, send func(event)) {
	for word := range strings.FieldsFuncSeq(line, func(r rune) bool { return !unicode.IsLetter(r) }) {
		send(event{strings.ToLower(word), payment{Amount: 1}})
	}
}

// deal says what each reader sends. All messages to a key are one reader's, so that there is an order in
// which they are sent.
func deal(lines []string, do job, readers int) [][]event {
	work := make([][]event, readers)
	number := map[string]int64{}
	for _, line := range lines {
		do(line, func(e event) {
			number[e.key]++
			e.Number = number[e.key]
			r := shard.JumpBack(shard.Hash(e.key, 1), readers)
			work[r] = append(work[r], e)
		})
	}
	return work
}

// recount does the work in one goroutine.
func recount(work [][]event) map[string]account {
	all := map[string]account{}
	for _, events := range work {
		for _, e := range events {
			a := all[e.key]
			a.Events++
			a.Last = e.Number
			if e.To == "" {
				a.In += e.Amount
			} else {
				a.Out += e.Amount
			}
			all[e.key] = a
			if e.To != "" {
				to := all[e.To]
				to.Events++
				to.In += e.Amount
				all[e.To] = to
			}
		}
	}
	return all
}

func readLines(in accesslog.Input) (lines []string, err error) {
	s, err := in.Open()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	scan := bufio.NewScanner(s)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		lines = append(lines, scan.Text())
	}
	return lines, scan.Err()
}
