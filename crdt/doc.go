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
//	I keep …                                use
//	a set to add to and remove from         Set
//	  … where removing must win             RWSet
//	  … where the clock decides             LWWSet
//	  … in which what was removed stays so  TwoPhaseSet
//	  … that only grows                     GSet
//	a count, up and down                    Counter
//	  … that only grows                     GCounter
//	  … that must not fall below zero       BoundedCounter
//	one value                               LWW
//	  … of which no write may get lost      Register
//	on or off                               Flag, StickyFlag
//	any of these by key, nested             Map; sets and counts by key also MultiMap, CounterMap
//	a record of several                     OpenStruct
//	several of them that change together    Store: one Store.Update is one delta
//
// What becomes of two changes (∥) that did not see each other:
//
//	Set             add ∥ remove            the add wins: the element is in
//	                reset ∥ add             of {1, 2}, removed from its map ∥ add of 2, 3: it is {2, 3}
//	RWSet           add ∥ remove            the remove wins: the element is out, until it is added again
//	LWWSet          add ∥ remove            the greater stamp wins; of equal ones the greater replica's
//	TwoPhaseSet     add ∥ remove            the remove wins, for ever
//	GSet            add ∥ add               both are in
//	Counter         add ∥ add               both count
//	                reset ∥ add             of 5, removed from its map ∥ +1: it is 1
//	                reset ∥ reset           of 5: it is 0
//	GCounter        add ∥ add               both count
//	                reset ∥ add             as with Counter
//	BoundedCounter  sub ∥ sub               both count: each replica subtracts only what it holds rights to
//	                sub ∥ transfer          the rights are gone from here before they are there
//	LWW             set ∥ set               the greater stamp wins; of equal ones the greater replica's
//	                set ∥ clear             the set counts
//	Register        set ∥ set               both values are kept, until a write that has seen them
//	                set ∥ clear             the set counts
//	Flag            enable ∥ disable        it is on
//	StickyFlag      enable ∥ disable        it is off
//	Map, MultiMap,  remove ∥ change below   the change survives; what the remover saw is gone
//	CounterMap      change ∥ change         each by the rule of what is there
//	struct          change ∥ change         each field by its own rule
//	                Delete ∥ change         as with Map: the change survives, and nothing else
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
// [Store.Observe] tells what a delta changed, [Store.Invert] undoes one, and a [Log] has each one
// written down before it counts; package journal is one in files.
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
