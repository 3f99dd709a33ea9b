package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-calm/calm/examples/internal/cutnet"
)

const (
	maxBody     = 16 << 20
	httpTimeout = 10 * time.Second // for a packet to be taken
	mediaType   = "application/octet-stream"
)

// overHTTP is a [Transport]: a request is a packet after a [hello], and so is the answer.
type overHTTP struct {
	agent  *Agent
	seal   sealer
	host   *cutnet.Host
	client *http.Client
	server *http.Server
	served sync.WaitGroup
}

// HTTP is the transport over net/http: a packet is the body of a POST request to the peer's address.
// Request and answer begin with who speaks, so that agents learn of each other by talking, and of third
// ones by what they are answered; who has not answered for a while is not there.
func HTTP(a *Agent) (Transport, error) {
	seal, err := newSealer(a.cfg.Key)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", a.cfg.Bind)
	if err != nil {
		return nil, err
	}
	if l.Addr().(*net.TCPAddr).IP.IsUnspecified() {
		return nil, errors.Join(fmt.Errorf("others cannot reach %s; bind to one of this machine's addresses", l.Addr()), l.Close())
	}
	h := &overHTTP{agent: a, seal: seal, host: cutnet.NewHost(a.cfg.Network, l.Addr().String())}
	h.client = &http.Client{Transport: &http.Transport{DialContext: h.host.DialContext}, Timeout: httpTimeout}
	h.server = &http.Server{Handler: http.MaxBytesHandler(h, maxBody), ReadTimeout: httpTimeout, IdleTimeout: time.Minute}
	h.served.Go(func() { _ = h.server.Serve(h.host.Listener(l)) }) // ends with Close
	return h, nil
}

// ServeHTTP takes a packet.
func (h *overHTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != mediaType { // a page in some browser cannot send this unasked
		http.Error(w, "not "+mediaType, http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = h.take(body)
	}
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		_, _ = w.Write(h.pack(header(h.agent.cfg.Replica), h.agent.addrs())) // who does not get it asks again
	}
}

// post sends a packet, and takes the answer.
func (h *overHTTP) post(addr string, packet []byte) error {
	req, err := http.NewRequestWithContext(h.agent.stopped, http.MethodPost, "http://"+addr, bytes.NewReader(h.pack(packet, nil)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := h.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err != nil {
		return err
	}
	return h.take(answer)
}

func (h *overHTTP) pack(packet []byte, known []string) []byte {
	return h.seal.seal(hello{h.Addr(), h.agent.cfg.Info, known}.with(packet))
}

// take takes in what was said, and who did.
func (h *overHTTP) take(body []byte) error {
	body, err := h.seal.open(body)
	if err != nil {
		return err
	}
	who, packet, err := readHello(body)
	if err != nil {
		return err
	}
	from, parts, err := unpack(packet)
	if err != nil {
		return err
	}
	h.agent.up(Peer{from, who.Addr, who.Info}, func(packet []byte) error { return h.post(who.Addr, packet) })
	h.agent.hear(who.Known)
	h.agent.receive(from, parts)
	return nil
}

// Addr implements [Transport].
func (h *overHTTP) Addr() string { return h.host.Addr() }

// Stats implements [Transport].
func (h *overHTTP) Stats() cutnet.Stats { return h.host.Stats() }

// Join implements [Transport].
func (h *overHTTP) Join(addr string) error { return h.post(addr, header(h.agent.cfg.Replica)) }

// Leave implements [Transport]: the others will notice.
func (h *overHTTP) Leave(time.Duration) error { return nil }

// Close implements [Transport].
func (h *overHTTP) Close() error {
	h.host.Leave()
	ctx, stop := context.WithTimeout(context.Background(), time.Second)
	defer stop()
	err := h.server.Shutdown(ctx)
	if err != nil {
		err = h.server.Close() // somebody is still talking
	}
	h.client.CloseIdleConnections()
	h.served.Wait()
	return err
}
