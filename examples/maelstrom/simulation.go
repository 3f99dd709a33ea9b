package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/examples/internal/term"
)

// simulation is Maelstrom in small: clients, and a network that loses, delays, overtakes and cuts,
// in one goroutine and with a time of its own. The same seed gives the same run.
type simulation struct {
	nodes, operations, latency int
	loss                       float64
	partition                  bool
	seed                       uint64
	progress                   *term.Progress
}

// outcome is what a run came to.
type outcome struct {
	answered, whileCut            int
	messages, lost, cutOff, bytes int // between nodes
	equalAfter                    int // ticks since the last request
}

// run is one workload from init to the last read, and an error if it did not go as it should.
func (s simulation) run(workload string) (outcome, error) {
	w := &world{
		simulation: s, rng: rand.New(rand.NewPCG(s.seed, 0)), time: clock.NewFake(0), arrivals: map[int][]message{},
		client: newClient(workload),
	}
	w.begin(workload)
	const gap = 2 // ticks from request to request
	end := s.operations * gap
	for ; w.now < end; w.step() {
		w.cut = s.partition && w.now > end/3 && w.now < 2*end/3
		if w.now%gap == 0 {
			if err := w.request(w.rng.IntN(s.nodes)); err != nil {
				return w.outcome, err
			}
		}
		if w.now%100 == 0 {
			s.progress.Show(fmt.Sprintf("%s: %d of %d requests", workload, w.answered, s.operations))
		}
	}
	w.cut = false
	for patience := end + 10_000; ; w.step() {
		wrong := w.client.check(w.nodes)
		if wrong == nil {
			w.equalAfter = w.now - end
			return w.outcome, nil
		}
		if w.now > patience {
			return w.outcome, fmt.Errorf("not after %d ticks: %w", w.now-end, wrong)
		}
	}
}

// world is a run under way.
type world struct {
	simulation
	outcome
	rng      *rand.Rand
	time     *clock.Fake
	now      int
	cut      bool
	nodes    []*node
	arrivals map[int][]message // by the tick in which they arrive
	client   *client
}

// begin starts the nodes and gives them a topology: a line, so that all must pass messages on.
func (w *world) begin(workload string) {
	var ids []string
	for i := range w.simulation.nodes {
		ids = append(ids, fmt.Sprintf("n%d", i+1))
	}
	line := map[string][]string{}
	for i, id := range ids {
		line[id] = append(append([]string{}, ids[max(0, i-1):i]...), ids[i+1:min(len(ids), i+2)]...)
	}
	for _, id := range ids {
		n := newNode(workload, clock.New(clock.WithSource(w.time)))
		n.receive(encode(message{"c0", id, encode(reply{"type": "init", "msg_id": 1, "node_id": id, "node_ids": ids})}))
		if workload == "broadcast" {
			n.receive(encode(message{"c0", id, encode(reply{"type": "topology", "msg_id": 2, "topology": line})}))
		}
		w.nodes = append(w.nodes, n)
	}
}

// request has a client ask a node, and takes the answer, which must come at once.
func (w *world) request(i int) error {
	body := w.client.next(w.rng)
	out := w.nodes[i].receive(encode(message{"c1", w.nodes[i].id, encode(body)}))
	answered := false
	for _, m := range out {
		if m.Dest != "c1" {
			w.send(m)
			continue
		}
		answered = true
		if err := w.client.take(w.nodes[i].id, m.Body); err != nil {
			return err
		}
	}
	if !answered {
		return fmt.Errorf("%s did not answer %s", w.nodes[i].id, encode(body))
	}
	w.answered++
	if w.cut {
		w.whileCut++
	}
	return nil
}

// step lets a tick pass: messages arrive, and nodes notice the time.
func (w *world) step() {
	w.now++
	w.time.Advance(time.Millisecond)
	for _, m := range w.arrivals[w.now] {
		for _, n := range w.nodes {
			if n.id == m.Dest {
				w.sendAll(n.receive(encode(m)))
			}
		}
	}
	delete(w.arrivals, w.now)
	for _, n := range w.nodes {
		w.sendAll(n.tick())
	}
}

func (w *world) sendAll(all []message) {
	for _, m := range all {
		w.send(m)
	}
}

// send puts a message on its way, unless it is lost.
func (w *world) send(m message) {
	w.messages++
	w.bytes += len(m.Body)
	switch {
	case w.cut && w.side(m.Src) != w.side(m.Dest):
		w.cutOff++
	case w.rng.Float64() < w.loss:
		w.lost++
	default:
		at := w.now + 1 + w.rng.IntN(w.latency)
		w.arrivals[at] = append(w.arrivals[at], m)
	}
}

