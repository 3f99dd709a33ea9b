// Package shard says who owns what.
//
// One concept, the [Slot], carries everything. Keys are hashed to slots, and nodes own slots.
// Who owns which slot is an immutable value, a [Map]: there is nothing to lock, two of them can be
// compared, and "what if this node left?" costs nothing but computing another.
//
// A Map needs no coordination. It is a pure function of the set of nodes and the options, so
// members that know the same set agree on the owner of every key, without a leader, a log or an
// order of events; [Map.Fingerprint] tells whether they do. Only which nodes are in the set is
// left to agree on, and a set is something that merges.
//
//	m, err := shard.New([]shard.Node{{ID: "a"}, {ID: "b", Weight: 2, Zone: "eu/rack-3"}})
//	owner := m.Owner("user:4711")   // constant time, no lock, no allocation
//	m2, err := m.Without("a")       // the same as New without a
//
// # Which type do I want?
//
//	who owns this key?                                 Map, made by New
//	the current map, for many readers                  Live
//	several owners of each key, in different zones     Replicas, Strict, Node.Zone
//	nodes of unequal size                              Node.Weight
//	the fewest moves to a new set of nodes             Map.Rebalance
//	what moves between two maps? in which steps?       Diff, Plan.Waves, Map.Apply
//	members that move slots on their own and agree     Assignments
//	load per slot; which slots to move off hot nodes   Meter, Balancer
//	a node for this request, none overloaded           Map.Pick, Loads
//	is this a good key to shard by?                    Rank, KeyReport, Skew
//	how even is it?                                    Map.Stats
//	buckets with numbers instead of names              JumpBack; Jump for compatibility
//	a hash that is the same everywhere                 Hash, HashBytes, HashUint64
//
// # How even, how stable
//
// With the default slack no node holds more than 1.05 times its fair share of the slots, and
// when one of 100 nodes leaves, the slots that move are its own and about 3 % more. Perfectly
// even maps, Slack(0), move about 40 % more; [Map.Rebalance] moves the least there is.
// What no hash can even out is a key that is a large part of the load: [Rank] finds it beforehand,
// and a [Balancer] reports it.
package shard
