package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-calm/calm/examples/internal/term"
)

// statusPage is all of the status page: it asks for /state again and again and draws it.
//
//go:embed page.html
var statusPage []byte

// web is a node's HTTP endpoint.
type web struct {
	node     *node
	server   *http.Server
	listener net.Listener
	done     sync.WaitGroup

	mu     sync.Mutex // adding up a large state takes a while, so it is not done for every question
	last   status
	lastAt time.Time
}

// staleAfter is how old an answer may be.
const staleAfter = 250 * time.Millisecond

// newWeb listens at addr.
func newWeb(n *node, addr string) (*web, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &web{node: n, listener: listener}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", w.page)
	mux.HandleFunc("GET /state", w.state)
	mux.HandleFunc("GET /metrics", w.metrics)
	w.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	return w, nil
}

// url is where a person looks.
func (w *web) url() string { return "http://" + w.listener.Addr().String() + "/" }

// serve answers until close. The node must have been started.
func (w *web) serve() {
	w.done.Go(func() {
		if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(w.node.cfg.log, "traffic: http: %v\n", err)
		}
	})
}

func (w *web) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		w.server.Close()
	}
	w.listener.Close() // if it was never served
	w.done.Wait()
}

func (w *web) page(rw http.ResponseWriter, _ *http.Request) {
	h := rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	// What is shown comes out of a log that anybody can write to. The page puts it in as text; this
	// is the second line of defense.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = rw.Write(statusPage) // who went away needs no answer
}

func (w *web) state(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "application/json")
	rw.Header().Set("Cache-Control", "no-store")
	enc := json.NewEncoder(rw)
	enc.SetIndent("", "  ")
	_ = enc.Encode(w.status())
}

// status is what /state answers.
type status struct {
	Node      string       `json:"node"`
	Replica   string       `json:"replica"`
	Address   string       `json:"address"`
	Converged bool         `json:"converged"` // every peer that is there showed the same state lately
	Totals    totals       `json:"totals"`
	Ingest    ingestStatus `json:"ingest"`
	Gossip    gossipStatus `json:"gossip"`
	Nodes     []nodeStatus `json:"nodes"` // this one first
}

type ingestStatus struct {
	Lines      int64    `json:"lines"`
	Malformed  int64    `json:"malformed"`
	BadLines   []string `json:"bad_lines"` // the first few of them
	Queued     int      `json:"queued"`
	Full       string   `json:"full"` // what happens when a queue is
	Dropped    int64    `json:"dropped"`
	Saves      int      `json:"saves"`
	Unsaved    int64    `json:"unsaved_lines"` // read, and not in the journal
	SaveFailed string   `json:"save_failed,omitempty"`
}

type gossipStatus struct {
	Members        int      `json:"members"`
	Missing        []string `json:"missing"` // nodes that are waited for: replica's name and node's
	PacketsSent    uint64   `json:"packets_sent"`
	StreamsOpened  uint64   `json:"streams_opened"`
	BytesSent      uint64   `json:"bytes_sent"`
	PacketsDropped uint64   `json:"packets_dropped"`
	StreamsRefused uint64   `json:"streams_refused"`
	Refused        uint64   `json:"refused_messages"`
}

type nodeStatus struct {
	beat
	Address string  `json:"address"`
	Equal   bool    `json:"equal"` // to this node
	Age     float64 `json:"age_seconds"`
}

// goneAfter is how old a peer's last beat may be for the peer to count as there.
const goneAfter = 3 * time.Second

// status puts together what is shown.
func (w *web) status() status {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.lastAt) < staleAfter {
		return w.last
	}
	w.last = w.node.status()
	w.lastAt = time.Now()
	return w.last
}

const topShown = 10

