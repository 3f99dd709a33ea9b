// Package journal keeps a replica of package crdt in files, so that it survives a crash at any moment.
//
// A [Journal] is a directory with a snapshot of the state and a log of the deltas since. Every change
// goes to the log before it counts, and before anybody hears of it; a change that cannot be written
// down, because the disk is full for example, is refused whole:
//
//	j, err := journal.Open("state", journal.Options{})
//	store := crdt.NewStore(j.Replica())
//	err = j.Restore(store)                       // what the files hold; from here on changes are logged
//	d, err := store.TryUpdate(func() { … })      // durable when it returns
//	if j.Due() { err = j.Snapshot() }            // now and then, so that the log stays short
//
// # What survives
//
// A change made here is on the disk when its mutator returns: written and synced. What was merged is
// written and synced with the next change made here, or by [Journal.Sync]; call it before
// acknowledging to peers what they would otherwise send again. After a crash the state holds every change
// that was acknowledged in this sense, and at most the one that was being made.
//
// A record that a crash has torn is cut off, and [Stats] says how much that was. Damage to what was
// synced is not a torn record: [Open] then fails with [ErrCorrupt] rather than lose what others were
// told of. All of this takes the disk at its word: one that loses what it said it had synced loses it
// here too.
//
// # Names
//
// The journal remembers the name of its replica, and goes on under it, because it holds all that this
// name ever told. A directory that was lost begins as an empty one, under a new name. One that was
// restored from a backup or copied is an old state under a name that went on meanwhile: open it with
// [Options].Fresh, or its changes will be refused by whoever knows the name
// ([crdt.ErrEquivocation]).
//
// # Files
//
// All numbers are unsigned, most significant byte first; sums are CRC-32C.
//
//	snapshot   "calmsnp1", u64 generation, u64 replica, u32 sum of all but itself, a delta
//	log.N      "calmlog1", u64 generation N, u64 replica, u32 sum of those, records
//	record     u32 length, u64 how much of the log was synced before, u32 sum of those,
//	           u32 sum of the delta, a delta of that length
//
// The log of the snapshot's generation is the one that counts. A new generation begins with its empty
// log, then the snapshot is written beside the old one, synced and renamed.
//
// A directory belongs to one Journal at a time, for two would write two histories under one name: an
// empty file, lock, is locked while it is open, as far as the file system knows locks, and [Open] fails
// with [ErrLocked] meanwhile. The lock ends with the process, however that ends. A Journal is not safe
// for concurrent use: guard it together with its store.
package journal
