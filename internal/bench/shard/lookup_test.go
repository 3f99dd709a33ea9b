// Package shard_test measures calm's shard beside its peers, in one run:
//
//	go test ./shard/ -run '^$' -bench . -benchtime 200ms -count 6
//
// Two cores cannot show what happens on sixteen and more. A lookup on a Map touches the key, one
// line of the Map itself, one line of the table and one of the nodes, and writes nothing, so all
// lines stay shared in every core's cache; a lock-based peer writes the lock's line at each
// lookup, which then travels between all cores.
//
// What a lookup consists of, on the machine of the tables, where nothing misses the second-level
// cache: some 55 instructions for a string of 13 bytes, two thirds of them the hash, its call and this
// loop; 34 for an integer, of which the two multiplications of the hash and their constants are 13, the
// table 12 and this loop 9. A hash of one multiplication would save 6, a fifth of the time, and tell keys
// apart worse.
package shard_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dgryski/go-jump"
	"github.com/dgryski/go-rendezvous"
	"github.com/golang/groupcache/consistenthash"
	kkmaglev "github.com/kkdai/maglev"
	"github.com/serialx/hashring"

	"github.com/go-calm/calm/shard"
)

var (
	nodeSink *shard.Node
	textSink string
	intSink  int
)

const keyCount = 1 << 16

func testKeys() []string {
	keys := make([]string, keyCount)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%08d", i)
	}
	return keys
}

func names(n int) []string {
	s := make([]string, n)
	for i := range s {
		s[i] = fmt.Sprintf("node-%05d.dc1.example:8080", i)
	}
	return s
}

func nodes(n int) []shard.Node {
	s := make([]shard.Node, n)
	for i, name := range names(n) {
		s[i] = shard.Node{ID: name}
	}
	return s
}

func hash(s string) uint64 { return shard.Hash(s, 0) }

// maglev is a Maglev table (Eisenbud et al. 2016, section 3.4) in the way dgryski/go-maglev fills
// and reads one, for that module is not served everywhere: an int for each entry, found by a remainder.
type maglev struct{ entries []int }

func newMaglev(nodes []string, size uint64) *maglev {
	m := &maglev{entries: make([]int, size)}
	for i := range m.entries {
		m.entries[i] = -1
	}
	offset, skip, next := make([]uint64, len(nodes)), make([]uint64, len(nodes)), make([]uint64, len(nodes))
	for i, n := range nodes {
		offset[i], skip[i] = shard.Hash(n, 1)%size, shard.Hash(n, 2)%(size-1)+1
	}
	for filled := uint64(0); ; {
		for i := range nodes {
			at := (offset[i] + skip[i]*next[i]) % size
			for m.entries[at] >= 0 {
				next[i]++
				at = (offset[i] + skip[i]*next[i]) % size
			}
			m.entries[at] = i
			next[i]++
			if filled++; filled == size {
				return m
			}
		}
	}
}

func (m *maglev) lookup(h uint64) int { return m.entries[h%uint64(len(m.entries))] }

func BenchmarkLookup(b *testing.B) {
	keys := testKeys()
	for _, n := range []int{10, 100, 1000, 10_000} {
		run := func(name string, f func(i int)) {
			b.Run(fmt.Sprintf("%s/nodes=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					f(i & (keyCount - 1))
				}
			})
		}
		m, err := shard.New(nodes(n))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("calm.Owner/nodes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				nodeSink = m.Owner(keys[i&(keyCount-1)])
			}
		})
		b.Run(fmt.Sprintf("calm.OwnerUint64/nodes=%d", n), func(b *testing.B) {
			for i := range b.N {
				nodeSink = m.OwnerUint64(uint64(i))
			}
		})
		size := map[int]uint64{10: 65_537, 100: 65_537, 1000: 655_373, 10_000: 1_000_003}[n]
		mag, list := newMaglev(names(n), size), names(n)
		b.Run(fmt.Sprintf("maglev/nodes=%d", n), func(b *testing.B) {
			for i := range b.N {
				textSink = list[mag.lookup(hash(keys[i&(keyCount-1)]))]
			}
		})
		run("go-jump", func(i int) { intSink = int(jump.Hash(hash(keys[i]), n)) })
		run("calm.JumpBack", func(i int) { intSink = shard.JumpBack(hash(keys[i]), n) })
		if n > 1000 {
			continue
		}
		rdv := rendezvous.New(names(n), hash)
		run("go-rendezvous", func(i int) { textSink = rdv.Lookup(keys[i]) })
		ring := consistenthash.New(50, nil)
		ring.Add(names(n)...)
		run("groupcache", func(i int) { textSink = ring.Get(keys[i]) })
		sx := hashring.New(names(n))
		run("serialx", func(i int) { textSink, _ = sx.GetNode(keys[i]) })
		if n <= 100 {
			kk, err := kkmaglev.NewMaglev(names(n), 65_537)
			if err != nil {
				b.Fatal(err)
			}
			run("kkdai-maglev", func(i int) { textSink, _ = kk.Get(keys[i]) })
		}
	}
}

