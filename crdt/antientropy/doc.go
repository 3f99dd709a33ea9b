// Package antientropy makes replicas equal over a network that loses, doubles, reorders and cuts.
//
// A [Node] is a state machine, as in etcd's raft: messages go in and come out, time is a count of
// ticks, and the sockets, timers and locks are the caller's. The same seed and the same calls give
// the same bytes, so whole clusters run in a test.
//
//	set.Add("x")               // something changes here
//	rd := node.Ready()
//	save(rd.Persist)           // if the state is to survive a crash: before anything is sent
//	send(rd.Messages)          // over anything, reliable or not
//	node.Advance(rd)
//
//	node.Step(from, message)   // something arrives; then Ready again
//	node.Tick()                // ten times a second, say; then Ready again
//
// A transport is twenty to forty lines; the example shows one over net/http. It need not queue, order,
// acknowledge or repeat anything: a message that does not get through is lost, and that is all right.
// Messages are no longer than [Config.MaxFrame], and what waits for one peer is bounded by
// [Config.BufferBytes].
//
// # What it costs
//
// A change goes to each peer once, in the order in which it was made, joined with what else was
// changed meanwhile, and is acknowledged. It is not sent back to where it came from, and only
// what was new here goes on to others. What is lost is sent again after [Config.ResendTicks]. A
// peer that stays silent is sent one message now and then.
//
// Now and then peers compare fingerprints of their states, eight bytes. Where they stay different
// (a peer is new, was cut off for longer than [Config.BufferBytes] holds, or got its changes from
// somewhere else) each asks what it lacks ([crdt.Question]): what was seen of each replica, and
// fingerprints of ranges where they differ. It is sent that, and nothing else. A newcomer asks one peer
// after the other, so that it gets a state once. A peer that is gone costs a probe now and then, ever
// more rarely, and no memory.
//
// What one [crdt.Store.Update] changed arrives in one piece while the logs tell it and it fits a
// message; an answer to a question may bring parts of it one after the other.
//
// # Who talks to whom
//
// Any connected graph of peers will do; changes pass on from peer to peer. Where everybody is a
// peer of everybody, set [Config.Mesh]: then each change is told by its maker alone, and it is found
// out what is stable.
//
// A peer is named by a [crdt.ReplicaID], one for each start of a process: who starts again is a
// new peer, unless it comes back with all that it ever persisted ([Ready].Persist). Messages of one
// node must be told apart from another's by the transport; they are not authenticated here.
//
// # What is stable
//
// [Ready].Stable is what every member has seen; whatever anybody did without having seen it is here
// already. A state that has a method Compact is told, and can fuse what nobody will refer to any
// more. Members are all peers that were ever added; who is gone for ever is retired ([Node.Retire]),
// and refused if it comes back.
//
// # How many have it
//
// [Node.Write] tells when so many peers have what was changed here, [Node.Read] when what they have
// is here. What a [Majority] has taken in, whoever reads at a majority sees.
//
// Source: Enes, Almeida, Baquero and Leitão, "Efficient synchronization of state-based CRDTs"
// (ICDE 2019), for what is sent to whom.
package antientropy
