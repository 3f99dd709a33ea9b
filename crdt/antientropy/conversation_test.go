package antientropy_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// talk is a cluster whose words are written down.
type talk struct {
	*cluster
	text strings.Builder
	lose func(from, to crdt.ReplicaID) bool
}

func newTalk(t *testing.T, n int, cfg antientropy.Config) *talk {
	return &talk{cluster: newCluster(t, n, 1, cfg, everybody)}
}

func (c *talk) say(format string, args ...any) {
	if c.text.Len() > 0 {
		c.text.WriteByte('\n')
	}
	fmt.Fprintf(&c.text, "# "+format+"\n", args...)
}

// run lets time pass, hands messages over at once, and writes down what is said.
func (c *talk) run(ticks int) {
	for range ticks {
		c.nodes[c.ids[0]].Tick()
		for _, id := range c.ids[1:] {
			if !c.down[id] {
				c.nodes[id].Tick()
			}
		}
		c.speak()
	}
}

// speak hands messages over until nobody has more to say.
func (c *talk) speak() {
	for said := true; said; {
		said = false
		for _, from := range c.ids {
			if c.down[from] {
				continue
			}
			rd := c.nodes[from].Ready()
			for _, d := range rd.Done {
				fmt.Fprintf(&c.text, "%d      ticket %d is done\n", from, d)
			}
			for _, e := range rd.Messages {
				said = true
				fmt.Fprintf(&c.text, "%d → %d  %s", from, e.To, antientropy.Describe(e.Message))
				switch {
				case c.down[e.To] || c.cut[from] != c.cut[e.To] || c.lose != nil && c.lose(from, e.To):
					c.text.WriteString("  ✗ lost")
				default:
					if err := c.nodes[e.To].Step(from, e.Message); err != nil {
						fmt.Fprintf(&c.text, "  ✗ %v", err)
					}
				}
				c.text.WriteByte('\n')
			}
			c.nodes[from].Advance(rd)
		}
	}
}

