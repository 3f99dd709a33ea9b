package crdt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/antientropy"
)

// world is a simulated network: what is sent in a round arrives in the next, or one time in ten not
// at all.
type world struct {
	rng   *rand.Rand
	sets  []*crdt.Set[int]
	links [][]int

	bytes, messages int
	made            int // updates
}

const loss = 0.1

// newWorld returns n replicas that hold the same elements, on a random graph in which each has eight
// neighbors (fewer only where the choice fell on the same one twice, or there are not so many).
func newWorld(n, writers, elements int) *world {
	w := &world{rng: rand.New(rand.NewPCG(1, uint64(n))), links: make([][]int, n)}
	seed := make([]*crdt.Set[int], writers)
	all := crdt.NewSet[int](1 << 40)
	for i := range seed {
		seed[i] = crdt.NewSet[int](crdt.ReplicaID(i + 1))
		for e := i; e < elements; e += writers {
			seed[i].Add(e)
		}
		if _, err := all.Merge(seed[i].State()); err != nil {
			panic(err)
		}
	}
	frames := slices.Collect(all.State().Split(1 << 10))
	for i := range n {
		s := crdt.NewSet[int](crdt.ReplicaID(i + 1))
		for _, piece := range frames { // small ones, so that no store keeps big buffers
			if _, err := s.Merge(piece); err != nil {
				panic(err)
			}
		}
		w.sets = append(w.sets, s)
	}
	linked := map[[2]int]bool{}
	for range 4 { // four random rings
		ring := w.rng.Perm(n)
		for i, a := range ring {
			b := ring[(i+1)%n]
			if a == b || linked[[2]int{a, b}] {
				continue
			}
			linked[[2]int{a, b}], linked[[2]int{b, a}] = true, true
			w.links[a], w.links[b] = append(w.links[a], b), append(w.links[b], a)
		}
	}
	return w
}

// update makes k changes at random among the first writers: nine additions of something new and one
// removal.
func (w *world) update(k, writers int) {
	for range k {
		w.made++
		s := w.sets[w.rng.IntN(writers)]
		if w.made%10 == 0 {
			for s.Remove(w.rng.IntN(1000)).IsZero() {
			}
		} else {
			s.Add(1_000_000 + w.made)
		}
	}
}

func (w *world) equal() bool {
	f := w.sets[0].Store().Fingerprint()
	for _, s := range w.sets {
		if s.Store().Fingerprint() != f {
			return false
		}
	}
	return true
}

// gossip is a way to make replicas equal: it runs one round.
type gossip func(w *world)

// engine runs a node for each replica.
func engine(w *world) gossip {
	nodes := make([]*antientropy.Node, len(w.sets))
	for i, s := range w.sets {
		nodes[i] = antientropy.NewNode(antientropy.Config{Self: crdt.ReplicaID(i + 1), State: s.Store(), Seed: uint64(i), NoChanges: true})
		for _, j := range w.links[i] {
			nodes[i].AddPeer(crdt.ReplicaID(j + 1))
		}
	}
	type letter struct {
		from    crdt.ReplicaID
		message []byte
	}
	inbox := make([][]letter, len(nodes))
	type turn struct {
		sent    []antientropy.Envelope
		arrives []bool
		rng     *rand.Rand
	}
	turns := make([]turn, len(nodes))
	for i := range turns {
		turns[i].rng = rand.New(rand.NewPCG(2, uint64(i)))
	}
	return func(w *world) {
		// Within a round nodes have nothing to do with each other, so each processor takes some.
		var wg sync.WaitGroup
		procs := runtime.GOMAXPROCS(0)
		for p := range procs {
			wg.Go(func() {
				for i := p; i < len(nodes); i += procs {
					n, t := nodes[i], &turns[i]
					for _, l := range inbox[i] {
						if err := n.Step(l.from, l.message); err != nil {
							panic(err)
						}
					}
					inbox[i] = inbox[i][:0]
					n.Tick()
					rd := n.Ready()
					t.sent, t.arrives = rd.Messages, t.arrives[:0]
					for range rd.Messages {
						t.arrives = append(t.arrives, t.rng.Float64() >= loss)
					}
					n.Advance(rd)
				}
			})
		}
		wg.Wait()
		for i := range turns {
			for k, e := range turns[i].sent {
				w.bytes += len(e.Message)
				w.messages++
				if turns[i].arrives[k] {
					inbox[e.To-1] = append(inbox[e.To-1], letter{crdt.ReplicaID(i + 1), e.Message})
				}
			}
			turns[i].sent = nil
		}
	}
}

