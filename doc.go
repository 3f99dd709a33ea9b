// Package calm is the map of a library of coordination-avoidance primitives: what
// lets the parts of a distributed program go on without first agreeing. It holds no
// code; the packages below it do.
//
// A distributed program is slow where its parts must agree before they go on, and
// most of the time they need not. What only grows can be merged in any order. What has
// one owner needs no agreement. What is bounded can refuse work without a view of the
// whole. What bears a causal timestamp can be ordered later. Each package is one of
// these answers, and none of the five asks for another but crdt, which stands on clock.
//
// # What replicates
//
// Values that every replica changes at will, and that are equal wherever the same changes
// have arrived: package [github.com/go-calm/calm/crdt].
//
//	I want to …                                              use
//	keep a set that every replica adds to and removes from   crdt.Set
//	… where removing wins, or the clock decides              crdt.RWSet, crdt.LWWSet
//	… that only grows, or in which removed stays removed     crdt.GSet, crdt.TwoPhaseSet
//	count on every replica, up and down                      crdt.Counter
//	count up only, and act when a number is reached          crdt.GCounter
//	count down, and never below zero                         crdt.BoundedCounter
//	keep one value, the last one written                     crdt.LWW
//	keep one value, and lose no write                        crdt.Register
//	keep a switch                                            crdt.Flag, crdt.StickyFlag
//	keep any of these by key, nested                         crdt.Map
//	keep a record of several of these                        crdt.OpenStruct
//	change several of them in one step                       crdt.Store
//	keep a replica in files, across crashes                  journal.Open
//	keep replicas equal over any transport                   antientropy.Node
//	test that what I built of them converges                 crdttest.Run
//
// # What merges
//
// State that only grows, as plain Go values: package [github.com/go-calm/calm/lattice].
//
//	I want to …                                              use
//	keep a high or a low mark                                lattice.Max, lattice.Min, lattice.MaxTime
//	know whether it happened anywhere, or everywhere         lattice.Any, lattice.All
//	collect what was seen                                    lattice.Set, lattice.IntSet, lattice.Bits
//	merge by key                                             lattice.Map, lattice.MaxMap
//	merge several things side by side                        lattice.Pair, lattice.Triple, lattice.Vec
//	keep the newest, or all that none is newer than          lattice.Lex, lattice.Antichain
//	agree on one value, or know that there were two          lattice.Flat
//	count distinct things in little memory                   lattice.HyperLogLog, lattice.KMV
//	remember what was seen in little memory                  lattice.Bloom
//	keep the largest few                                     lattice.TopK
//	remove for good                                          lattice.TombSet, lattice.TombMap
//	wait until enough is known                               lattice.Cell
//	send only what the other side lacks                      lattice.Delta
//	check the laws of a lattice of my own                    latticetest.Run
//
// # When
//
// Timestamps, version vectors and causal order: package [github.com/go-calm/calm/clock].
//
//	I want to …                                              use
//	stamp events so that causes come first                   clock.Clock
//	… and never stamp one twice, not after a crash           clock.Open
//	store, print and compare such stamps                     clock.Timestamp
//	break ties between nodes                                 clock.Stamp
//	carry stamps from program to program                     clock.Carrier, clockhttp.Handler
//	count instead of telling the time                        clock.Lamport
//	know which of two versions came first, or neither        clock.Vector
//	remember which events I have seen, gaps and all          clock.Context
//	keep versions of which none replaces the other           clock.Siblings
//	order versions where nodes come and go                   clock.Tree
//	deliver messages after their causes                      clock.Inbox
//	know what every member has seen                          clock.Stability
//	find out whose clock is off                              clock.Skew
//
// # Who owns what
//
// Placement that every process computes alike: package [github.com/go-calm/calm/shard].
//
//	I want to …                                              use
//	find the node that owns a key                            shard.Map
//	change the nodes while others look keys up               shard.Live
//	move as little as possible, step by step                 shard.Plan, shard.Diff
//	move load off hot nodes                                  shard.Meter, shard.Balancer
//	choose a node that is not overloaded                     shard.Loads
//	find out whether a key is good to shard by               shard.Rank, shard.Skew
//	number buckets without a table                           shard.JumpBack
//	hash alike in every process and release                  shard.Hash
//	give each key one owner that handles its messages        entity.New
//
// # How much
//
// What happens at full capacity: package [github.com/go-calm/calm/backpressure].
//
//	I want to …                                              use
//	hand work over through a bounded queue                   backpressure.Queue
//	bound how much runs at once                              backpressure.Limiter
//	lose one shard and not all of them                       backpressure.Breaker
//	let a growing share of keys through                      backpressure.Gate
//	tell a sender how much it may still send                 backpressure.Credits
//	join two stages of a pipeline                            backpressure.Pipe
//	not send what will be refused                            backpressure.Throttle
//	try again, and make no outage worse                      backpressure.Retry, backpressure.Budget
//	say, or learn, why work was refused                      backpressure.Overload
//
// Reads come in two kinds, and the comment of each method says which it is. A monotone
// read, once true, stays true whatever is merged, and may be acted on without asking
// anyone. A snapshot read is true of this replica now.
//
// None of the packages has an init function, changes a package variable, logs, or
// starts a goroutine that its owner cannot stop. Programs that a person runs are in
// the nested module examples.
package calm
