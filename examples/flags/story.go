package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-calm/calm/examples/internal/cutnet"
	"github.com/go-calm/calm/examples/internal/replica"
	"github.com/go-calm/calm/examples/internal/term"
)

const (
	nodes    = 3
	users    = 300
	patience = 30 * time.Second
	rampTime = 1500 * time.Millisecond
)

// fleet is some nodes that share nothing but a network, and all their users.
type fleet struct {
	nodes   []*service
	network cutnet.Network
	users   []string
	asked   atomic.Uint64
}

func newFleet(ctx context.Context) (*fleet, error) {
	f := &fleet{}
	for i := range users {
		name := fmt.Sprintf("ann-%d", i)
		if i%10 == 0 {
			name = fmt.Sprintf("zoë-%d", i)
		}
		f.users = append(f.users, name)
	}
	cfg := replica.Config{Bind: "127.0.0.1:0", Network: &f.network}
	for range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			f.close()
			return nil, err
		}
		s, err := newService(cfg, l)
		if err != nil {
			f.close()
			return nil, errors.Join(err, l.Close())
		}
		f.nodes = append(f.nodes, s)
		cfg.Join = []string{f.nodes[0].flags.Addr()}
	}
	for _, s := range f.nodes {
		for len(s.flags.Peers()) < nodes-1 {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				f.close()
				return nil, errors.New("the nodes did not find each other")
			}
		}
	}
	return f, nil
}

func (f *fleet) close() {
	for _, s := range f.nodes {
		s.close()
	}
}

// set PUTs a plan to a node.
func (f *fleet) set(ctx context.Context, node int, share float64, over time.Duration, dark bool) error {
	body := fmt.Sprintf(`{"share":%g,"over":"%s","dark":%t}`, share, over, dark)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, f.nodes[node].url+"/flags/"+flagName, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		return errors.New(resp.Status)
	}
	return nil
}

// everywhere sets a share on a node, and waits until all have it.
func (f *fleet) everywhere(ctx context.Context, node int, share float64, dark bool) error {
	if err := f.set(ctx, node, share, 0, dark); err != nil {
		return err
	}
	return f.until(ctx, func(p plan) bool { return p.To == share && p.Dark == dark })
}

// until waits until a plan holds on all nodes.
func (f *fleet) until(ctx context.Context, holds func(plan) bool) error {
	for _, s := range f.nodes {
		if err := s.flags.until(ctx, flagName, holds); err != nil {
			return err
		}
	}
	return nil
}

// hello asks a node for a greeting, and returns whether the new code gave it.
func (f *fleet) hello(ctx context.Context, node int, user string) (isNew bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.nodes[node].url+"/hello?user="+url.QueryEscape(user), nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && string(text) != old(user) {
		err = fmt.Errorf("%s was told %q", user, text)
	}
	f.asked.Add(1)
	return resp.Header.Get("X-Code") == "new", err
}

// in asks every node for every user, and returns who got the new code. All nodes must be of one mind.
func (f *fleet) in(ctx context.Context) (map[string]bool, error) {
	in := map[string]bool{}
	for _, user := range f.users {
		for node := range f.nodes {
			isNew, err := f.hello(ctx, node, user)
			if err != nil {
				return nil, err
			}
			if node > 0 && in[user] != isNew {
				return nil, fmt.Errorf("the nodes differ about %s", user)
			}
			if isNew {
				in[user] = true
			}
		}
	}
	return in, nil
}

// load lets users come to all nodes until it is stopped, which returns the first error that one saw.
func (f *fleet) load(ctx context.Context) (stop func() error) {
	var all sync.WaitGroup
	ended := make(chan struct{})
	errs := make([]error, len(f.nodes))
	for node := range f.nodes {
		all.Go(func() {
			for i := node; errs[node] == nil; i += 7 {
				select {
				case <-ended:
					return
				case <-time.After(time.Millisecond):
					_, errs[node] = f.hello(ctx, node, f.users[i%len(f.users)])
				}
			}
		})
	}
	return sync.OnceValue(func() error {
		close(ended)
		all.Wait()
		return errors.Join(errs...)
	})
}

