package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/go-calm/calm/examples/internal/term"
)

// story is a sale on a fleet that has a bad day. Buyers buy at every node, callers call, and what the
// nodes answered is held against what there was.
type story struct {
	fleet
	out      io.Writer
	progress *term.Progress

	mu       sync.Mutex
	sold     uint64
	refused  map[string]uint64 // by phase: refused though others could have sold
	soldIn   map[string]uint64 // by phase
	noAnswer uint64            // to who bought: it is sold or not
	calls    map[int64]*callCount
}

// callCount is what became of the calls of one window.
type callCount struct{ admitted, refused uint64 }

// phases, in order. Each tells every node's buyer when to stop.
const (
	together = "all nodes together"
	killed   = "one is killed with -9, and comes back"
	cutOff   = "the last node is cut off"
	healed   = "healed"
)

func (s *story) tell(ctx context.Context) error {
	s.refused, s.soldIn, s.calls = map[string]uint64{}, map[string]uint64{}, map[int64]*callCount{}
	defer s.close()
	s.progress.Show("starting the processes")
	if err := s.start(ctx); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%d processes, %d pieces to sell, %d calls allowed in %v\n\n", s.nodes, s.stock, s.share*uint64(s.nodes), s.window)

	calling, stop := context.WithCancel(ctx)
	var callers sync.WaitGroup
	for _, p := range s.procs {
		callers.Go(func() { s.callAt(calling, p) })
	}
	err := s.phases(ctx)
	stop()
	callers.Wait()
	s.progress.Done()
	return cmp.Or(err, s.judge())
}

// phases is the sale: what each node sells in each phase adds up to half of all before the network is
// cut, so that all of them have something left by then.
func (s *story) phases(ctx context.Context) error {
	some := s.stock / uint64(s.nodes) / 4
	if err := s.sell(ctx, together, func(b *buyer) bool { return b.sold == some }); err != nil {
		return err
	}

	victim, died := s.procs[1], make(chan error, 1)
	kill := sync.OnceFunc(func() {
		go func() {
			victim.kill()
			died <- s.launch(victim)
		}()
	})
	err := s.sell(ctx, killed, func(b *buyer) bool {
		if b.proc == victim && b.sold == some/2 {
			kill()
		}
		return b.sold == some && (b.proc != victim || b.died)
	})
	if err := cmp.Or(err, <-died); err != nil {
		return err
	}

	if err := s.cut(ctx); err != nil {
		return err
	}
	err = s.sell(ctx, cutOff, func(b *buyer) bool {
		if b.proc.i == s.nodes-1 {
			return b.refused == 25 // it has sold all that it has a right to
		}
		return b.sold == some/4
	})
	if err != nil {
		return err
	}
	if err := s.heal(ctx); err != nil {
		return err
	}
	if err := s.sell(ctx, healed, func(b *buyer) bool { return b.soldOut }); err != nil {
		return err
	}
	return s.until(ctx, func(n state) bool { return n.Left == 0 })
}

// buyer buys at one node.
type buyer struct {
	proc          *proc
	sold, refused uint64
	died, soldOut bool
}

// sell has a buyer at each node buy until enough says so.
func (s *story) sell(ctx context.Context, phase string, enough func(*buyer) bool) error {
	ctx, stop := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s: it takes too long", phase))
	defer stop()
	errs := make([]error, len(s.procs))
	var buyers sync.WaitGroup
	for i, p := range s.procs {
		buyers.Go(func() {
			for b := (&buyer{proc: p}); errs[i] == nil && !enough(b); {
				errs[i] = s.buy(ctx, phase, b)
			}
		})
	}
	buyers.Wait()
	return errors.Join(errs...)
}

// buy buys once.
func (s *story) buy(ctx context.Context, phase string, b *buyer) error {
	status, answer, err := b.proc.post(ctx, "/buy", nil)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.mu.Lock()
	wait := time.Duration(0)
	switch {
	case err != nil: // the node is dead, and perhaps sold it before
		b.died = true
		if dial := (*net.OpError)(nil); !errors.As(err, &dial) || dial.Op != "dial" {
			s.noAnswer++
		}
		wait = 10 * time.Millisecond
	case status == http.StatusOK:
		b.sold++
		s.sold++
		s.soldIn[phase]++
	case status == http.StatusConflict:
		b.refused++
		if s.sold < s.stock {
			s.refused[phase]++
		}
		wait = 2 * time.Millisecond
	case status == http.StatusGone:
		b.soldOut = true
	default:
		err = fmt.Errorf("node %d: %s", b.proc.i+1, answer)
	}
	s.progress.Show(fmt.Sprintf("%s: %d of %d sold", phase, s.sold, s.stock))
	s.mu.Unlock()
	if status == 0 {
		err = nil
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

// callAt calls a node again and again: the first one often, the others rarely, so that those have
// something to lend.
func (s *story) callAt(ctx context.Context, p *proc) {
	pause := time.NewTicker(s.window / 100 * time.Duration(1+9*min(p.i, 1)))
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		status, answer, err := p.post(ctx, "/call", nil)
		var in struct {
			Window int64 `json:"window"`
		}
		if err != nil || json.Unmarshal(answer, &in) != nil {
			continue // it is dead
		}
		s.mu.Lock()
		c := s.calls[in.Window]
		if c == nil {
			c = &callCount{}
			s.calls[in.Window] = c
		}
		if status == http.StatusOK {
			c.admitted++
		} else {
			c.refused++
		}
		s.mu.Unlock()
	}
}

// judge prints what happened, and fails if it should not have.
func (s *story) judge() error {
	t := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tsold\trefused for lack of rights\t")
	var refused uint64
	for _, phase := range []string{together, killed, cutOff, healed} {
		fmt.Fprintf(t, "%s\t%d\t%d\t\n", phase, s.soldIn[phase], s.refused[phase])
		refused += s.refused[phase]
	}
	t.Flush()
	fmt.Fprintf(s.out, "\nstock: %d of %d sold and acknowledged, %d more where the answer got lost; %d buyers were refused while others could have sold\n",
		s.sold, s.stock, s.stock-min(s.sold, s.stock), refused)

	windows := make([]*callCount, 0, len(s.calls))
	for _, c := range s.calls {
		windows = append(windows, c)
	}
	allowed := s.share * uint64(s.nodes)
	var fullest, admitted, turnedAway, needlessly uint64
	for _, c := range windows {
		fullest, admitted, turnedAway = max(fullest, c.admitted), admitted+c.admitted, turnedAway+c.refused
		needlessly += min(c.refused, allowed-min(c.admitted, allowed))
	}
	fmt.Fprintf(s.out, "calls: %s admitted in %d windows, %d in the fullest, where %d are allowed; %s refused, %s of them while others had permits\n",
		term.Thousands(int64(admitted)), len(windows), fullest, allowed, term.Thousands(int64(turnedAway)), term.Thousands(int64(needlessly)))

	switch {
	case s.sold > s.stock:
		return fmt.Errorf("%d pieces were sold, and there were %d", s.sold, s.stock)
	case s.stock-s.sold > s.noAnswer:
		return fmt.Errorf("%d pieces were lost", s.stock-s.sold-s.noAnswer)
	case slices.ContainsFunc(windows, func(c *callCount) bool { return c.admitted > allowed }):
		return fmt.Errorf("a window admitted %d calls, and %d are allowed", fullest, allowed)
	}
	return nil
}
