package backpressure

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDealtHandsAreDistinctAndUniform(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	const n, size, deals = 16, 4, 40000
	var at [n]int
	pairs := map[[2]int]int{}
	for range deals {
		hand := make([]int, size)
		h := rng.Uint64()
		deal(h, n, hand)
		require.True(t, slices.IsSorted(hand))
		require.Len(t, slices.Compact(slices.Clone(hand)), size)
		for i, a := range hand {
			require.True(t, 0 <= a && a < n)
			at[a]++
			for _, b := range hand[i+1:] {
				pairs[[2]int{a, b}]++
			}
		}
		again := make([]int, size)
		deal(h, n, again)
		require.Equal(t, hand, again)
	}
	for _, k := range at {
		require.InEpsilon(t, deals*size/n, k, 0.05)
	}
	require.Len(t, pairs, n*(n-1)/2)
	for _, k := range pairs {
		require.InEpsilon(t, deals*size*(size-1)/(n*(n-1)), k, 0.2)
	}
	// Exactly: each of the 20 hands of three from six comes in each of its six orders.
	hands := map[[3]int]int{}
	for h := range uint64(6 * 5 * 4) {
		var hand [3]int
		deal(h, 6, hand[:])
		hands[hand]++
	}
	require.Len(t, hands, 20)
	for hand, times := range hands {
		require.Equal(t, 6, times, hand)
	}
	all := make([]int, 5)
	deal(rng.Uint64(), 5, all)
	require.Equal(t, []int{0, 1, 2, 3, 4}, all)
}

// TestCoDelLooksAtTheLeastDelay compares with the definition, by what happened.
func TestCoDelLooksAtTheLeastDelay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const target, interval = 5, 100
		var (
			c      codel
			now    time.Duration
			begin  = time.Duration(-1)
			delays []time.Duration // of this interval
			over   bool
		)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 70).Draw(t, "later"))
			delay := time.Duration(rapid.IntRange(0, 20).Draw(t, "delay"))
			got := c.step(target, interval, now, delay)
			if begin < 0 || now >= begin+interval {
				over = len(delays) > 0 && slices.Min(delays) > target
				begin, delays = now, nil
			}
			delays = append(delays, delay)
			require.Equal(t, over && len(delays) > 1 && delay > 2*target, got)
		}
	})
}

func TestNewestFirst(t *testing.T) {
	require.False(t, newestFirst(10, 110, 100))
	require.True(t, newestFirst(10, 111, 100))
	require.True(t, newestFirst(0, 101, 100))
}

// modelLine is a line as its users see it.
type modelLine struct {
	rules rules
	all   []*entry[int] // in order of arrival
	since map[[2]int]time.Duration
}

func where(e *entry[int]) [2]int { return [2]int{e.level, int(e.tenant)} }

func (m *modelLine) like(e *entry[int]) (same []*entry[int]) {
	for _, o := range m.all {
		if where(o) == where(e) {
			same = append(same, o)
		}
	}
	return same
}

func (m *modelLine) remove(e *entry[int]) {
	m.all = slices.DeleteFunc(m.all, func(o *entry[int]) bool { return o == e })
}

func (m *modelLine) cost() (c int64) {
	for _, e := range m.all {
		c += e.cost
	}
	return c
}

// inOrder checks that the least start is on top, and that every flow is where it can be found.
func (t *tier[T]) inOrder(tb require.TestingT) {
	size, cost, shares, found := 0, int64(0), int64(0), len(t.flows)
	for _, f := range t.shared {
		if f != nil {
			found++
		}
	}
	for i, f := range t.heap {
		require.Equal(tb, i, f.index)
		if i > 0 {
			require.False(tb, t.less(i, (i-1)/2))
		}
		require.GreaterOrEqual(tb, f.start, t.now)
		size += f.size
		cost += f.cost
		if f.size > 0 {
			shares += f.share
		}
	}
	require.Equal(tb, []any{t.size, t.cost, t.shares}, []any{size, cost, shares})
	if t.fair {
		require.Len(tb, t.heap, found)
	}
	if t.fair && t.size == 0 {
		require.Empty(tb, t.heap)
		require.Zero(tb, t.now)
	}
}

