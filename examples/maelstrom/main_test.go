package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
	"github.com/go-calm/calm/crdt"
)

func TestCommand(t *testing.T) {
	var out, again, stderr bytes.Buffer
	args := []string{"-operations", "200"}
	require.NoError(t, command(args, nil, &out, &stderr))
	require.Empty(t, stderr.String(), "no progress where there is no terminal")
	for _, name := range workloadNames {
		require.Contains(t, out.String(), name)
	}
	require.Contains(t, out.String(), "all nodes say the same")
	require.NoError(t, command(args, nil, &again, io.Discard))
	require.Equal(t, out.String(), again.String(), "the same seed gives the same run")
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"g-set":           `unexpected "g-set"`,
		"-serve echo":     `no workload "echo"; there are broadcast`,
		"-nodes 0":        "-nodes is from 1",
		"-operations 0":   "-operations is from 1",
		"-loss 1":         "-loss is from 0",
		"-loss NaN":       "-loss is from 0",
		"-latency 0":      "-latency is from 1",
		"-latency 100000": "-latency is from 1",
	} {
		require.ErrorContains(t, command(strings.Fields(args), nil, io.Discard, io.Discard), want, args)
	}
	var help bytes.Buffer
	require.ErrorIs(t, command([]string{"-h"}, nil, &help, io.Discard), flag.ErrHelp)
	require.Contains(t, help.String(), "-partition")
}

func TestWorkloadsOnBadNetworks(t *testing.T) {
	for seed := range uint64(6) {
		s := simulation{nodes: 1 + int(seed), operations: 80, latency: 1 + 4*int(seed), loss: 0.15 * float64(seed), partition: seed%2 == 1, seed: seed}
		for _, name := range workloadNames {
			r, err := s.run(name)
			require.NoError(t, err, "%s, seed %d", name, seed)
			require.Equal(t, s.operations, r.answered)
			require.Equal(t, s.partition && s.nodes > 1, r.cutOff > 0)
		}
	}
}

// TestTheClientSeesWhatIsWrong gives the judge answers that no node should give.
func TestTheClientSeesWhatIsWrong(t *testing.T) {
	set := func() *client {
		c := newClient("g-set")
		c.elements = map[string]bool{"1": true, "2": true}
		c.last = reply{"type": "read", "msg_id": 7}
		return c
	}
	require.NoError(t, set().take("n1", []byte(`{"type":"read_ok","in_reply_to":7,"value":[1,2]}`)))
	require.ErrorContains(t, set().take("n1", []byte(`{"type":"read_ok","in_reply_to":7,"value":[1,3]}`)), "3 was never added")
	require.ErrorContains(t, set().take("n1", []byte(`{"type":"read_ok","in_reply_to":7,"value":[1,1]}`)), "twice")
	require.ErrorContains(t, set().take("n1", []byte(`{"type":"read_ok","in_reply_to":6,"value":[1]}`)), "answers")
	require.ErrorContains(t, set().take("n1", []byte(`{"type":"error","in_reply_to":7,"code":10}`)), "answers")
	c := set()
	c.seen["n1"] = 2
	require.ErrorContains(t, c.take("n1", []byte(`{"type":"read_ok","in_reply_to":7,"value":[1]}`)), "had shown 2")

	c = newClient("unique-ids")
	c.last = reply{"type": "generate", "msg_id": 1}
	require.NoError(t, c.take("n1", []byte(`{"type":"generate_ok","in_reply_to":1,"id":"x"}`)))
	require.ErrorContains(t, c.take("n2", []byte(`{"type":"generate_ok","in_reply_to":1,"id":"x"}`)), "issued before")

	deaf := newNode("pn-counter", clock.New())
	deaf.receive(encode(message{"c0", "n1", encode(reply{"type": "init", "node_id": "n1", "node_ids": []string{"n1", "n2"}})}))
	c = newClient("pn-counter")
	c.sum = 3
	require.ErrorContains(t, c.check([]*node{deaf}), "n1 counts 0, not 3")
}

// begun is a node after init.
func begun(workload, id string, c *clock.Clock) *node {
	n := newNode(workload, c)
	n.receive(encode(message{"c0", id, encode(reply{"type": "init", "node_id": id, "node_ids": []string{"n1", "n2", "n3"}})}))
	return n
}

// TestIDsOfOneInstant asks all nodes at once, and each twice.
func TestIDsOfOneInstant(t *testing.T) {
	still := clock.NewFake(0)
	ids := map[any]bool{}
	for _, id := range []string{"n1", "n2", "n3"} {
		n := begun("unique-ids", id, clock.New(clock.WithSource(still)))
		for range 2 {
			r, err := n.handle("c1", request{Type: "generate"})
			require.NoError(t, err)
			ids[r["id"]] = true
		}
	}
	require.Len(t, ids, 6)
}

