package gossip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	maxBody     = 16 << 20
	httpTimeout = 10 * time.Second // for a packet to be taken
	mediaType   = "application/octet-stream"
)

// HTTP is the transport over net/http: a packet is the body of a POST request to the peer's address, and
// what is said to it is that of the answer. Who is there is found out by talking.
func HTTP(a *Agent) (Transport, error) { return newTalk(a, carryHTTP) }

// overHTTP is a [Carrier].
type overHTTP struct {
	http.Server
	client http.Client
	take   func(packet []byte) (answer []byte, err error)
}

func carryHTTP(dial dialer, take func([]byte) ([]byte, error)) Carrier {
	h := &overHTTP{take: take, client: http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: httpTimeout}}
	h.Handler, h.ReadTimeout, h.IdleTimeout = http.MaxBytesHandler(h, maxBody), httpTimeout, time.Minute
	h.RegisterOnShutdown(h.client.CloseIdleConnections)
	return h
}

// ServeHTTP takes a packet.
func (h *overHTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != mediaType { // a page in some browser cannot send this unasked
		http.Error(w, "not "+mediaType, http.StatusUnsupportedMediaType)
		return
	}
	packet, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	} else if answer, err := h.take(packet); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	} else {
		_, _ = w.Write(answer) // who does not get it asks again
	}
}

// Carry implements [Carrier].
func (h *overHTTP) Carry(ctx context.Context, addr string, packet []byte) (answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr, bytes.NewReader(packet))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxBody))
}