// BenchmarkReadersUnderChange looks up from two goroutines while the membership changes every 5 ms.
// Of the peers, kkdai-maglev is one that takes a lock for a lookup; maglev+RWMutex is the least that
// any could cost behind one. With two cores its line travels between two caches only.
func BenchmarkReadersUnderChange(b *testing.B) {
	keys := testKeys()
	all := nodes(100)
	both := func(name string, lookup func(key string), change func(step int)) {
		b.Run(name, func(b *testing.B) {
			stop := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				tick := time.NewTicker(5 * time.Millisecond)
				defer tick.Stop()
				for step := 0; ; step++ {
					select {
					case <-stop:
						return
					case <-tick.C:
						change(step)
					}
				}
			})
			b.SetParallelism(1)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					lookup(keys[i&(keyCount-1)])
				}
			})
			close(stop)
			wg.Wait()
		})
	}
	var live shard.Live
	with, err := shard.New(all)
	if err != nil {
		b.Fatal(err)
	}
	without, err := with.Without(all[0].ID)
	if err != nil {
		b.Fatal(err)
	}
	maps := []*shard.Map{with, without}
	live.Store(with)
	both("calm.Live", func(k string) { live.Load().Owner(k) }, func(step int) { live.Store(maps[step%2]) })

	var mu sync.RWMutex
	mag := newMaglev(names(100), 65_537)
	both("maglev+RWMutex", func(k string) {
		mu.RLock()
		mag.lookup(hash(k))
		mu.RUnlock()
	}, func(int) {
		mu.Lock()
		mag = &maglev{mag.entries}
		mu.Unlock()
	})
	kk, err := kkmaglev.NewMaglev(names(10), 65_537)
	if err != nil {
		b.Fatal(err)
	}
	both("kkdai-maglev", func(k string) { _, _ = kk.Get(k) }, func(int) {})
}

// BenchmarkBuild makes maps from nothing and from one another. What With leaves behind with 1 000 nodes
// and 65 536 slots is 190 kB: two bytes a slot, 40 a node, a bit a slot for what is where it likes best,
// four a node for how many slots it has, and what lower bounds moved. What else With and Without need
// on the way they leave to the next of them; short runs count what the first of them makes.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{100, 1000} {
		set := nodes(n)
		m, err := shard.New(set, shard.Slots(1<<16))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("calm.New/nodes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = shard.New(set, shard.Slots(1<<16))
			}
		})
		// Changes of a walk, for some cost more than others: those at which every node's bounds move.
		b.Run(fmt.Sprintf("calm.Without/nodes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i, at := 0, m; b.Loop(); i++ {
				if i%32 == 0 {
					at = m
				}
				at, _ = at.Without(set[i%32*n/40].ID)
			}
		})
		b.Run(fmt.Sprintf("calm.With/nodes=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i, at := 0, m; b.Loop(); i++ {
				if i%32 == 0 {
					at = m
				}
				at, _ = at.With(shard.Node{ID: fmt.Sprint("new", i)})
			}
		})
		b.Run(fmt.Sprintf("maglev/nodes=%d", n), func(b *testing.B) {
			for b.Loop() {
				newMaglev(names(n), 65_537)
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	m, err := shard.New(nodes(100), shard.Slots(1<<14), shard.Slack(0))
	if err != nil {
		b.Fatal(err)
	}
	more := nodes(101)
	b.Run("calm.Rebalance/slots=16384/nodes=100+1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Rebalance(more)
		}
	})
	b.Run("franz-go-sticky/slots=16384/nodes=100+1", func(b *testing.B) {
		plan := newSticky(b, 1<<14, 100)
		b.ReportAllocs()
		for b.Loop() {
			plan()
		}
	})
	zoned := nodes(102)
	for i := range zoned {
		zoned[i].Zone = fmt.Sprint(i % 3)
	}
	m3, err := shard.New(zoned[:99], shard.Slots(1<<14), shard.Replicas(3))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("calm.Rebalance/replicas=3/zones=3", func(b *testing.B) {
		for b.Loop() {
			m3.Rebalance(zoned)
		}
	})
}

func BenchmarkSkew(b *testing.B) {
	keys := testKeys()
	b.Run("distinct", func(b *testing.B) {
		s := shard.NewSkew("", 0)
		b.ReportAllocs()
		for i := range b.N {
			s.Add(keys[i&(keyCount-1)])
		}
	})
	b.Run("few", func(b *testing.B) {
		s := shard.NewSkew("", 0)
		for i := range b.N {
			s.Add(keys[i*i&1023])
		}
	})
	m := shard.NewMeter(1<<12, time.Second)
	b.Run("Meter.Add", func(b *testing.B) {
		for i := range b.N {
			m.Add(shard.Slot(i&4095), 1)
		}
	})
}