// TestLineServesByItsRules drives a line through whatever can be done to it.
func TestLineServesByItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &modelLine{since: map[[2]int]time.Duration{}}
		m.rules.fair = rapid.Bool().Draw(t, "fair")
		if m.rules.lifo = rapid.Bool().Draw(t, "lifo"); m.rules.lifo {
			m.rules.after = time.Duration(rapid.IntRange(0, 30).Draw(t, "after"))
		}
		if rapid.Bool().Draw(t, "codel") {
			m.rules.target, m.rules.interval = 5, 40
		}
		levels := rapid.IntRange(1, 3).Draw(t, "levels")
		late := rapid.Bool().Draw(t, "late")
		var (
			now     time.Duration
			next    int
			dropped []*entry[int]
		)
		l := &line[int]{rules: m.rules}
		l.drop = func(e *entry[int], why Reason) {
			e.why = why
			require.Contains(t, m.all, e)
			m.remove(e)
			dropped = append(dropped, e)
		}
		draw := func(t *rapid.T) *entry[int] {
			next++
			e := &entry[int]{value: next, at: now, terms: terms{share: 1, deadline: never}}
			e.level = rapid.IntRange(1, levels).Draw(t, "level")
			if m.rules.fair {
				e.tenant = rapid.Uint64Range(0, 3).Draw(t, "tenant")
				e.share = int64(1 + e.tenant%2)
			}
			e.cost = rapid.Int64Range(1, 4).Draw(t, "cost")
			if late && rapid.Bool().Draw(t, "late") {
				e.deadline = now + time.Duration(rapid.IntRange(1, 40).Draw(t, "in"))
			}
			return e
		}
		add := func(e *entry[int]) {
			if len(m.like(e)) == 0 {
				m.since[where(e)] = now
			}
			l.add(e)
			m.all = append(m.all, e)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) { add(draw(t)) },
			"later": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(0, 25).Draw(t, "by"))
			},
			"take": func(t *rapid.T) {
				dropped = nil
				e := l.take(now)
				for _, d := range dropped {
					switch d.why {
					case Late:
						require.LessOrEqual(t, d.deadline, now)
					case Shed:
						require.Positive(t, m.rules.target)
						require.Greater(t, now-d.at, 2*m.rules.target)
					default:
						t.Fatalf("dropped as %v", d.why)
					}
				}
				if e == nil {
					require.Empty(t, m.all)
					return
				}
				require.Greater(t, e.deadline, now)
				for _, o := range m.all {
					require.LessOrEqual(t, o.level, e.level)
				}
				same := m.like(e)
				if m.rules.lifo && now-m.since[where(e)] > m.rules.after {
					require.Equal(t, same[len(same)-1], e)
				} else {
					require.Equal(t, same[0], e)
				}
				m.remove(e)
			},
			"remove": func(t *rapid.T) {
				if len(m.all) > 0 {
					e := rapid.SampledFrom(m.all).Draw(t, "who")
					l.remove(e)
					l.remove(e) // twice is harmless
					m.remove(e)
				}
			},
			"room": func(t *rapid.T) {
				dropped = nil
				e := draw(t)
				capacity := e.cost + rapid.Int64Range(0, 12).Draw(t, "capacity")
				before := slices.Clone(m.all)
				own := rapid.Bool().Draw(t, "own")
				ok := l.makeRoom(e, capacity, now, rapid.Bool().Draw(t, "oldest"), own)
				load := func(all []*entry[int], tenant uint64) (cost, shares int64) {
					seen := map[uint64]bool{e.tenant: true}
					shares = e.share
					for _, o := range all {
						if o.level == e.level {
							if !seen[o.tenant] {
								seen[o.tenant] = true
								shares += o.share
							}
							if o.tenant == tenant {
								cost += o.cost
							}
						}
					}
					return cost, shares
				}
				inTime := slices.DeleteFunc(before, func(o *entry[int]) bool { return o.why == Late })
				above := int64(0)
				for _, o := range inTime {
					if o.level > e.level {
						above += o.cost
					}
				}
				mine, shares := load(m.all, e.tenant)
				for _, d := range dropped {
					switch d.why {
					case Late:
						require.LessOrEqual(t, d.deadline, now)
					case Full:
						require.True(t, own)
						require.Equal(t, where(e), where(d))
					case Shed:
						require.LessOrEqual(t, d.level, e.level)
						if d.level < e.level {
							continue
						}
						require.NotEqual(t, e.tenant, d.tenant)
						_, shares := load(inTime, e.tenant)
						held, _ := load(inTime, d.tenant)
						require.Greater(t, held*shares, (capacity-above)*d.share, "it was within its share")
					}
				}
				if !slices.ContainsFunc(dropped, func(d *entry[int]) bool { return d.why != Late }) {
					for _, o := range m.all {
						require.Greater(t, m.like(o)[0].deadline, now, "the late go first")
					}
				}
				if n := len(dropped); n > 0 && dropped[n-1].why != Late {
					require.Greater(t, m.cost()+e.cost+dropped[n-1].cost, capacity, "no more than have to go")
				}
				if !ok {
					for _, d := range dropped {
						require.Equal(t, Late, d.why)
					}
					below := int64(0)
					for _, o := range m.all {
						if o.level < e.level {
							below += o.cost
						}
					}
					require.Greater(t, m.cost()+e.cost-below, capacity, "lower levels would have made room")
					require.Greater(t, m.cost()+e.cost, capacity)
					require.True(t, (mine+e.cost)*shares > (capacity-above)*e.share, "it was within its share")
					return
				}
				require.LessOrEqual(t, m.cost()+e.cost, capacity)
				add(e)
			},
			"": func(*rapid.T) {
				require.Equal(t, len(m.all), l.size)
				require.Equal(t, m.cost(), l.cost)
				for _, tier := range l.tiers {
					tier.inOrder(t)
				}
			},
		})
		// It ends empty, and nothing is left behind.
		now += 1000
		for l.size > 0 {
			if e := l.take(now); e != nil {
				m.remove(e)
			}
		}
		require.Empty(t, m.all)
		require.Zero(t, l.cost)
		for _, tier := range l.tiers {
			require.Zero(t, tier.shares)
			require.Zero(t, tier.cost)
		}
	})
}

