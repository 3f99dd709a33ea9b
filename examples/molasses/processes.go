package main

import (
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/go-calm/calm/crdt"
)

// workerArg has this program be one of the processes.
const workerArg = "be-a-worker"

// processes count in processes of their own, as machines would, and send what they have to this one.
type processes struct {
	// ask has the coordinator count each word and answer when it has, as a database does that all
	// write to. Otherwise a worker tells what is new after every so many pieces of text, and waits for
	// nobody.
	ask   bool
	every int
}

// job is what a worker is started with.
type job struct {
	Ask     bool
	Every   int
	Replica crdt.ReplicaID
	Text    []string
}

// news is what a worker sends.
type news struct {
	Word  string // to be counted, and answered with a byte
	Delta []byte // of its replica's counts
	Done  bool
	Waits waits // once done
}

func (p processes) run(t text, workers int) (outcome, error) {
	c := &coordinator{counts: map[string]int64{}, replica: crdt.Open[*counts](1)}
	procs := make([]*process, workers)
	for w := range procs {
		proc, err := startProcess(job{Ask: p.ask, Every: p.every, Replica: crdt.ReplicaID(w + 2), Text: t.of(w, workers)})
		if err != nil {
			return outcome{}, err
		}
		defer proc.stop()
		procs[w] = proc
	}

	begin := time.Now()
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w, proc := range procs {
		all.Go(func() { errs[w] = c.serve(proc) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return outcome{}, err
		}
	}
	for word, n := range c.replica.All() {
		c.counts[word] += n.Value()
	}
	return outcome{counts: c.counts, waits: c.waits, took: time.Since(begin)}, nil
}

// counts is the replicated state: a counter for each word.
type counts = crdt.Map[string, *crdt.Counter]

// coordinator is this process' part.
type coordinator struct {
	mu      sync.Mutex
	counts  map[string]int64 // what it was asked to count
	replica *counts          // what it was told
	waits   waits
}

// serve lets a worker begin, and answers it until it is done.
func (c *coordinator) serve(p *process) error {
	if err := p.answer(); err != nil {
		return err
	}
	for {
		var n news
		if err := p.out.Decode(&n); err != nil {
			return fmt.Errorf("a worker broke off: %w", err)
		}
		switch {
		case n.Done:
			c.mu.Lock()
			c.waits = append(c.waits, n.Waits...)
			c.mu.Unlock()
			return nil
		case len(n.Delta) > 0:
			d, err := crdt.ParseDelta(n.Delta, crdt.Limits{})
			if err != nil {
				return err
			}
			c.mu.Lock()
			_, err = c.replica.Merge(d)
			c.mu.Unlock()
			if err != nil {
				return err
			}
		default:
			c.mu.Lock()
			c.counts[n.Word]++
			c.mu.Unlock()
			if err := p.answer(); err != nil {
				return err
			}
		}
	}
}

// process is a worker, seen from the coordinator.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *gob.Decoder
}

// startProcess starts a worker, and returns when it has its text and is ready.
func startProcess(j job) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(self, workerArg)}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = gob.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	err = gob.NewEncoder(p.in).Encode(j)
	if err == nil {
		err = p.out.Decode(new(news)) // it is ready
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("a worker did not start: %w", err)
	}
	return p, nil
}

// answer sends the byte that a worker waits for.
func (p *process) answer() error {
	_, err := p.in.Write([]byte{1})
	return err
}

// stop ends a worker that waits for its next text, and any other.
func (p *process) stop() {
	p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}