// status puts together what is shown of a node.
func (n *node) status() status {
	s := status{Node: n.cfg.name, Replica: n.id.String(), Address: n.agent.Addr(), Converged: true}
	n.view(func(v *site) {
		s.Totals = v.totals(topShown)
		s.Nodes = []nodeStatus{{beat: n.beat(), Address: s.Address, Equal: true}}
		s.Ingest = ingestStatus{
			Lines: n.in.lines.Load(), Malformed: n.in.malformed.Load(), BadLines: []string{},
			Queued: n.in.queued(), Full: string(n.cfg.full), Dropped: n.in.dropped.n.Load(),
			Saves: n.saves,
		}
		if n.cfg.dir != "" {
			s.Ingest.Unsaved = s.Ingest.Lines - n.saved.lines
		}
		if n.saveErr != nil {
			s.Ingest.SaveFailed = n.saveErr.Error()
		}
		s.Gossip.Refused, s.Gossip.Missing = n.refused, n.missing()
	})
	for _, b := range n.in.firstBad().first {
		s.Ingest.BadLines = append(s.Ingest.BadLines, fmt.Sprintf("%s: %s", b.err, term.Printable(b.text)))
	}
	for _, p := range n.peerList() {
		age := time.Since(p.beatAt)
		equal := p.beat.Fingerprint == s.Nodes[0].Fingerprint
		if p.beatAt.IsZero() {
			p.beat.Node, age = p.card.Name, 0
		}
		s.Converged = s.Converged && equal && age < goneAfter
		s.Nodes = append(s.Nodes, nodeStatus{p.beat, p.Addr, equal, age.Seconds()})
	}
	t := n.agent.Traffic()
	s.Gossip.Members = n.agent.Members()
	s.Gossip.PacketsSent, s.Gossip.StreamsOpened, s.Gossip.BytesSent = t.PacketsSent, t.StreamsOpened, t.Bytes()
	s.Gossip.PacketsDropped, s.Gossip.StreamsRefused = t.PacketsDropped, t.StreamsRefused
	return s
}

// metrics answers in Prometheus' text format. Pages are not told one by one: anybody who can make a
// request can make a new one, and a time series for each would be theirs to multiply.
func (w *web) metrics(rw http.ResponseWriter, _ *http.Request) {
	s := w.status()
	rw.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	var b strings.Builder
	put := func(name, kind, help string, value any) {
		fmt.Fprintf(&b, "# HELP traffic_%s %s\n# TYPE traffic_%s %s\ntraffic_%s %v\n", name, help, name, kind, name, value)
	}
	put("requests", "gauge", "Requests counted on all nodes, as this node knows it.", s.Totals.Requests)
	put("response_bytes", "gauge", "Bytes of their responses.", s.Totals.Bytes)
	put("pages", "gauge", "Pages requested.", s.Totals.Pages)
	put("visitors", "gauge", "Unique visitors.", s.Totals.Visitors)
	fmt.Fprint(&b, "# HELP traffic_responses Responses by class of status.\n# TYPE traffic_responses gauge\n")
	for _, class := range classNames {
		if n, ok := s.Totals.Classes[class]; ok {
			fmt.Fprintf(&b, "traffic_responses{class=%q} %d\n", class, n)
		}
	}
	put("lines_total", "counter", "Lines that this node took in.", s.Ingest.Lines)
	put("malformed_lines_total", "counter", "Of these, lines that are no requests.", s.Ingest.Malformed)
	put("dropped_requests_total", "counter", "Of these, requests dropped because a queue was full.", s.Ingest.Dropped)
	put("queued_requests", "gauge", "Requests waiting in the queues.", s.Ingest.Queued)
	put("unsaved_lines", "gauge", "Lines that were read and are not in the journal.", s.Ingest.Unsaved)
	put("saves_total", "counter", "How often what was counted was saved.", s.Ingest.Saves)
	put("gossip_members", "gauge", "Members thought to be alive, with this one.", s.Gossip.Members)
	put("missing_nodes", "gauge", "Nodes that are not here and that will be back, or are to be retired.", len(s.Gossip.Missing))
	put("gossip_sent_bytes_total", "counter", "Bytes sent to other nodes.", s.Gossip.BytesSent)
	put("gossip_sent_packets_total", "counter", "Packets sent to other nodes.", s.Gossip.PacketsSent)
	put("gossip_streams_total", "counter", "Streams opened to other nodes.", s.Gossip.StreamsOpened)
	put("gossip_dropped_packets_total", "counter", "Packets dropped by a cut.", s.Gossip.PacketsDropped)
	put("gossip_refused_streams_total", "counter", "Streams refused by a cut.", s.Gossip.StreamsRefused)
	put("gossip_refused_messages_total", "counter", "Messages that made no sense.", s.Gossip.Refused)
	put("converged", "gauge", "1 if every node showed the state of this one lately.", map[bool]int{true: 1}[s.Converged])
	fmt.Fprint(rw, b.String())
}