// side is on which side of the cut a node is.
func (w *world) side(id string) bool {
	for i, n := range w.nodes {
		if n.id == id {
			return i < (len(w.nodes)+1)/2
		}
	}
	return false
}

// client makes requests, remembers what was acknowledged, and judges what nodes say.
type client struct {
	workload string
	made     int
	last     reply           // the request under way
	elements map[string]bool // that were acknowledged
	sum      int64
	ids      map[string]bool
	seen     map[string]int // how many elements each node has shown
}

func newClient(workload string) *client {
	return &client{workload: workload, elements: map[string]bool{}, ids: map[string]bool{}, seen: map[string]int{}}
}

// next is the next request: one in four reads, where there is something to read.
func (c *client) next(rng *rand.Rand) reply {
	c.made++
	r := reply{"type": "read", "msg_id": c.made}
	switch reads := rng.IntN(4) == 0; {
	case c.workload == "unique-ids":
		r["type"] = "generate"
	case reads:
	case c.workload == "broadcast":
		r["type"], r["message"] = "broadcast", c.made
	case c.workload == "g-set":
		r["type"], r["element"] = "add", c.made
	case c.workload == "pn-counter":
		r["type"], r["delta"] = "add", int64(rng.IntN(11)-5)
	}
	c.last = r
	return r
}

// answered is what any answer holds.
type answered struct {
	Type      string          `json:"type"`
	InReplyTo int             `json:"in_reply_to"`
	ID        string          `json:"id"`
	Value     json.RawMessage `json:"value"`
	Messages  json.RawMessage `json:"messages"`
}

// take judges an answer to the last request.
func (c *client) take(node string, body []byte) error {
	var a answered
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	if a.Type != fmt.Sprint(c.last["type"], "_ok") || a.InReplyTo != c.last["msg_id"] {
		return fmt.Errorf("%s answers %s with %s", node, encode(c.last), body)
	}
	switch a.Type {
	case "generate_ok":
		if c.ids[a.ID] {
			return fmt.Errorf("%s issues %s, which was issued before", node, a.ID)
		}
		c.ids[a.ID] = true
	case "broadcast_ok":
		c.elements[fmt.Sprint(c.last["message"])] = true
	case "add_ok":
		if d, ok := c.last["delta"].(int64); ok {
			c.sum += d
		} else {
			c.elements[fmt.Sprint(c.last["element"])] = true
		}
	case "read_ok":
		if c.workload == "pn-counter" {
			return nil
		}
		shown, err := c.elementsOf(a)
		if err == nil && len(shown) < c.seen[node] {
			err = fmt.Errorf("%s shows %d elements, and had shown %d", node, len(shown), c.seen[node])
		}
		c.seen[node] = len(shown)
		return err
	}
	return nil
}

// elementsOf reads the elements of an answer, all of which must have been acknowledged.
func (c *client) elementsOf(a answered) (map[string]bool, error) {
	list := a.Value
	if c.workload == "broadcast" {
		list = a.Messages
	}
	var elements []json.Number
	if err := json.Unmarshal(list, &elements); err != nil {
		return nil, err
	}
	shown := map[string]bool{}
	for _, e := range elements {
		if !c.elements[e.String()] || shown[e.String()] {
			return nil, fmt.Errorf("%s was never added, or is there twice", e)
		}
		shown[e.String()] = true
	}
	return shown, nil
}

// check reads every node, and reports the first that lacks anything.
func (c *client) check(nodes []*node) error {
	if c.workload == "unique-ids" {
		return nil
	}
	for _, n := range nodes {
		out := n.receive(encode(message{"c1", n.id, encode(reply{"type": "read", "msg_id": 1})}))
		var a answered
		if err := json.Unmarshal(out[0].Body, &a); err != nil {
			return err
		}
		if c.workload == "pn-counter" {
			if got := strings.TrimSpace(string(a.Value)); got != fmt.Sprint(c.sum) {
				return fmt.Errorf("%s counts %s, not %d", n.id, got, c.sum)
			}
			continue
		}
		shown, err := c.elementsOf(a)
		if err != nil {
			return err
		}
		if len(shown) != len(c.elements) {
			return fmt.Errorf("%s has %d of %d elements", n.id, len(shown), len(c.elements))
		}
	}
	return nil
}
