package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/replica"
)

// node is one of the two, as its HTTP API:
//
//	POST cart/{cart}      an action, as JSON
//	GET  cart/{cart}      what this node happens to know of it
//	POST checkout/{cart}  a receipt: for a manifest, as JSON, or without one of what the node knows
//
// It answers all of them by itself. A checkout of which it does not hold all that the manifest names
// waits for that, up to ?wait=SECONDS, and then answers 409 with what is missing.
type node struct {
	carts *carts
	*replica.Replica
}

func newNode(cfg replica.Config) (*node, error) {
	n := &node{carts: crdt.Open[*carts](crdt.NewReplicaID())}
	cfg.Store = n.carts.Store()
	var err error
	n.Replica, err = replica.Start(cfg)
	return n, err
}

func (n *node) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cart/{cart}", n.act)
	mux.HandleFunc("GET /cart/{cart}", n.show)
	mux.HandleFunc("POST /checkout/{cart}", n.checkout)
	return mux
}

// maxBody is how long a request may be.
const maxBody = 64 << 10

// act takes in an action, again and again if it is sent again: it is the same.
func (n *node) act(w http.ResponseWriter, r *http.Request) {
	var a action
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&a); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	if err := a.check(); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	err := n.Do(func() error {
		n.carts.At(r.PathValue("cart")).Add(a.String())
		return nil
	})
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// show answers with what this node knows, and a number that is equal on nodes that know the same.
func (n *node) show(w http.ResponseWriter, r *http.Request) {
	var shown struct {
		receipt
		State string `json:"state"`
	}
	n.View(func() { shown.receipt = snapshot(n.carts.At(r.PathValue("cart"))) })
	shown.State = fmt.Sprintf("%016x", n.Fingerprint())
	answer(w, http.StatusOK, shown)
}

// checkout answers with a receipt.
func (n *node) checkout(w http.ResponseWriter, r *http.Request) {
	cart := n.carts.At(r.PathValue("cart"))
	if r.ContentLength == 0 { // no manifest
		var got receipt
		n.View(func() { got = snapshot(cart) })
		answer(w, http.StatusOK, got)
		return
	}
	var m manifest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&m); err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	wait, err := strconv.ParseFloat(r.FormValue("wait"), 64)
	if r.FormValue("wait") != "" && (err != nil || wait < 0 || wait > 60) {
		fail(w, http.StatusBadRequest, errors.New("wait is a number of seconds, up to 60"))
		return
	}
	ctx, stop := context.WithTimeout(r.Context(), time.Duration(wait*float64(time.Second)))
	defer stop()
	var got receipt
	if err := n.Wait(ctx, func() bool {
		got = checkout(cart, m)
		return got.Sealed
	}); err != nil {
		answer(w, http.StatusConflict, got)
		return
	}
	answer(w, http.StatusOK, got)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}

func fail(w http.ResponseWriter, status int, err error) { http.Error(w, err.Error(), status) }
