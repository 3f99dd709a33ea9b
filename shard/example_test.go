package shard_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-calm/calm/shard"
)

func ExampleNew() {
	m, err := shard.New([]shard.Node{{ID: "ann"}, {ID: "bob"}, {ID: "cat"}})
	if err != nil {
		panic(err)
	}
	for _, key := range []string{"user:1", "user:2", "user:3"} {
		fmt.Println(key, m.Owner(key).ID)
	}
	s := m.Stats()
	fmt.Printf("%d slots, the fullest node at %.2f of its share\n", s.Slots, s.Peak)
	// Output:
	// user:1 ann
	// user:2 ann
	// user:3 bob
	// 4096 slots, the fullest node at 1.02 of its share
}

func ExampleMap_Owners() {
	m, err := shard.New([]shard.Node{
		{ID: "ann", Zone: "eu"}, {ID: "bob", Zone: "eu"}, {ID: "cat", Zone: "us"}, {ID: "dan", Zone: "us"},
	}, shard.Replicas(2))
	if err != nil {
		panic(err)
	}
	for n := range m.Owners(m.Slot("user:1")) {
		fmt.Println(n.ID, n.Zone)
	}
	// Output:
	// ann eu
	// dan us
}

func ExampleMap_Without() {
	m, err := shard.New([]shard.Node{{ID: "ann"}, {ID: "bob"}, {ID: "cat"}})
	if err != nil {
		panic(err)
	}
	without, err := m.Without("bob")
	if err != nil {
		panic(err)
	}
	again, err := without.With(shard.Node{ID: "bob"})
	if err != nil {
		panic(err)
	}
	fmt.Println(m.Fingerprint() == without.Fingerprint(), m.Fingerprint() == again.Fingerprint())

	_, err = m.Without("eve")
	fmt.Println(errors.Is(err, shard.ErrUnknown), err)
	// Output:
	// false true
	// true shard: node "eve": no such node in the map; Map.Nodes yields those there are
}

func ExampleLive() {
	var live shard.Live
	m, err := shard.New([]shard.Node{{ID: "ann"}, {ID: "bob"}})
	if err != nil {
		panic(err)
	}
	live.Store(m) // whenever membership changes

	now := live.Load() // once per request
	fmt.Println(now.Owner("user:1").ID == m.Owner("user:1").ID)
	// Output: true
}

func ExampleStrict() {
	_, err := shard.New([]shard.Node{{ID: "ann"}, {ID: "bob"}}, shard.Replicas(3), shard.Strict())
	fmt.Println(err)
	// Output: shard: too few nodes or zones for the replicas; add some, or ask for fewer replicas: replicas 3, nodes 2
}

func ExampleNodeError() {
	_, err := shard.New([]shard.Node{{ID: "ann", Weight: -1}})
	var bad *shard.NodeError
	fmt.Println(errors.As(err, &bad), bad.ID, errors.Is(err, shard.ErrWeight))
	// Output: true ann true
}

func ExampleOptionError() {
	_, err := shard.New([]shard.Node{{ID: "ann"}}, shard.Slots(1000))
	fmt.Println(err)
	// Output: shard: Slots 1000: must be a power of two from 1 to 1<<24; leave the option out to have it chosen
}

func ExampleJumpBack() {
	// Where a key lies changes rarely as buckets are added, and then to the new one.
	h := shard.Hash("user:1", 0)
	for _, n := range []int{4, 5, 6, 7, 8} {
		fmt.Print(shard.JumpBack(h, n), " ")
	}
	// Output: 3 4 4 4 4
}

func ExampleJump() {
	fmt.Println(shard.Jump(42, 57))
	// Output: 43
}

func ExampleHash() {
	fmt.Printf("%x %x\n", shard.Hash("user:1", 0), shard.Hash("user:1", 1))
	// Output: 3b73022fd91e4012 1066edc72552058
}

func ExampleMap_Rebalance() {
	ann, bob, cat := shard.Node{ID: "ann"}, shard.Node{ID: "bob"}, shard.Node{ID: "cat"}
	m, err := shard.New([]shard.Node{ann, bob}, shard.Slots(16), shard.Slack(0))
	if err != nil {
		panic(err)
	}
	next, plan := m.Rebalance([]shard.Node{ann, bob, cat})
	if plan.Err != nil {
		panic(plan.Err)
	}
	fmt.Print(plan)
	fmt.Print("in waves of")
	for wave := range plan.Waves(2) {
		fmt.Print(" ", len(wave))
	}
	fmt.Println()
	fmt.Println(len(shard.Diff(m, next).Moves))
	// Output:
	// 5 moves, at least 5 needed
	// fullest node 1.000 → 1.125 of its share, emptiest 1.000 → 0.937
	//   ann                      sends 3, receives 0
	//   bob                      sends 2, receives 0
	//   cat                      sends 0, receives 5
	// in waves of 2 2 1
	// 5
}

func ExampleMap_Apply() {
	m, err := shard.New([]shard.Node{{ID: "ann"}, {ID: "bob"}}, shard.Slots(16))
	if err != nil {
		panic(err)
	}
	from := m.Owner("user:1")
	to := map[string]string{"ann": "bob", "bob": "ann"}[from.ID]
	m2, err := m.Apply(shard.Plan{Moves: []shard.Move{{Slot: m.Slot("user:1"), From: from.ID, To: to}}})
	if err != nil {
		panic(err)
	}
	fmt.Println(from.ID, "→", m2.Owner("user:1").ID)

	_, err = m2.Apply(shard.Plan{Moves: []shard.Move{{Slot: 3, From: "eve", To: "ann"}}})
	fmt.Println(errors.Is(err, shard.ErrPlan))
	// Output:
	// ann → bob
	// true
}

