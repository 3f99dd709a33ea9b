package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/journal"
	"github.com/go-calm/calm/examples/internal/cutnet"
	"github.com/go-calm/calm/examples/internal/replica"
)

type nodeConfig struct {
	dir, bind, http string
	join            []string
	stock, share    uint64
	window          time.Duration
	cuttable        bool
}

// node is one process: a stock and a limit, an API, and what it says to the others.
//
//	POST /buy    a piece: 200, or 409 if this node has no right to one, or 410 if all are sold
//	POST /call   a call: 200, or 429
//	GET  /       how it is
type node struct {
	*replica.Replica // its lock guards what follows
	stock            stock
	journal          *journal.Journal
	limit            *limit
	clock            *clock.Clock
	asked            map[string]time.Time // when the others were asked last, by what for
}

// message is what nodes say to each other, besides what makes their stocks equal.
type message struct {
	At     clock.Timestamp `json:"at"`
	Ask    string          `json:"ask,omitempty"` // for rights: askStock or askCalls
	Window int64           `json:"window,omitempty"`
	Lent   []byte          `json:"lent,omitempty"` // permits of the window, as a delta
}

const (
	askStock = "stock"
	askCalls = "calls"
	askEvery = 5 * time.Millisecond
)

// serve runs a node until ctx is done.
func serve(ctx context.Context, cfg nodeConfig, out io.Writer) error {
	j, err := journal.Open(cfg.dir, journal.Options{})
	if err != nil {
		return err
	}
	defer j.Close()
	left := crdt.NewBoundedCounter(j.Replica())
	if err := j.Restore(left.Store()); err != nil {
		return err
	}
	if left.Store().Digest().IsZero() { // the first start
		if left.Add(cfg.stock); left.Store().Err() != nil {
			return left.Store().Err()
		}
	}

	n := &node{stock: stock{left: left}, journal: j, clock: clock.New(), asked: map[string]time.Time{}}
	n.limit = newLimit(j.Replica(), cfg.share, cfg.window, n.clock.Now())
	var network cutnet.Network
	n.Replica, err = replica.Start(replica.Config{
		Store: left.Store(), Bind: cfg.bind, Join: cfg.join, Network: &network, Receive: n.receive,
	})
	if err != nil {
		return err
	}
	defer n.Close()

	listener, err := net.Listen("tcp", cfg.http)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /buy", n.buy)
	mux.HandleFunc("POST /call", n.call)
	mux.HandleFunc("GET /{$}", n.show)
	if cfg.cuttable {
		mux.HandleFunc("POST /cut", func(w http.ResponseWriter, r *http.Request) {
			var sides [][]string
			if err := json.NewDecoder(r.Body).Decode(&sides); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			network.Cut(sides...)
		})
		mux.HandleFunc("POST /heal", func(http.ResponseWriter, *http.Request) { network.Heal() })
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Fprintf(out, "http://%s gossip %s\n", listener.Addr(), n.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// buy sells a piece. It is in the journal before the buyer hears of it.
func (n *node) buy(w http.ResponseWriter, _ *http.Request) {
	var soldOut bool
	err := n.Do(func() error {
		err := n.stock.sell()
		soldOut = n.stock.soldOut()
		if n.journal.Due() {
			_ = n.journal.Snapshot() // what was sold is safe as it is; the next buyer has it tried again
		}
		if n.stock.short() {
			n.ask(message{Ask: askStock})
		}
		return err
	})
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case !errors.Is(err, crdt.ErrBound):
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case soldOut:
		http.Error(w, "all are sold", http.StatusGone)
	default:
		http.Error(w, "no right to sell one, here and now", http.StatusConflict)
	}
}

// call admits a call, and says in which window.
func (n *node) call(w http.ResponseWriter, _ *http.Request) {
	var window int64
	var ok bool
	n.View(func() {
		window, ok = n.limit.admit(n.clock.Now())
		if n.limit.short() {
			n.ask(message{Ask: askCalls, Window: window})
		}
	})
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		w.WriteHeader(http.StatusTooManyRequests)
	}
	fmt.Fprintf(w, `{"window":%d}`, window)
}

// state is how a node is.
type state struct {
	Left   uint64 `json:"left"`   // pieces, as far as it knows
	Rights uint64 `json:"rights"` // to sell one
	Peers  int    `json:"peers"`
}

func (n *node) show(w http.ResponseWriter, _ *http.Request) {
	s := state{Peers: len(n.Peers())}
	n.View(func() { s.Left, s.Rights = n.stock.left.Value(), n.stock.left.Rights() })
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s) // who asked may be gone
}

// ask asks all others for rights, unless it has just done so. Nobody waits for the answer.
func (n *node) ask(m message) {
	if time.Since(n.asked[m.Ask]) < askEvery {
		return
	}
	n.asked[m.Ask] = time.Now()
	m.At = n.clock.Now()
	n.Broadcast(encode(m))
}

// receive answers those who ask, and takes what is lent.
func (n *node) receive(r *replica.Replica, from crdt.ReplicaID, b []byte) {
	var m message
	if json.Unmarshal(b, &m) != nil {
		return
	}
	// Who hears from a later window is in that window, too.
	now, err := n.clock.Observe(m.At)
	if err != nil {
		return
	}
	switch {
	case m.Ask == askStock:
		_ = n.stock.give(from) // what the journal refuses was not given
	case m.Ask == askCalls:
		if d, ok := n.limit.lend(now, m.Window, from); ok {
			lent, _ := d.MarshalBinary() // it fails never
			r.Send(from, encode(message{At: now, Window: m.Window, Lent: lent}))
		}
	case len(m.Lent) > 0:
		if d, err := crdt.ParseDelta(m.Lent, crdt.Limits{Bytes: 4 << 10}); err == nil {
			n.limit.take(now, m.Window, d)
		}
	}
}

// encode never fails: messages are made of strings, numbers and bytes.
func encode(m message) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
