package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

// carts is the replicated state: the actions of each cart, a set that only grows.
type carts = crdt.Map[string, *crdt.GSet[string]]

// action is one click. Session and N name it, so that a click that is sent again, to whatever node,
// is the same click.
type action struct {
	Session string `json:"session"`
	N       uint64 `json:"n"` // 1, 2, 3, … of a session
	Item    string `json:"item"`
	Count   int    `json:"count"` // below zero to remove
}

// String is the action as an element of the set.
func (a action) String() string { return fmt.Sprintf("%s %d %d %s", a.Session, a.N, a.Count, a.Item) }

// parseAction reads what String wrote.
func parseAction(s string) (a action, err error) {
	parts := strings.SplitN(s, " ", 4)
	if len(parts) != 4 {
		return action{}, errors.New("no action")
	}
	a.Session, a.Item = parts[0], parts[3]
	if a.N, err = strconv.ParseUint(parts[1], 10, 64); err != nil {
		return action{}, err
	}
	a.Count, err = strconv.Atoi(parts[2])
	return a, err
}

const (
	maxName  = 64
	maxCount = 1000
)

// check refuses what no page sends.
func (a action) check() error {
	switch {
	case a.Session == "" || len(a.Session) > maxName || strings.ContainsAny(a.Session, " \n"):
		return errors.New("a session is a word")
	case a.N == 0 || a.N > 1<<32:
		return errors.New("n counts from 1")
	case a.Item == "" || len(a.Item) > maxName:
		return errors.New("an item has a name")
	case a.Count == 0 || a.Count > maxCount || a.Count < -maxCount:
		return errors.New("count is not 0, and at most 1000")
	}
	return nil
}

// manifest says which actions there are: of each session, those from 1 to a number. The shopper
// writes it, who alone knows.
type manifest map[string]uint64

// receipt is what a checkout answers.
type receipt struct {
	Items   []line `json:"items"`
	Actions int    `json:"actions"`           // that it is the sum of
	Sealed  bool   `json:"sealed"`            // every node that answers this manifest answers this
	Missing string `json:"missing,omitempty"` // of the manifest, if the node must not answer yet
}

type line struct {
	Item  string `json:"item"`
	Count int    `json:"count"`
}

// String is how people read it.
func (r receipt) String() string {
	if r.Missing != "" {
		return "no answer yet; missing: " + r.Missing
	}
	if len(r.Items) == 0 {
		return "nothing"
	}
	var all []string
	for _, l := range r.Items {
		all = append(all, fmt.Sprintf("%d %s", l.Count, l.Item))
	}
	return strings.Join(all, ", ")
}

// snapshot adds up what a node happens to know. It is a snapshot read: more merging may revoke it.
func snapshot(actions *crdt.GSet[string]) receipt {
	return add(actions, func(action) bool { return true })
}

// checkout adds up what the manifest names, if all of it is there. Once it is, it stays so, and
// whatever else the node learns, the answer is the same: this is a monotone read.
func checkout(actions *crdt.GSet[string], m manifest) receipt {
	want, have := clock.VectorOf(m), clock.Context[string]{}
	for text := range actions.All() {
		if a, err := parseAction(text); err == nil {
			have.Add(clock.Dot[string]{Node: a.Session, N: a.N})
		}
	}
	if all := clock.ContextOf(want); !have.Contains(all) {
		missing := all.Since(have)
		return receipt{Missing: missing.String()}
	}
	r := add(actions, func(a action) bool { return a.N <= m[a.Session] })
	r.Sealed = true
	return r
}

// add adds up the actions that count.
func add(actions *crdt.GSet[string], counts func(action) bool) receipt {
	r := receipt{Items: []line{}}
	sums := map[string]int{}
	for text := range actions.All() {
		if a, err := parseAction(text); err == nil && counts(a) {
			sums[a.Item] += a.Count
			r.Actions++
		}
	}
	for _, item := range slices.Sorted(maps.Keys(sums)) {
		if sums[item] > 0 {
			r.Items = append(r.Items, line{item, sums[item]})
		}
	}
	return r
}

// String is how people read it, the same for the same manifest.
func (m manifest) String() string {
	b, _ := json.Marshal(m) // of strings and numbers: no error
	return string(b)
}
