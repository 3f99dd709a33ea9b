package entity

import "sync/atomic"

// slots is a set of slots, a bit for each, so that looking does not push much else out of the cache.
type slots []atomic.Uint64

func (s slots) has(slot int) bool { return s[slot>>6].Load()>>(slot&63)&1 != 0 }
func (s slots) add(slot int)      { s[slot>>6].Or(1 << (slot & 63)) }
func (s slots) remove(slot int)   { s[slot>>6].And(^uint64(1 << (slot & 63))) }
