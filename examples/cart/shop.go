package main

import (
	"context"
	_ "embed"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/go-calm/calm/examples/internal/cutnet"
	"github.com/go-calm/calm/examples/internal/replica"
)

//go:embed page.html
var page []byte

// shop is two nodes, a network between them that can be cut, and a page that shows both. The nodes
// share nothing but the network; each could as well be on a machine of its own.
type shop struct {
	nodes   [2]*node
	network cutnet.Network
	server  *http.Server
	url     string
}

var sides = [2]string{"left", "right"}

// newShop starts it, and waits until the nodes know each other.
func newShop(ctx context.Context, addr string) (*shop, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &shop{url: "http://" + listener.Addr().String()}
	mux := http.NewServeMux()
	cfg := replica.Config{Bind: "127.0.0.1:0", Network: &s.network}
	for i, side := range sides {
		cfg.Name = side
		if s.nodes[i], err = newNode(cfg); err != nil {
			s.close()
			return nil, errors.Join(err, listener.Close())
		}
		cfg.Join = []string{s.nodes[i].Addr()}
		mux.Handle("/"+side+"/", http.StripPrefix("/"+side, s.nodes[i].handler()))
	}
	mux.HandleFunc("POST /cut", func(http.ResponseWriter, *http.Request) {
		s.network.Cut([]string{s.nodes[0].Addr()}, []string{s.nodes[1].Addr()})
	})
	mux.HandleFunc("POST /heal", func(http.ResponseWriter, *http.Request) { s.network.Heal() })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })

	wait, stop := context.WithTimeout(ctx, 15*time.Second)
	defer stop()
	for len(s.nodes[0].Peers()) == 0 || len(s.nodes[1].Peers()) == 0 {
		select {
		case <-time.After(time.Millisecond):
		case <-wait.Done():
			s.close()
			return nil, errors.Join(errors.New("the nodes did not find each other"), listener.Close())
		}
	}
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // until close
	return s, nil
}

func (s *shop) close() {
	if s.server != nil {
		_ = s.server.Close()
	}
	for _, n := range s.nodes {
		if n != nil {
			_ = n.Close()
		}
	}
}
