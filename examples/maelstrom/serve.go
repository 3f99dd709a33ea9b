package main

import (
	"bufio"
	"errors"
	"io"
	"time"

	"github.com/go-calm/calm/clock"
)

const (
	tickEvery = 50 * time.Millisecond
	maxLine   = 16 << 20
)

// serve runs a node on Maelstrom's network, until that ends: in comes a message a line, and out goes
// a message a line.
func serve(workload string, stdin io.Reader, stdout io.Writer) error {
	lines, failed := make(chan []byte), make(chan error, 1)
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		defer close(lines)
		scan := bufio.NewScanner(stdin)
		scan.Buffer(nil, maxLine)
		for scan.Scan() {
			select {
			case lines <- append([]byte(nil), scan.Bytes()...):
			case <-stopped:
				return
			}
		}
		failed <- scan.Err()
	}()

	n := newNode(workload, clock.New())
	out := bufio.NewWriter(stdout)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		var send []message
		select {
		case line, ok := <-lines:
			if !ok {
				return errors.Join(<-failed, out.Flush())
			}
			send = n.receive(line)
		case <-tick.C:
			send = n.tick()
		}
		for _, m := range send {
			_, _ = out.Write(append(encode(m), '\n')) // an error stays until Flush
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}