// Whole conversations are golden: what nodes say to each other changes only on purpose.
func TestConversations(t *testing.T) {
	quiet := antientropy.Config{ProbeTicks: 1 << 20}
	mesh := antientropy.Config{ProbeTicks: 1 << 20, Mesh: true, StableTicks: 4}
	acquainted := func(t *testing.T, n int, cfg antientropy.Config) *talk {
		c := newTalk(t, n, cfg)
		c.run(8)
		c.text.Reset()
		return c
	}
	for name, tell := range map[string]func(t *testing.T) *talk{
		"first-contact": func(t *testing.T) *talk {
			c := newTalk(t, 2, quiet)
			c.say("1 has three elements, 2 has one; they have never met")
			c.add(1, 1, 2, 3)
			c.add(2, 4)
			c.run(3)
			return c
		},
		"steady-state": func(t *testing.T) *talk {
			c := acquainted(t, 3, antientropy.Config{Mesh: true, StableTicks: 1 << 20, ProbeTicks: 6})
			c.say("1 changes three things one after the other")
			for i := range 3 {
				c.add(1, i)
				c.run(1)
			}
			c.say("two at once, by 2 and 3")
			c.add(2, 20)
			c.add(3, 30)
			c.run(1)
			c.say("and nothing for a while")
			c.run(8)
			return c
		},
		"loss-and-go-back": func(t *testing.T) *talk {
			c := acquainted(t, 2, quiet)
			c.say("the first of three changes of 1 is lost")
			first := true
			c.lose = func(from, to crdt.ReplicaID) bool {
				was := first
				first = false
				return was
			}
			for i := range 3 {
				c.add(1, i)
				c.run(1)
			}
			c.say("a change is lost, and nothing comes after it")
			first = true
			c.add(1, 9)
			c.run(5)
			return c
		},
		"overflow": func(t *testing.T) *talk {
			c := acquainted(t, 2, antientropy.Config{ProbeTicks: 1 << 20, BufferBytes: 100})
			c.say("2 is cut off while 1 changes more than it keeps")
			c.cut[2] = 1
			for i := range 6 {
				c.add(1, i)
			}
			c.run(1)
			c.say("it is back")
			clear(c.cut)
			c.run(4)
			return c
		},
		"restart": func(t *testing.T) *talk {
			c := acquainted(t, 2, quiet)
			c.say("2 starts again with what it had persisted, and a new log; 1 was not told")
			c.add(1, 1, 2, 3)
			c.run(1)
			saved := c.sets[2]
			c.nodes[2].Stop()
			c.nodes[2] = antientropy.NewNode(antientropy.Config{Self: 2, State: saved.Store(), Seed: 77, ProbeTicks: 1 << 20})
			c.nodes[2].AddPeer(1)
			c.add(1, 4)
			c.run(2)
			c.say("2 changes something")
			c.add(2, 5)
			c.run(2)
			return c
		},
		"dead-peer": func(t *testing.T) *talk {
			c := acquainted(t, 3, antientropy.Config{Mesh: true, StableTicks: 1 << 20, ProbeTicks: 1 << 20})
			c.say("3 is dead; 1 changes something every 40 ticks, 20 times")
			c.down[3] = true
			for i := range 20 {
				c.add(1, i)
				c.run(40)
			}
			c.say("3 is back")
			delete(c.down, 3)
			c.run(200)
			return c
		},
		"stability": func(t *testing.T) *talk {
			c := acquainted(t, 2, mesh)
			c.say("1 changes something; in time both know that both have it")
			c.add(1, 1)
			c.run(10)
			for _, id := range c.ids {
				c.say("stable at %d: %v", id, c.nodes[id].Ready().Stable.Seen(crdt.Dot{Node: 1, N: 1}))
			}
			return c
		},
		"retire": func(t *testing.T) *talk {
			c := acquainted(t, 3, mesh)
			c.say("3 is cut off, and 1 told to retire it")
			c.cut[3] = 1
			c.add(1, 1)
			c.run(1)
			c.nodes[1].Retire(3)
			c.run(16)
			for _, id := range c.ids[:2] {
				c.say("stable at %d: %v", id, c.nodes[id].Ready().Stable.Seen(crdt.Dot{Node: 1, N: 1}))
			}
			return c
		},
		"epoch-refusal": func(t *testing.T) *talk {
			c := acquainted(t, 3, mesh)
			c.cut[3] = 1
			c.nodes[1].Retire(3)
			c.run(8)
			c.text.Reset()
			c.say("3, which was retired while it was cut off, is back with a change of its own")
			clear(c.cut)
			c.add(3, 33)
			c.run(2)
			c.say("it goes on as 4, empty")
			c.start(4, 4, mesh)
			for _, id := range c.ids[:2] {
				c.nodes[id].AddPeer(4)
				c.nodes[4].AddPeer(id)
			}
			c.run(2)
			c.say("3 is among the retired at 4: %v; 33 is at 1: %v", c.nodes[4].Retired(), c.sets[1].Contains(33))
			return c
		},
		"range-resync": func(t *testing.T) *talk {
			c := newTalk(t, 2, quiet)
			for i := range 20000 {
				c.add(1, i)
				if i%3 == 0 {
					c.add(1, i) // again
				}
			}
			_, err := c.sets[2].Merge(c.sets[1].State())
			require.NoError(t, err)
			c.remove(1, 777)
			c.remove(2, 13000, 13001)
			c.add(2, -1)
			c.nodes[1].RemovePeer(2)
			c.nodes[2].RemovePeer(1)
			c.collect()
			c.flying = nil
			c.say("both have the same 20 000 elements, half of them added twice; 1 has removed one, 2 two others and added one; no log tells")
			c.nodes[1].AddPeer(2)
			c.nodes[2].AddPeer(1)
			c.run(2)
			return c
		},
		"levels": func(t *testing.T) *talk {
			c := acquainted(t, 3, quiet)
			c.say("1 writes at a majority while 3 does not hear, then at all")
			c.cut[3] = 1
			c.add(1, 1)
			c.nodes[1].Write(antientropy.Majority)
			c.run(1)
			c.nodes[1].Write(antientropy.All)
			c.run(1)
			c.say("3 is back, and reads at a majority")
			clear(c.cut)
			c.nodes[3].Read(antientropy.Majority)
			c.run(6)
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := tell(t)
			for _, id := range c.ids {
				c.say("%d: %d elements, state %016x", id, c.sets[id].Len(), c.sets[id].Store().Fingerprint())
			}
			file := filepath.Join("testdata", name+".txt")
			if *rewrite {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(file, []byte(c.text.String()), 0o644))
			}
			golden, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, strings.ReplaceAll(string(golden), "\r\n", "\n"), c.text.String(), "if this is on purpose: go test -run TestConversations -rewrite")
		})
	}
}