// dark lets every user come once, and returns how many ran new code in the dark and got what else.
func (f *fleet) dark(ctx context.Context) (ran, different uint64, err error) {
	counts := func() (begun, ran, different uint64) {
		for _, s := range f.nodes {
			begun += s.flags.Get(flagName).gate.Stats().Dark
			ran += s.inDark.Load()
			different += s.different.Load()
		}
		return begun, ran, different
	}
	_, ran0, different0 := counts()
	if _, err := f.in(ctx); err != nil {
		return 0, 0, err
	}
	for {
		begun, ran, different := counts()
		if begun == ran {
			return ran - ran0, different - different0, nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
}

// shares is how far the flag is open on each node.
func (f *fleet) shares() string {
	var all []string
	for _, s := range f.nodes {
		all = append(all, fmt.Sprintf("%3.0f %%", 100*s.flags.Get(flagName).gate.Share()))
	}
	return strings.Join(all, "  ")
}

// story rolls a new greeting out, and tells how it went by what the nodes answer.
func story(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	f, err := newFleet(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	tell := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	for _, part := range []func(context.Context, func(string, ...any)) error{
		f.tellDark, f.tellStable, f.tellRamp, f.tellPullBack, f.tellCut,
	} {
		if err := part(ctx, tell); err != nil {
			return err
		}
	}
	var shown, failed uint64
	for _, s := range f.nodes {
		shown, failed = shown+s.shown.Load(), failed+s.failed.Load()
	}
	tell("%s greetings, %s of them by new code, which failed %d times; nobody saw a wrong one",
		term.Thousands(int64(f.asked.Load())), term.Thousands(int64(shown)), failed)
	return nil
}

func (f *fleet) tellDark(ctx context.Context, tell func(string, ...any)) error {
	tell("new code for a fifth of the users on %d nodes, in the dark", nodes)
	for _, s := range f.nodes {
		s.deploy(byByte)
	}
	if err := f.everywhere(ctx, 0, 0.2, true); err != nil {
		return err
	}
	ran, different, err := f.dark(ctx)
	if err != nil {
		return err
	}
	tell("  it ran %d times, and would have answered otherwise %d times: it does not know ë", ran, different)
	if different == 0 {
		return errors.New("the dark runs found nothing")
	}
	for _, s := range f.nodes {
		s.deploy(byLetter)
	}
	ran, different, err = f.dark(ctx)
	if err != nil {
		return err
	}
	tell("  mended, it ran %d times, and would have answered otherwise %d times", ran, different)
	for _, s := range f.nodes {
		if different > 0 || s.shown.Load() > 0 {
			return errors.New("what is in the dark was shown")
		}
	}
	return nil
}

func (f *fleet) tellStable(ctx context.Context, tell func(string, ...any)) error {
	tell("shown, to a tenth of the users and then a fifth")
	var before map[string]bool
	for i, share := range []float64{0.1, 0.2} {
		if err := f.everywhere(ctx, i, share, false); err != nil {
			return err
		}
		in, err := f.in(ctx)
		if err != nil {
			return err
		}
		for user := range before {
			if !in[user] {
				return fmt.Errorf("%s was in, and is not any more", user)
			}
		}
		tell("  %d of %d users are in, the same on all nodes, and all %d who were", len(in), users, len(before))
		before = in
	}
	return f.everywhere(ctx, 0, 0, false)
}

func (f *fleet) tellRamp(ctx context.Context, tell func(string, ...any)) error {
	tell("a ramp to all users in %s, set on one node", term.Took(rampTime))
	stop := f.load(ctx)
	defer stop() //nolint:errcheck // an error of another kind is told first
	if err := f.set(ctx, 1, 1, rampTime, false); err != nil {
		return err
	}
	if err := f.until(ctx, func(p plan) bool { return p.To == 1 }); err != nil {
		return err
	}
	for range 3 {
		select {
		case <-time.After(rampTime / 4):
		case <-ctx.Done():
			return ctx.Err()
		}
		tell("  %s", f.shares())
	}
	for _, s := range f.nodes {
		for s.flags.Get(flagName).gate.Share() < 1 {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return errors.New("the ramp did not get there")
			}
		}
	}
	tell("  %s", f.shares())
	if err := stop(); err != nil {
		return err
	}
	return f.everywhere(ctx, 0, 0, false)
}

func (f *fleet) tellPullBack(ctx context.Context, tell func(string, ...any)) error {
	const room = users / 3
	tell("again, but the new code on the last node has room for %d users", room)
	var mu sync.Mutex
	var full time.Time
	have := map[string]bool{}
	last := f.nodes[nodes-1]
	last.deploy(func(user string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if !have[user] && len(have) == room {
			if full.IsZero() {
				full = time.Now()
				tell("  %s, and the last node begins to fail", f.shares())
			}
			return "", errors.New("full")
		}
		have[user] = true
		return byLetter(user)
	})
	stop := f.load(ctx)
	defer stop() //nolint:errcheck // an error of another kind is told first
	if err := f.set(ctx, 0, 1, rampTime, false); err != nil {
		return err
	}
	var why string
	if err := f.until(ctx, func(p plan) bool { why = p.Why; return p.To == 0 && why != "" }); err != nil {
		return err
	}
	back := time.Now()
	if err := stop(); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	tell("  %s, %s later: %s there", f.shares(), term.Took(back.Sub(full)), why)
	return nil
}

func (f *fleet) tellCut(ctx context.Context, tell func(string, ...any)) error {
	tell("the network is cut, and both sides set the flag")
	var rest []string
	for _, s := range f.nodes[1:] {
		rest = append(rest, s.flags.Addr())
	}
	f.network.Cut([]string{f.nodes[0].flags.Addr()}, rest)
	if err := f.set(ctx, 0, 0.3, 0, false); err != nil {
		return err
	}
	if err := f.set(ctx, nodes-1, 0.05, 0, false); err != nil {
		return err
	}
	if err := f.nodes[1].flags.until(ctx, flagName, func(p plan) bool { return p.To == 0.05 }); err != nil {
		return err
	}
	tell("  %s", f.shares())
	if f.nodes[0].flags.Get(flagName).gate.Share() != 0.3 {
		return errors.New("the cut did not keep the nodes apart")
	}
	f.network.Heal()
	began := time.Now()
	if err := f.until(ctx, func(p plan) bool { return p.To == 0.05 }); err != nil {
		return err
	}
	tell("  %s, %s after it healed: the later one counts", f.shares(), term.Took(time.Since(began)))
	_, err := f.in(ctx)
	return err
}
