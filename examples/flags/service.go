package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-calm/calm/examples/internal/replica"
)

// service greets, in an old way and in a new one, as its HTTP API:
//
//	GET /hello?user=NAME  a greeting
//	GET /flags            all flags, as JSON
//	PUT /flags/{name}     {"share": 0.5, "over": "10s", "dark": false}
//
// The flag is called greeting.
type service struct {
	flags   *Flags
	url     string
	server  *http.Server
	newCode atomic.Pointer[greeter] // a deployment replaces it

	shown     atomic.Uint64 // answers of the new code
	failed    atomic.Uint64 // its failures; the old code answered instead
	inDark    atomic.Uint64
	different atomic.Uint64 // answers in the dark that were not as the old code's
}

// greeter is code that may be rolled out.
type greeter func(user string) (string, error)

const flagName = "greeting"

func newService(cfg replica.Config, l net.Listener) (*service, error) {
	flags, err := startFlags(cfg)
	if err != nil {
		return nil, err
	}
	s := &service{flags: flags, url: "http://" + l.Addr().String()}
	s.deploy(byLetter)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", s.hello)
	mux.HandleFunc("GET /flags", s.show)
	mux.HandleFunc("PUT /flags/{name}", s.set)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.server.Serve(l) }() // until close
	return s, nil
}

func (s *service) close() {
	_ = s.server.Close()
	_ = s.flags.close()
}

func (s *service) deploy(code greeter) { s.newCode.Store(&code) }

// old is the code that everybody trusts.
func old(user string) string { return "Hello, " + strings.ToUpper(user) + "!" }

// byByte is new code that is wrong about some names.
func byByte(user string) (string, error) {
	b := []byte(user)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return "Hello, " + string(b) + "!", nil
}

// byLetter is new code that is right.
func byLetter(user string) (string, error) {
	return "Hello, " + strings.Map(unicode.ToUpper, user) + "!", nil
}

const maxUser = 64

func (s *service) hello(w http.ResponseWriter, r *http.Request) {
	user := r.FormValue("user")
	if user == "" || len(user) > maxUser || !utf8.ValidString(user) {
		http.Error(w, "user is a name", http.StatusBadRequest)
		return
	}
	answer, code := s.greet(r.Context(), user)
	w.Header().Set("X-Code", code)
	_, _ = w.Write([]byte(answer)) // who asked may be gone
}

// greet is what a request does with a flag. If the new code fails, the old one answers: nobody sees
// anything of it but the flag's health.
func (s *service) greet(ctx context.Context, user string) (text, code string) {
	f := s.flags.Get(flagName)
	if f.On(user) {
		text, err := (*s.newCode.Load())(user)
		f.health.ran(err == nil)
		if err == nil {
			s.shown.Add(1)
			return text, "new"
		}
		s.failed.Add(1)
	}
	text = old(user)
	f.Dark(context.WithoutCancel(ctx), user, func(context.Context) {
		got, err := (*s.newCode.Load())(user)
		if err != nil || got != text {
			s.different.Add(1)
		}
		s.inDark.Add(1)
	})
	return text, "old"
}

// shown is a flag as people read it.
type shownFlag struct {
	Share float64 `json:"share"` // now
	To    float64 `json:"to"`
	Over  string  `json:"over"`
	Dark  bool    `json:"dark"`
	Why   string  `json:"why,omitempty"`
	At    string  `json:"at"`
}

func (s *service) show(w http.ResponseWriter, _ *http.Request) {
	all := map[string]shownFlag{}
	s.flags.View(func() {
		for name, g := range *s.flags.known.Load() {
			all[name] = shownFlag{
				g.gate.Share(), g.plan.To, g.plan.Over.String(), g.plan.Dark, g.plan.Why, g.stamp.Time.String(),
			}
		}
	})
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all) // who asked may be gone
}

// set takes a plan, and answers when this node has it. The others have it soon.
func (s *service) set(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Share *float64 `json:"share"`
		Over  string   `json:"over"`
		Dark  bool     `json:"dark"`
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	d.DisallowUnknownFields()
	err := d.Decode(&in)
	if err == nil && (in.Share == nil || len(r.PathValue("name")) > maxUser) {
		err = errors.New("a flag has a short name, and a share")
	}
	var over time.Duration
	if err == nil && in.Over != "" {
		over, err = time.ParseDuration(in.Over)
	}
	if err == nil {
		err = s.flags.Set(r.PathValue("name"), *in.Share, over, in.Dark, "")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