// TestTopology: a node talks to its neighbors, and to nobody else.
func TestTopology(t *testing.T) {
	n := begun("broadcast", "n2", clock.New())
	require.Equal(t, []crdt.ReplicaID{1, 3}, n.engine.Peers())
	_, err := n.handle("c0", request{Type: "topology", Topology: map[string][]string{"n2": {"n3", "n2", "n9"}, "n1": {"n2"}}})
	require.NoError(t, err)
	require.Equal(t, []crdt.ReplicaID{3}, n.engine.Peers())
}

// TestServe speaks to a node as Maelstrom does.
func TestServe(t *testing.T) {
	for name, c := range map[string]struct{ ask, want []string }{
		"broadcast": {
			ask:  []string{`{"type":"topology","msg_id":2,"topology":{"n1":["n2"],"n2":["n1"]}}`, `{"type":"broadcast","msg_id":3,"message":{ "a": [1] }}`, `{"type":"read","msg_id":4}`},
			want: []string{`{"type":"topology_ok","in_reply_to":2}`, `{"type":"broadcast_ok","in_reply_to":3}`, `{"type":"read_ok","in_reply_to":4,"messages":[{"a":[1]}]}`},
		},
		"g-set": {
			ask:  []string{`{"type":"read","msg_id":2}`, `{"type":"add","msg_id":3,"element":1}`, `{"type":"add","msg_id":4}`, `{"type":"read","msg_id":5}`},
			want: []string{`{"type":"read_ok","in_reply_to":2,"value":[]}`, `{"type":"add_ok","in_reply_to":3}`, `{"type":"error","in_reply_to":4,"code":12,"text":"the request has no value"}`, `{"type":"read_ok","in_reply_to":5,"value":[1]}`},
		},
		"pn-counter": {
			ask:  []string{`{"type":"add","msg_id":2,"delta":-3}`, `{"type":"add","msg_id":3,"delta":1}`, `{"type":"read","msg_id":4}`},
			want: []string{`{"type":"add_ok","in_reply_to":2}`, `{"type":"add_ok","in_reply_to":3}`, `{"type":"read_ok","in_reply_to":4,"value":-2}`},
		},
		"unique-ids": {
			ask:  []string{`{"type":"read","msg_id":2}`, `{"type":"init","msg_id":3}`, `{"type":7}`},
			want: []string{`{"type":"error","in_reply_to":2,"code":10,"text":"unique-ids has no \"read\""}`, `{"type":"error","in_reply_to":3,"code":12,"text":"initialized already"}`, `{"type":"error","in_reply_to":0,"code":12,"text":"the body is not as expected"}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in, stdin := io.Pipe()
			stdout, out := io.Pipe()
			served := make(chan error, 1)
			go func() {
				err := command([]string{"-serve", name}, in, out, io.Discard)
				out.Close()
				served <- err
			}()
			lines := bufio.NewScanner(stdout)
			ask := func(body, want string) {
				_, err := stdin.Write(encode(message{"c1", "n1", json.RawMessage(body)}))
				require.NoError(t, err)
				_, err = stdin.Write([]byte("\n"))
				require.NoError(t, err)
				for lines.Scan() {
					var m message
					require.NoError(t, json.Unmarshal(lines.Bytes(), &m))
					if m.Dest == "c1" { // and not gossip for n2
						require.JSONEq(t, want, string(m.Body))
						return
					}
				}
				t.Error("no answer")
			}
			ask(`{"type":"read","msg_id":0}`, `{"type":"error","in_reply_to":0,"code":11,"text":"not initialized"}`)
			ask(`{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1","n2"]}`, `{"type":"init_ok","in_reply_to":1}`)
			for i := range c.ask {
				ask(c.ask[i], c.want[i])
			}
			stdin.Close()
			for lines.Scan() { // gossip that is still to come
			}
			require.NoError(t, <-served)
		})
	}
}

// FuzzReceive: no line makes a node panic, and every answer is one line of JSON.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"src":"c1","dest":"n1","body":{"type":"add","msg_id":1,"element":[1,"x"]}}`))
	f.Add([]byte(`{"src":"n2","dest":"n1","body":{"type":"gossip","gossip":"AAAA"}}`))
	f.Add([]byte(`{"src":"c1","dest":"n1","body":{"type":"init","node_id":"","node_ids":[""]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, name := range workloadNames {
			n := newNode(name, clock.New(clock.WithSource(clock.NewFake(0))))
			n.receive(line)
			n.receive([]byte(`{"src":"c0","dest":"n1","body":{"type":"init","node_id":"n1","node_ids":["n1","n2"]}}`))
			for _, m := range append(n.receive(line), n.tick()...) {
				require.NotContains(t, string(encode(m)), "\n")
			}
		}
	})
}
