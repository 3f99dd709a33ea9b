// Package lattice holds state that only grows and so merges in any order: join-semilattices
// as plain Go values, and their composition.
//
// A lattice has a join: the least state above two others. It is commutative, associative and
// idempotent, so copies that are merged late, twice or in another order still come to the same
// state, with nothing to agree on. That is all a program needs that is monotone: one whose
// conclusions are never revoked by what it learns later (the CALM theorem, Hellerstein and
// Alvaro, CACM 63(9), 2020).
//
// Every type's zero value is bottom, the empty state. Types compose, with one type parameter
// a level:
//
//	var pages lattice.Map[string, lattice.Pair[lattice.Max[int64], *lattice.Set[string]]]
//	changed := pages.Merge(delta) // exactly whether anything grew
//
// # Which lattice do I want?
//
//	the greatest, the least                     Max Min, of times MaxTime MinTime, both Interval
//	whether any, whether all                    Any All
//	all that was seen                           Set, numbers IntSet, small numbers Bits, "many" BoundedSet
//	a value for each key                        Map, numbers to numbers MaxMap, small dense keys Vec
//	removed once is removed for ever            TombSet TombMap
//	several side by side                        Pair Triple
//	the newest wins                             Lex; concurrent ones are all kept Antichain
//	set once, a second value is a conflict      Flat; a log of one writer Prefix
//	what is the same as what                    UnionFind
//	the best k                                  TopK
//	how many different ones, about              HyperLogLog; and how many in common KMV
//	whether it was seen, about                  Bloom
//	a top for a lattice that has none           WithTop; nothing at all Point
//
// [Cell] shares a state among goroutines, which wait for thresholds. [Delta] finds what another
// copy lacks, [Decompose] takes a state apart, [Fold] joins many, [Fix] and [FixDelta] find
// fixed points. [MapValues], [FoldSet], [JoinKeys] and others are morphisms: they may be applied
// to deltas. Package latticetest checks the laws of a type of your own.
//
// # Reads
//
// A monotone read, once true, stays true whatever is merged later (Has, AtLeast, Contains of a
// set that grows): to act on it needs no coordination. A snapshot read (Value, Len, All, a Has
// that is false) is true of this copy now. Each method says which it is.
//
// # Memory
//
// Containers are pointers with Merge; Join is the same in the form that composition asks for,
// and consumes its receiver as append does. Neither keeps nor changes its argument. What a
// container hands out (Get, All) is to be read only. Nothing here locks but Cell.
//
// # Forms
//
// Each type has a canonical binary form: equal states have equal bytes, with a version and the
// shape of the type, so that bytes of one type are refused by another. Decoders take bytes from
// strangers: they do not panic, nor allocate out of proportion to their input, and on an error
// ([ErrMalformed]) leave their receiver as it was. JSON and String are for people.
package lattice
