package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" { // the test is the program that starts itself
		if err := command(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// TestCommand runs all of it: processes, kill -9, cut.
func TestCommand(t *testing.T) {
	var out, stderr bytes.Buffer
	require.NoError(t, command(context.Background(), []string{"-stock", "400"}, nil, &out, &stderr))
	require.Empty(t, stderr.String(), "no progress where there is no terminal")
	require.Regexp(t, regexp.MustCompile(`stock: (400|399) of 400 sold`), out.String())
	require.Regexp(t, regexp.MustCompile(cutOff+` +\d+ +2[5-9]\n`), out.String(), "what is cut off refuses what others could sell")
	require.Contains(t, out.String(), "where 60 are allowed")
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"x":                              `unexpected "x"`,
		"-nodes 1":                       "-nodes is from 2",
		"-window 1ns":                    "-window is a millisecond",
		"-stock 299":                     "-stock is 300 or more",
		"-serve":                         "-serve needs -data",
		"-serve -data DIR -bind nowhere": "missing port",
		"-serve -data " + os.Args[0]:     "not a directory",
	} {
		args = strings.Replace(args, "DIR", t.TempDir(), 1)
		require.ErrorContains(t, command(context.Background(), strings.Fields(args), nil, io.Discard, io.Discard), want, args)
	}
	var help bytes.Buffer
	require.ErrorIs(t, command(context.Background(), []string{"-h"}, nil, &help, io.Discard), flag.ErrHelp)
	require.Contains(t, help.String(), "-window")
}

// TestServe: one node alone, until its standard input ends, and again: what was sold stays sold.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	for _, left := range []int{2, 0} {
		stdin, eof := io.Pipe()
		r, w := io.Pipe()
		served := make(chan error, 1)
		go func() {
			served <- command(context.Background(), []string{"-serve", "-until-eof", "-data", dir, "-stock", "2"}, stdin, w, io.Discard)
		}()
		line := make([]byte, 200)
		n, err := r.Read(line)
		require.NoError(t, err)
		url, _, _ := strings.Cut(string(line[:n]), " ")
		post := func(path string) int {
			resp, err := http.Post(url+path, "", nil)
			require.NoError(t, err)
			resp.Body.Close()
			return resp.StatusCode
		}
		for range left {
			require.Equal(t, http.StatusOK, post("/buy"))
		}
		want := http.StatusGone
		if left == 0 {
			want = http.StatusConflict // it has not seen that there was any
		}
		require.Equal(t, want, post("/buy"))
		require.Equal(t, http.StatusNotFound, post("/cut"), "it was not asked for")
		eof.Close()
		require.NoError(t, <-served)
	}
}

// TestStockIsNeverOversold gives and sells at random, and lets news arrive late, twice or never.
func TestStockIsNeverOversold(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		const pieces = 100
		var nodes []*stock
		var news []crdt.Delta
		for i := range 4 {
			s := &stock{left: crdt.NewBoundedCounter(crdt.ReplicaID(i + 1))}
			s.left.Store().OnUpdate(func(d crdt.Delta) { news = append(news, d) })
			nodes = append(nodes, s)
		}
		nodes[0].left.Add(pieces)
		sold := 0
		for range 1500 {
			s := nodes[rng.IntN(len(nodes))]
			switch rng.IntN(3) {
			case 0:
				if s.sell() == nil {
					sold++
				}
			case 1:
				require.NoError(t, s.give(crdt.ReplicaID(1+rng.IntN(len(nodes)))))
			case 2:
				_, err := s.left.Merge(news[rng.IntN(len(news))])
				require.NoError(t, err)
			}
			require.LessOrEqual(t, sold, pieces, "seed %d", seed)
			require.Equal(t, s.soldOut() && sold < pieces, false, "seed %d: it thinks that all are sold", seed)
		}
		require.Positive(t, sold)
	}
}

// TestNoWindowAdmitsMore calls, lends and loses at random, with clocks that are apart, and a node
// that starts again.
func TestNoWindowAdmitsMore(t *testing.T) {
	const share, nodes = 10, 3
	borrowed := 0 // permits that were used beyond a node's own share of a window
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		length := 100 * time.Millisecond
		var limits [nodes]*limit
		var clocks [nodes]*clock.Clock
		var sources [nodes]*clock.Fake
		for i := range nodes {
			sources[i] = clock.NewFake(clock.At(time.Unix(1000, int64(rng.IntN(150e6)))))
			clocks[i] = clock.New(clock.WithSource(sources[i]))
			limits[i] = newLimit(crdt.ReplicaID(i+1), share, length, clocks[i].Now())
			_, ok := limits[i].admit(clocks[i].Now())
			require.False(t, ok, "it may have admitted calls before it started")
		}
		type loan struct {
			at     clock.Timestamp
			window int64
			delta  crdt.Delta
		}
		admitted := map[int64]uint64{}
		var own [nodes]map[int64]int
		for i := range own {
			own[i] = map[int64]int{}
		}
		var loans [nodes][]loan
		for range 5000 {
			i, j := rng.IntN(nodes), rng.IntN(nodes)
			sources[i].Advance(time.Duration(rng.IntN(1e6)))
			switch rng.IntN(8) {
			case 0:
				asked := limits[j].window
				if d, ok := limits[i].lend(clocks[i].Now(), asked, limits[j].id); ok {
					loans[j] = append(loans[j], loan{clocks[i].Now(), asked, d})
				}
			case 1:
				if len(loans[i]) > 0 {
					l := loans[i][rng.IntN(len(loans[i]))]
					now, err := clocks[i].Observe(l.at)
					require.NoError(t, err)
					limits[i].take(now, l.window, l.delta)
				}
			case 2:
				if rng.IntN(50) == 0 {
					limits[i] = newLimit(limits[i].id, share, length, clocks[i].Now())
				}
			default:
				if w, ok := limits[i].admit(clocks[i].Now()); ok {
					admitted[w]++
					if own[i][w]++; own[i][w] > share {
						borrowed++
					}
				}
			}
		}
		for _, n := range admitted {
			require.LessOrEqual(t, n, uint64(share*nodes), "seed %d", seed)
		}
	}
	require.Positive(t, borrowed, "what was lent was used")
}

// TestJudgeSeesWhatIsWrong gives the judge a sale that went wrong.
func TestJudgeSeesWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*story){
		"":                    func(*story) {},
		"11 pieces were sold": func(s *story) { s.sold = 11 },
		"1 pieces were lost":  func(s *story) { s.sold, s.noAnswer = 8, 1 },
		"a window admitted 7": func(s *story) { s.calls[1] = &callCount{admitted: 7} },
	} {
		s := &story{fleet: fleet{nodes: 2, stock: 10, share: 3}, out: io.Discard, sold: 10, calls: map[int64]*callCount{0: {6, 2}}}
		change(s)
		if err := s.judge(); want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}