// fullState sends each replica's whole state to one neighbor at random in each round.
func fullState(*world) gossip {
	return func(w *world) {
		states := make([]crdt.Delta, len(w.sets))
		for i, s := range w.sets {
			states[i] = s.State()
		}
		for i := range w.sets {
			to := w.links[i][w.rng.IntN(len(w.links[i]))]
			w.bytes += states[i].Len()
			w.messages++
			if w.rng.Float64() >= loss {
				if _, err := w.sets[to].Merge(states[i]); err != nil {
					panic(err)
				}
			}
		}
	}
}

// measure lets the nodes get to know each other, then makes updates in each of some rounds, and
// counts until all are equal again. It returns the rounds from the last update on.
func measure(w *world, g gossip, perRound, rounds, writers int) int {
	for range 10 {
		g(w)
	}
	w.bytes, w.messages, w.made = 0, 0, 0
	for range rounds {
		w.update(perRound, writers)
		g(w)
	}
	for tail := 0; ; tail++ {
		if w.equal() {
			return tail
		}
		g(w)
	}
}

// BenchmarkGossip simulates clusters in which a tenth of all messages is lost: rounds from the last
// update until all replicas are equal, bytes that a replica sends for each update made anywhere, and
// how much more gossip of whole states sends, at one update a round for every hundred replicas, ten at
// most. Of more than a thousand replicas a hundred write, and for fewer rounds. CALM_SCALE adds a size:
//
//	CALM_SCALE=10000 go test -run - -bench Gossip/10000 -benchtime 1x ./crdt
func BenchmarkGossip(b *testing.B) {
	sizes := []int{3, 64}
	if more, err := strconv.Atoi(os.Getenv("CALM_SCALE")); err == nil {
		sizes = append(sizes, more)
	}
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			writers, perRound, rounds, elements := n, max(1, n/100), 40, 1000
			if n > 1000 {
				writers, perRound, rounds = 100, 10, 10 // memory is replicas × writers
				defer debug.SetMemoryLimit(debug.SetMemoryLimit(2_500 << 20))
				defer debug.SetGCPercent(debug.SetGCPercent(400))
			}
			for range b.N {
				w := newWorld(n, writers, elements)
				tail := measure(w, engine(w), perRound, rounds, writers)
				each := float64(w.bytes) / float64(n*w.made)
				b.ReportMetric(float64(tail), "rounds")
				b.ReportMetric(each, "B/replica/update")
				b.ReportMetric(float64(w.messages)/float64(n*(rounds+tail)), "messages/replica/round")
				b.ReportMetric(float64(w.sets[0].State().Len()), "state-B")
				w = nil
				f := newWorld(n, writers, elements)
				ftail := measure(f, fullState(f), perRound, rounds, writers)
				full := float64(f.bytes) / float64(n*f.made)
				b.ReportMetric(float64(ftail), "full-state-rounds")
				b.ReportMetric(full, "full-state-B/replica/update")
				b.ReportMetric(full/each, "ratio")
			}
		})
	}
}

// What a cluster says to become equal is in proportion to what changed, not to what it holds, and is not
// much: whatever is told once too often shows here.
func TestGossipCostsWhatChanged(t *testing.T) {
	per := map[int]float64{}
	for _, elements := range []int{1000, 10_000} {
		w := newWorld(64, 64, elements)
		tail := measure(w, engine(w), 1, 20, 64)
		if tail > 20 {
			t.Errorf("%d rounds until 64 replicas are equal", tail)
		}
		per[elements] = float64(w.bytes) / float64(64*w.made)
	}
	if per[1000] > 500 || per[10_000] > 1.1*per[1000] {
		t.Errorf("bytes a replica and update by elements held: %v", fmt.Sprint(per))
	}
}