func ExampleAssignments() {
	m, err := shard.New([]shard.Node{{ID: "ann"}, {ID: "bob"}}, shard.Slots(16))
	if err != nil {
		panic(err)
	}
	// Two members assign slots on their own and exchange what they did.
	var here, there shard.Assignments
	if _, err := here.Assign(3, "ann"); err != nil {
		panic(err)
	}
	if _, err := there.Assign(4, "bob"); err != nil {
		panic(err)
	}
	here.Merge(&there)
	there.Merge(&here)
	fmt.Println(here.On(m).Fingerprint() == there.On(m).Fingerprint(), here.Len())
	// Output: true 2
}

func ExampleBalancer() {
	m, err := shard.New([]shard.Node{{ID: "ann"}, {ID: "bob"}}, shard.Slots(8), shard.Slack(0))
	if err != nil {
		panic(err)
	}
	load := []float64{1, 1, 1, 1, 1, 1, 1, 20} // of each slot, as a Meter measures it
	p := shard.Balancer{}.Propose(m, load)
	if p.Err != nil {
		panic(p.Err)
	}
	fmt.Printf("peak %.2f → %.2f by %d moves\n", p.PeakBefore, p.PeakAfter, len(p.Moves))
	for _, h := range p.Hot {
		fmt.Println("slot", h.Slot, "is hot:", h.Why)
	}
	m, err = m.Apply(p.Plan)
	fmt.Println(err)

	var bad *shard.LoadError
	if p := (shard.Balancer{}).Propose(m, load[:7]); errors.As(p.Err, &bad) {
		fmt.Println("loads of", bad.Value, "slots:", bad.Reason)
	}
	// Output:
	// peak 1.70 → 1.48 by 3 moves
	// slot 7 is hot: alone it is 1.5 times what the largest node should carry: split its keys into 2 slots, or serve it from 2 replicas
	// <nil>
	// loads of 7 slots: the map has 8 slots; give each its load
}

func ExampleMeter() {
	meter := shard.NewMeter(1024, 30*time.Second)
	for range 50 {
		meter.Add(7, 1) // with every request
	}
	load := meter.Roll(10 * time.Second) // every ten seconds
	fmt.Println(load[7], "requests per second")
	// Output: 5 requests per second
}

func ExampleMap_Pick() {
	m, err := shard.New([]shard.Node{{ID: "ann"}, {ID: "bob"}, {ID: "cat"}})
	if err != nil {
		panic(err)
	}
	inflight := shard.NewLoads(m)
	for range 4 { // one hot key, its requests all in flight at once
		n := m.Pick("hot", inflight, 0.25)
		fmt.Print(n.ID, " ")
		defer inflight.Done(n)
	}
	// Output: bob cat bob cat
}

func ExampleLoads() {
	m, err := shard.New([]shard.Node{{ID: "ann"}})
	if err != nil {
		panic(err)
	}
	inflight := shard.NewLoads(m)
	n := m.Pick("key", inflight, 0.25)
	fmt.Println(inflight.Load("ann"))
	inflight.Done(n)
	fmt.Println(inflight.Load("ann"))
	// Output:
	// 1
	// 0
}

func ExampleRank() {
	type order struct {
		customer string
		id       int
	}
	var orders []order
	for i := range 10_000 {
		customer := fmt.Sprint("customer-", i%500)
		if i%3 == 0 {
			customer = "the-big-one"
		}
		orders = append(orders, order{customer, i})
	}
	for _, r := range shard.Rank(slices.Values(orders), 64, map[string]func(order) string{
		"customer": func(o order) string { return o.customer },
		"order":    func(o order) string { return fmt.Sprint(o.id) },
	}) {
		fmt.Printf("%s is %s: at most %.0f shards can be busy\n", r.Name, r.Verdict(), r.Ceiling)
	}
	// Output:
	// order is good: at most 10000 shards can be busy
	// customer is bad: at most 3 shards can be busy
}

func ExampleSkew() {
	here, there := shard.NewSkew("here", 100), shard.NewSkew("there", 100)
	for range 70 {
		here.Add("hot")
	}
	for range 30 {
		there.Add("cold")
	}
	here.Merge(there)
	here.Merge(there) // counts once
	r := here.Report(8)
	fmt.Println(r.Events, r.Top[0].Key, r.Top[0].Count, r.MaxShare)
	// Output: 100 hot 70 0.7
}

func ExampleSkew_MarshalBinary() {
	there := shard.NewSkew("there", 100)
	there.Add("cold")
	sent, _ := there.MarshalBinary()

	here, received := shard.NewSkew("here", 100), new(shard.Skew)
	here.Add("hot")
	if err := received.UnmarshalBinary(sent); err != nil {
		fmt.Println(err)
	}
	here.Merge(received)
	fmt.Println(here.Report(8).Events)
	// Output: 2
}

func ExampleKeyReport() {
	s := shard.NewSkew("here", 100)
	for _, key := range []string{"a", "a", "b", "a"} {
		s.Add(key)
	}
	fmt.Println(s.Report(2).Ceiling <= 1.34)
	// Output: true
}
