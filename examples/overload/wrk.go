package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed load.lua
var loadScript []byte

// wrk offers load with wrk (github.com/wg/wrk), a generator that knows nothing of this program.
type wrk struct{ path, script string }

// findWrk looks for wrk, and puts its script into dir.
func findWrk(dir string) (*wrk, error) {
	path, err := exec.LookPath("wrk")
	if err != nil {
		return nil, fmt.Errorf("-wrk needs wrk (github.com/wg/wrk; apt-get install wrk): %w", err)
	}
	w := &wrk{path, filepath.Join(dir, "load.lua")}
	return w, os.WriteFile(w.script, loadScript, 0o600)
}

// offer sends a rate of requests for a while. A connection is busy until its request is answered, so
// there are as many as requests can be under way that somebody waits for, and a few more.
func (w *wrk) offer(ctx context.Context, url string, rate float64, step, deadline time.Duration, seed uint64) (o outcome, err error) {
	conns := max(16, int(1.5*rate*deadline.Seconds()))
	seconds := max(1, int(math.Round(step.Seconds())))
	cmd := exec.CommandContext(ctx, w.path, "-t1", "-c", strconv.Itoa(conns), "-d", strconv.Itoa(seconds)+"s", "-s", w.script, url,
		"--", fmt.Sprint(rate), strconv.FormatInt(deadline.Microseconds(), 10), strconv.FormatUint(seed, 10))
	said, err := cmd.CombinedOutput()
	if err != nil {
		return o, errors.Join(ctx.Err(), fmt.Errorf("%s: %w\n%s", w.path, err, said))
	}
	return parseOutcome(said)
}

// parseOutcome reads the line that load.lua writes.
func parseOutcome(said []byte) (o outcome, err error) {
	lines := bufio.NewScanner(bytes.NewReader(said))
	lines.Buffer(nil, len(said)+1)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[0] != "outcome" {
			continue
		}
		numbers := make([]float64, len(fields)-1)
		for i, f := range fields[1:] {
			if numbers[i], err = strconv.ParseFloat(f, 64); err != nil {
				return o, fmt.Errorf("wrk: %w", err)
			}
		}
		o.offered, o.refused = int(numbers[0]), int(numbers[1])
		for _, us := range numbers[2:] {
			o.took = append(o.took, time.Duration(us)*time.Microsecond)
		}
		o.good = len(o.took)
		o.late = o.offered - o.refused - o.good
		return o, nil
	}
	return o, fmt.Errorf("wrk said nothing of what came of it:\n%s", said)
}

// sentHeader is the time at which a request was sent, by the clock of who sent it.
const sentHeader = "X-Sent"

// echo gives back when a request was sent: wrk does not tell its scripts which request is answered.
func echo(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent := r.Header.Get(sentHeader); sent != "" {
			w.Header().Set(sentHeader, sent)
		}
		next.ServeHTTP(w, r)
	})
}
