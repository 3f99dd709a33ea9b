package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// fleet is a number of nodes, each a process of its own.
type fleet struct {
	nodes        int
	stock, share uint64
	window       time.Duration

	dir   string
	procs []*proc
}

// proc is one of the processes; it may be killed and started again, as the same node.
type proc struct {
	i      int
	gossip string // address; stays the same

	mu    sync.Mutex
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
}

// start starts all nodes, and waits until they know each other.
func (f *fleet) start(ctx context.Context) (err error) {
	if f.dir, err = os.MkdirTemp("", "quota"); err != nil {
		return err
	}
	for i := range f.nodes {
		f.procs = append(f.procs, &proc{i: i, gossip: "127.0.0.1:0"})
		if err := f.launch(f.procs[i]); err != nil {
			return err
		}
	}
	return f.until(ctx, func(s state) bool { return s.Peers == f.nodes-1 })
}

// launch starts a node, again if need be: its journal tells it what it sold.
func (f *fleet) launch(p *proc) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{
		"-serve", "-until-eof", "-cuttable", "-data", filepath.Join(f.dir, fmt.Sprint(p.i)), "-bind", p.gossip,
		"-share", fmt.Sprint(f.share), "-window", f.window.String(), "-stock", "0",
	}
	if p.i == 0 {
		args[len(args)-1] = fmt.Sprint(f.stock) // who brings it does not matter
	}
	var join []string
	for _, other := range f.procs {
		if other != p {
			join = append(join, other.gossip)
		}
	}
	if len(join) > 0 {
		args = append(args, "-join", strings.Join(join, ","))
	}
	cmd := exec.Command(self, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd, p.stdin = cmd, stdin
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		_, err = fmt.Sscanf(line, "%s gossip %s\n", &p.url, &p.gossip)
	}
	if err != nil {
		return fmt.Errorf("node %d did not start: %w", p.i+1, err)
	}
	return nil
}

// kill ends a process without asking it, as kill -9 does.
func (p *proc) kill() {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// close ends all processes and removes what they kept.
func (f *fleet) close() {
	for _, p := range f.procs {
		p.kill()
	}
	_ = os.RemoveAll(f.dir)
}

// post asks a node for something. An error says that there was no answer.
func (p *proc) post(ctx context.Context, path string, body []byte) (status int, answer []byte, err error) {
	p.mu.Lock()
	url := p.url
	p.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// cut divides the network: the last node is on its own.
func (f *fleet) cut(ctx context.Context) error {
	sides := [2][]string{}
	for _, p := range f.procs {
		side := 0
		if p.i == f.nodes-1 {
			side = 1
		}
		sides[side] = append(sides[side], p.gossip)
	}
	body, err := json.Marshal(sides)
	if err != nil {
		return err
	}
	return f.tell(ctx, "/cut", body)
}

func (f *fleet) heal(ctx context.Context) error { return f.tell(ctx, "/heal", nil) }

func (f *fleet) tell(ctx context.Context, path string, body []byte) error {
	for _, p := range f.procs {
		status, answer, err := p.post(ctx, path, body)
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("node %d: %s: %s", p.i+1, path, answer)
		}
	}
	return nil
}

// patience is how long nodes may take for what they must come to.
const patience = 30 * time.Second

// until waits until all nodes are in some state.
func (f *fleet) until(ctx context.Context, ok func(state) bool) error {
	ctx, stop := context.WithTimeoutCause(ctx, patience, errors.New("the nodes did not come together"))
	defer stop()
	for _, p := range f.procs {
		for {
			s, err := p.state(ctx)
			if err != nil {
				return errors.Join(err, context.Cause(ctx))
			}
			if ok(s) {
				break
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(2 * time.Millisecond):
			}
		}
	}
	return nil
}

func (p *proc) state(ctx context.Context) (s state, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/", nil)
	if err != nil {
		return state{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return state{}, err
	}
	defer resp.Body.Close()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}