// TestFairWithinTheBound: of two tenants that both have something waiting all the time, what
// each was served in proportion to its share differs by one entry of each at most.
func TestFairWithinTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenants := rapid.IntRange(2, 8).Draw(t, "tenants")
		var l line[int]
		l.fair = true
		shares := make([]int64, tenants)
		largest := make([]int64, tenants)
		served := make([]float64, tenants)
		busy := make([]bool, tenants) // since the last look
		add := func(i int) {
			cost := rapid.Int64Range(1, 9).Draw(t, "cost")
			largest[i] = max(largest[i], cost)
			l.add(&entry[int]{value: i, terms: terms{tenant: uint64(i), share: shares[i], cost: cost, deadline: never}})
		}
		for i := range tenants {
			shares[i] = rapid.Int64Range(1, 4).Draw(t, "share")
		}
		waiting := make([]int, tenants)
		for range rapid.IntRange(1, 12).Draw(t, "history") { // who came and went before
			if i := rapid.IntRange(0, tenants-1).Draw(t, "who"); rapid.Bool().Draw(t, "come") || l.size == 0 {
				add(i)
				waiting[i]++
			} else {
				waiting[l.take(0).value]--
			}
		}
		for i := range tenants {
			busy[i] = rapid.Bool().Draw(t, "busy") || i < 2
		}
		for range 60 {
			for i := range tenants {
				for busy[i] && waiting[i] < 2 {
					add(i)
					waiting[i]++
				}
			}
			e := l.take(0)
			waiting[e.value]--
			served[e.value] += float64(e.cost) / float64(e.share)
			for i := range tenants {
				for j := range i {
					if busy[i] && busy[j] {
						bound := float64(largest[i])/float64(shares[i]) + float64(largest[j])/float64(shares[j])
						require.LessOrEqual(t, served[i]-served[j], bound+1e-9)
						require.LessOrEqual(t, served[j]-served[i], bound+1e-9)
					}
				}
			}
		}
	})
}

// Who comes back at once for one more has not paid less than who waits with many.
func TestComingBackAtOnceIsNoAdvantage(t *testing.T) {
	var l line[string]
	l.fair = true
	add := func(tenant uint64, name string) {
		l.add(&entry[string]{value: name, terms: terms{tenant: tenant, share: 1, cost: 10, deadline: never}})
	}
	for range 50 {
		add(1, "waits")
	}
	add(2, "comes back")
	count := map[string]int{}
	for range 40 {
		name := l.take(0).value
		count[name]++
		if name == "comes back" {
			add(2, name)
		}
	}
	require.Equal(t, map[string]int{"waits": 20, "comes back": 20}, count)
}

