// Package crdt holds conflict-free replicated data types: values that every replica may change at
// any time without asking, and that are equal wherever the same changes have arrived, in whatever
// order, however often.
//
// Each change returns a [Delta], each replica merges deltas:
//
//	a, b := crdt.NewSet[string](crdt.NewReplicaID()), crdt.NewSet[string](crdt.NewReplicaID())
//	d := a.Add("milk", "eggs")
//	changed, err := b.Merge(d)
//
// A delta may be lost, doubled or late. What a replica lacks, [Store.Since] tells from its
// [Digest]; package antientropy does so by itself over any transport.
//
// # Which type do I want?
//
//	I keep …                                use              of two changes that did not see each other
//	a set to add to and remove from         [Set]            add ∥ remove: the add wins
//	  … where removing must win             [RWSet]          add ∥ remove: the remove wins
//	  … where the clock decides             [LWWSet]         the greater stamp wins
//	  … in which what was removed stays so  [TwoPhaseSet]    add ∥ remove: the remove wins, for ever
//	  … that only grows                     [GSet]           both count
//	a count, up and down                    [Counter]        both count; remove ∥ add in a map: the add counts, the rest is gone
//	  … that only grows                     [GCounter]       both count
//	  … that must not fall below zero       [BoundedCounter] both count; a replica takes only what it holds rights to
//	one value                               [LWW]            set ∥ set: the greater stamp wins, on every replica
//	  … of which no write may get lost      [Register]       set ∥ set: both are kept until somebody chooses
//	on or off                               [Flag]           enable ∥ disable: the enable wins
//	                                        [StickyFlag]     enable ∥ disable: the disable wins
//	any of these by key, nested             [Map]            remove ∥ change: the change survives, what the remover saw is gone
//	a record of several                     [OpenStruct]     each field by its own rule
//	several of them that change together    [Store]          one [Store.Update] is one delta
//
// # How it works
//
// All types are views of one [Store]: a tree of values under one causal context. A change makes an
// event (a [Dot]: replica and number) that lives at a place; whatever it takes the place of is
// over. Merging needs only to know which events were seen and which of these live, so there are no
// tombstones, a removed entry leaves nothing behind, and one merge serves all types. Events are
// indexed by replica and number, so merge, difference and encoding walk along what both sides have.
//
// Reads come in two kinds. A monotone read ([GCounter.AtLeast] and [GSet.AtLeast] at the root,
// [Digest.Covers]) stays true once it is true and may be acted on without coordination. A snapshot
// read (all others) is what this replica sees now; more merging may revoke it.
//
// # Names of replicas
//
// A [ReplicaID] names one history. A program that starts again without the exact state it stopped
// with must take a new one ([NewReplicaID]); merging its old state into a store of the new name
// keeps all that it did. Two histories under one name are found and refused ([ErrEquivocation]).
//
// # Concurrency
//
// A store and all that is opened in it are one plain data structure: guard them by one lock, or let
// one goroutine own them. Deltas and digests are values and may be passed around freely.
//
// # Sources
//
// Almeida, Shoker and Baquero, "Delta state replicated data types" (2018); Bieniusa et al., "An
// optimized conflict-free replicated set" (2012); Enes et al., "Efficient synchronization of
// state-based CRDTs" (2019).
package crdt
