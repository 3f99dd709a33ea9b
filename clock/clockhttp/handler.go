package clockhttp

import (
	"net/http"

	"github.com/go-calm/calm/clock"
)

// Option is a setting of [Handler].
type Option func(*handler)

// OnRefuse has f answer requests whose timestamp was refused: err matches [clock.ErrDrift]
// or [clock.ErrMalformed]. Without it they are answered 400 Bad Request with the text of
// the error. f may serve the request all the same; it is then not ordered after its sending.
func OnRefuse(f func(w http.ResponseWriter, r *http.Request, err error)) Option {
	return func(h *handler) { h.refuse = f }
}

// Handler returns a handler that takes in the timestamps of requests, calls next, and puts
// timestamps into the replies. The context of the request that next is given carries the
// timestamp of its receipt. It panics if c, next, an option or its function is nil.
func Handler(c *clock.Clock, next http.Handler, opts ...Option) http.Handler {
	h := &handler{clock: c, next: next, refuse: func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}}
	for _, o := range opts {
		if o == nil {
			panic("clockhttp: nil option")
		}
		o(h)
	}
	if c == nil || next == nil || h.refuse == nil {
		panic("clockhttp: Handler: nil clock, handler or function of OnRefuse")
	}
	return h
}

type handler struct {
	clock  *clock.Clock
	next   http.Handler
	refuse func(http.ResponseWriter, *http.Request, error)
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sw := &stampingWriter{ResponseWriter: w, clock: h.clock}
	if t, err := h.clock.Extract(r.Header); err != nil {
		h.refuse(sw, r, err)
	} else {
		h.next.ServeHTTP(sw, r.WithContext(clock.NewContext(r.Context(), t)))
	}
	sw.stamp() // nothing was written: the server sends the header on return
}

// stampingWriter puts a timestamp into the header as late as possible, so that it is after
// all that the handler did before it answered.
type stampingWriter struct {
	http.ResponseWriter
	clock *clock.Clock
	done  bool
}

func (w *stampingWriter) stamp() {
	if !w.done {
		w.done = true
		w.clock.Inject(w.Header())
	}
}

func (w *stampingWriter) WriteHeader(code int) {
	if code >= 200 || code == http.StatusSwitchingProtocols {
		w.stamp()
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *stampingWriter) Write(b []byte) (int, error) {
	w.stamp()
	return w.ResponseWriter.Write(b)
}

// FlushError is found by [http.ResponseController] before Unwrap is.
func (w *stampingWriter) FlushError() error {
	w.stamp()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush is for handlers that assert [http.Flusher].
func (w *stampingWriter) Flush() { _ = w.FlushError() }

// Unwrap lets [http.ResponseController] reach what else the server's writer can do.
func (w *stampingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
