// Package crdttest checks replicated data types: those of package crdt, and yours.
//
// Describe your type once, as a [Type]: how to make a replica, which operations there are, how to
// apply and merge, what a user reads, and what a user should read ([Type].Spec, the oracle: a
// function of the operations that a replica has received and of which of them saw which). Then, in a test:
//
//	crdttest.Run(t, typ)        // is it a lattice, are its deltas its state? Named laws
//	crdttest.Exhaustive(t, typ) // every schedule of a small world
//	crdttest.Simulate(t, typ)   // random worlds with every fault, shrunk
//
// # Which one when?
//
//	check        finds                                       misses                        costs
//	Run          broken algebra and codecs, by name          wrong semantics, restarts     milliseconds a law
//	Exhaustive   everything that 2 replicas in 5 steps, or   what takes more steps, saved  seconds
//	             3 in 4, can do wrong: shortest schedule     disks, clocks that move
//	Simulate     long stories: crashes, disks, partitions,   what it did not draw; raise   a tenth of a second
//	             lost, late and doubled messages             -rapid.checks at night
//
// Use all three. Laws alone pass types that are lattices of the wrong thing; the oracle of the
// other two does not.
//
// # What is checked
//
// After each step, at the replica where it happened: it reads its own writes and forgets nothing
// that it had (session guarantees); an old message changes nothing; Merge tells the truth about
// changes, takes what replicas send, and leaves its argument alone; no delta means no change; other
// replicas are untouched; the value is what the specification says, wherever the replica has all
// that its operations depend on; Invariant and Monotone hold anywhere. At the end: all replicas are
// equal, in value and bytes, after one round of exchange; so they are when every message ever sent
// has arrived once more; the specification does not depend on how a history is listed;
// metadata is within Bound.
//
// A check that could not have failed is reported too: a [Report] counts what happened, and a kind of
// fault that never occurred makes [Exhaustive] and [Simulate] fail as vacuous.
//
// # How to read a failure
//
//	crdttest: exhaustive: an old message changes nothing: r1 had everything in d1, yet merging it …
//	why it matters: networks deliver duplicates, and late: removed things come back, counts go up twice
//
//	r0   r1
//	●    │     r0: add a → d1   shows a
//	├────▶     r1 receives d1   shows a
//	│    ●     r1: remove a → d3   shows
//	├────▶     r1 receives d1   shows a
//
// The first line names the check, the property and what was found. The diagram is the schedule, time
// running downwards: ● something happens at a replica, an arrow is a message arriving. d3 is the
// delta sent in step 3, s4 a state, d1+d3 a join of two messages. Under go test, rapid prints how to run the
// same schedule again.
//
// [CheckLaws], [CheckExhaustive] and [CheckSimulation] return the same as an error, a [*Failure]: the kit's own
// tests use them to release twenty known bugs of other implementations and to state in how many
// checks each is found (TestZoo).
package crdttest
