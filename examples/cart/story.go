package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-calm/calm/examples/internal/term"
)

// story is a shopper who comes by at a bad moment, told by what the nodes answer.
func story(ctx context.Context, url string, out io.Writer) error {
	s := &shopper{ctx: ctx, url: url, session: "s1"}
	tell := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }

	tell("the shopper clicks on the left node")
	s.click("left", "milk", 2)
	s.click("left", "bread", 1)
	tell("  + 2 milk, + 1 bread")
	s.untilEqual()
	tell("  the right node knows: %s", s.show("right"))

	tell("the network is cut, and the shopper's next clicks go wherever they get through")
	s.post("/cut", nil)
	s.click("left", "milk", -1)
	tell("  left:  − 1 milk")
	s.click("right", "eggs", 6)
	tell("  right: + 6 eggs")
	s.again("left") // the answer got lost, so the page asks the other node
	tell("  left:  + 6 eggs, the same click once more, for its answer got lost")
	s.click("right", "bread", -1)
	tell("  right: − 1 bread")

	tell("checking out without a seal, each node answers what it happens to know")
	left, right := s.checkout("left", nil, 0), s.checkout("right", nil, 0)
	tell("  left:  %s", left)
	tell("  right: %s", right)
	if left.String() == right.String() {
		s.fail(errors.New("the cut did not keep the nodes apart"))
	}
	tell("  two receipts for one cart, and none of them right")

	m := manifest{s.session: s.n}
	tell("checking out with the manifest %s, a node answers when it holds all of it", m)
	left, right = s.checkout("left", m, 0), s.checkout("right", m, 0)
	tell("  left:  %s", left)
	tell("  right: %s", right)
	if left.Sealed || right.Sealed {
		s.fail(errors.New("a node answered for what it did not hold"))
	}

	tell("the cut heals, and both answer as soon as they can, without asking each other")
	s.post("/heal", nil)
	begin := time.Now()
	left, right = s.checkout("left", m, 30), s.checkout("right", m, 30)
	tell("  left:  %s", left)
	tell("  right: %s", right)
	tell("  after %s", term.Took(time.Since(begin)))

	tell("what is clicked after the seal changes no receipt")
	s.click("left", "caviar", 9)
	later := s.checkout("left", m, 30)
	tell("  left:  %s, and the cart: %s", later, s.show("left"))
	for _, r := range []receipt{left, right, later} {
		if !r.Sealed || r.String() != "6 eggs, 1 milk" {
			s.fail(fmt.Errorf("a receipt says %s", r))
		}
	}
	return s.err
}

// shopper is what a page is: it knows what was clicked. After an error it does nothing any more.
type shopper struct {
	ctx     context.Context
	url     string
	session string
	n       uint64 // clicks
	last    action
	err     error
}

func (s *shopper) fail(err error) { s.err = errors.Join(s.err, err) }

func (s *shopper) click(side, item string, count int) {
	s.n++
	s.last = action{s.session, s.n, item, count}
	s.again(side)
}

// again sends the last click, perhaps for the second time.
func (s *shopper) again(side string) { s.post("/"+side+"/cart/main", s.last) }

// show is what a node happens to know.
func (s *shopper) show(side string) (r receipt) {
	s.do(http.MethodGet, "/"+side+"/cart/main", nil, &r)
	return r
}

// checkout asks for a receipt, and waits for it for some seconds.
func (s *shopper) checkout(side string, m manifest, wait int) (r receipt) {
	var body any
	if m != nil {
		body = m
	}
	s.do(http.MethodPost, fmt.Sprintf("/%s/checkout/main?wait=%d", side, wait), body, &r)
	return r
}

// untilEqual waits until the right node holds what was clicked so far.
func (s *shopper) untilEqual() { s.checkout("right", manifest{s.session: s.n}, 30) }

func (s *shopper) post(path string, body any) { s.do(http.MethodPost, path, body, nil) }

// do sends a request, and reads the answer into a value, if there is one.
func (s *shopper) do(method, path string, body, into any) {
	if s.err != nil {
		return
	}
	var b io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			s.fail(err)
			return
		}
		b = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.ctx, method, s.url+path, b)
	if err != nil {
		s.fail(err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.fail(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusConflict {
		text, _ := io.ReadAll(resp.Body)
		s.fail(fmt.Errorf("%s: %s: %s", path, resp.Status, bytes.TrimSpace(text)))
		return
	}
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			s.fail(fmt.Errorf("%s: %w", path, err))
		}
	}
}