// Whoever comes, is served and goes, the least start is on top.
func TestTenantsThatComeAndGoStayInOrder(t *testing.T) {
	l := line[int]{rules: rules{fair: true}}
	rng := rand.New(rand.NewPCG(3, 3))
	for range 3000 {
		if l.size < 10 || rng.IntN(2) == 0 {
			tenant := rng.Uint64N(30)
			l.add(&entry[int]{terms: terms{tenant: tenant, share: 1 + int64(tenant%3), cost: 1 + rng.Int64N(9), deadline: never}})
		} else {
			f := l.tiers[0].head()
			require.Same(t, f, l.tiers[0].heap[0])
			l.take(0)
		}
		l.tiers[0].inOrder(t)
	}
}

// A flood of tenants gets lines in common, and those who were there keep theirs.
func TestAFloodOfTenantsSharesLines(t *testing.T) {
	var l line[int]
	l.fair = true
	rng := rand.New(rand.NewPCG(7, 7))
	add := func(tenant uint64, v int) {
		l.add(&entry[int]{value: v, terms: terms{tenant: tenant, share: 1, cost: 1, deadline: never}})
	}
	for i := range 10 {
		for range 100 {
			add(uint64(i), i)
		}
	}
	greedy := rng.Uint64()
	for range 20000 {
		add(rng.Uint64(), -1)
		add(greedy, -2)
	}
	for range 20 {
		add(rng.Uint64(), -3) // late, and few
	}
	require.LessOrEqual(t, len(l.tiers[0].heap), maxFlows+sharedFlows)
	count := map[int]int{}
	for range 20 * (maxFlows + sharedFlows) {
		count[l.take(0).value]++
	}
	for i := range 10 {
		require.GreaterOrEqual(t, count[i], 19)
	}
	require.LessOrEqual(t, count[-2], 21*handSize)
	for l.size > 0 {
		if l.size%100 == 0 {
			l.tiers[0].inOrder(t)
		}
		count[l.take(0).value]++
	}
	l.tiers[0].inOrder(t)
	var all []*entry[int]
	for i := range maxFlows + sharedFlows {
		all = append(all, &entry[int]{terms: terms{tenant: uint64(i), share: 1, cost: 1, deadline: never}})
		l.add(all[i])
	}
	for _, e := range all {
		l.remove(e)
	}
	l.tiers[0].inOrder(t) // not even the lines in common are left
	require.Equal(t, 20000, count[-1])
	require.Equal(t, 20000, count[-2])
	require.Equal(t, 20, count[-3])
	require.Empty(t, l.tiers[0].heap)
	require.Empty(t, l.tiers[0].flows)
}

// Virtual time is set back before adding to it could lose anything.
func TestVirtualTimeDoesNotWearOut(t *testing.T) {
	var l line[int]
	l.fair = true
	for i := range 2 {
		for range 100 {
			l.add(&entry[int]{value: i, terms: terms{tenant: uint64(i), share: 1 + 2*int64(i), cost: far / 4, deadline: never}})
		}
	}
	count := [2]int{}
	for range 100 {
		count[l.take(0).value]++
		require.Less(t, l.tiers[0].now, 2.0*far)
		l.tiers[0].inOrder(t)
		for _, f := range l.tiers[0].heap {
			require.Less(t, f.start, 2.0*far)
		}
	}
	require.InDelta(t, 25, count[0], 1, fmt.Sprint(count))
}

func TestManyLevelsLeaveNothingBehind(t *testing.T) {
	var l line[int]
	for i := range 1000 {
		l.add(&entry[int]{value: i, terms: terms{level: i * 7 % 1000, share: 1, cost: 1, deadline: never}})
		if i%2 == 1 {
			l.take(0)
		}
	}
	last := 1000
	for l.size > 0 {
		e := l.take(0)
		require.Less(t, e.level, last)
		last = e.level
	}
	for i := range 100 {
		l.add(&entry[int]{terms: terms{level: -i, share: 1, cost: 1, deadline: never}})
		l.take(0)
	}
	require.LessOrEqual(t, len(l.tiers), spareTiers+1)
}
