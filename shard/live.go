package shard

import "sync/atomic"

// Live holds the current [Map] for readers: a lookup costs one atomic load more than on the map
// itself. The zero value holds none, so Load returns nil until the first Store.
//
// It is safe for concurrent use, and linearizable: a reader sees the latest stored map, whole.
// To make several lookups agree with each other, load once and use that map for all of them.
// A Live must not be copied after first use.
type Live struct{ atomic.Pointer[Map] }
