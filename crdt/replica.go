package crdt

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/go-calm/calm/clock"
)

// ReplicaID names one incarnation of one replica: whoever starts again without the exact state it
// stopped with takes a new one ([NewReplicaID]), because two histories under one name cannot be
// merged. The zero value names nobody.
type ReplicaID uint64

// NewReplicaID returns a random name. Among n names the chance of two equal ones is n²/2⁶⁵.
func NewReplicaID() ReplicaID {
	var b [8]byte
	for {
		rand.Read(b[:]) // never fails: crypto/rand crashes the program rather than return an error
		if id := binary.BigEndian.Uint64(b[:]); id != 0 {
			return ReplicaID(id)
		}
	}
}

// String returns the name as 16 hexadecimal digits.
func (id ReplicaID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// Dot names one event: the N-th of a replica, counted from 1.
type Dot = clock.Dot[ReplicaID]
