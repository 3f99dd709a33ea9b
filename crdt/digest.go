package crdt

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/go-calm/calm/internal/interval"
	"github.com/go-calm/calm/internal/wire"
)

// Digest is what a replica has seen, and what of it lives, without any content. The zero value is
// the digest of an empty replica. It is a value; safe for concurrent use.
type Digest struct {
	lanes []digestLane // ascending ids, nothing empty
}

type digestLane struct {
	id         ReplicaID
	seen, live interval.Set
}

func (d Digest) lane(id ReplicaID) digestLane {
	i, ok := slices.BinarySearchFunc(d.lanes, id, func(l digestLane, id ReplicaID) int { return cmp.Compare(l.id, id) })
	if !ok {
		return digestLane{id: id}
	}
	return d.lanes[i]
}

// String says in numbers what was seen: "5 events of 2 replicas seen, 3 live".
func (d Digest) String() string {
	seen, live := d.count()
	return fmt.Sprintf("%s of %s seen, %d live", count(seen, "event"), count(uint64(len(d.lanes)), "replica"), live)
}

// count returns how many events were seen and how many of them live.
func (d Digest) count() (seen, live uint64) {
	for _, l := range d.lanes {
		seen, live = saturate(seen, l.seen.Count()), saturate(live, l.live.Count())
	}
	return seen, live
}

// Equal reports whether both are digests of the same state.
func (d Digest) Equal(o Digest) bool {
	return slices.EqualFunc(d.lanes, o.lanes, func(a, b digestLane) bool {
		return a.id == b.id && a.seen.Equal(b.seen) && a.live.Equal(b.live)
	})
}

// Covers reports whether a replica with digest d has seen every event that one with digest o has.
// Once true of two states it stays true of d's later ones (a monotone read).
func (d Digest) Covers(o Digest) bool {
	for _, l := range o.lanes {
		mine := d.lane(l.id)
		if !mine.seen.Contains(l.seen) {
			return false
		}
	}
	return true
}

// Lacks reports whether a replica with digest o knows anything that one with digest d does not:
// whether Since, asked of it, would return something.
func (d Digest) Lacks(o Digest) bool {
	for _, l := range o.lanes {
		mine := d.lane(l.id)
		if !mine.seen.Contains(l.seen) {
			return true
		}
		if over := l.seen.Minus(l.live); !over.IsEmpty() {
			if hit := intersection(mine.live, over); !hit.IsEmpty() {
				return true
			}
		}
	}
	return false
}

// Join returns the digest of the join of two states: what either has seen, of which that lives which
// lives in both, or in one and was not seen by the other.
func (d Digest) Join(o Digest) Digest {
	return d.zip(o, func(a, b digestLane) digestLane {
		over, overThere := a.seen.Minus(a.live), b.seen.Minus(b.live)
		j := digestLane{id: a.id, seen: a.seen.Clone(), live: a.live.Minus(overThere)}
		j.seen.Merge(b.seen)
		j.live.Merge(b.live.Minus(over))
		return j
	})
}

// Meet returns what both have seen, and what of it lives in both.
func (d Digest) Meet(o Digest) Digest {
	return d.zip(o, func(a, b digestLane) digestLane {
		return digestLane{id: a.id, seen: intersection(a.seen, b.seen), live: intersection(a.live, b.live)}
	})
}

// Within returns the part of d that tells of events which o has seen.
func (d Digest) Within(o Digest) Digest {
	return d.zip(o, func(a, b digestLane) digestLane {
		return digestLane{id: a.id, seen: intersection(a.seen, b.seen), live: intersection(a.live, b.seen)}
	})
}

// zip combines two digests lane by lane.
func (d Digest) zip(o Digest, f func(a, b digestLane) digestLane) Digest {
	var out Digest
	for i, j := 0, 0; i < len(d.lanes) || j < len(o.lanes); {
		var a, b digestLane
		switch {
		case j == len(o.lanes) || i < len(d.lanes) && d.lanes[i].id < o.lanes[j].id:
			a, b.id = d.lanes[i], d.lanes[i].id
			i++
		case i == len(d.lanes) || o.lanes[j].id < d.lanes[i].id:
			a.id, b = o.lanes[j].id, o.lanes[j]
			j++
		default:
			a, b = d.lanes[i], o.lanes[j]
			i, j = i+1, j+1
		}
		if l := f(a, b); !l.seen.IsEmpty() {
			out.lanes = append(out.lanes, l)
		}
	}
	return out
}

// Split yields digests whose join is d, none of them longer than size bytes unless it holds a single
// gap-free run of events seen, and what lives of it.
func (d Digest) Split(size int) iter.Seq[Digest] {
	return func(yield func(Digest) bool) {
		var piece Digest
		room := size - 13
		for _, l := range d.lanes {
			rest := l.live.Runs() // what lives was seen, so each of these lies within one of those
			for _, run := range l.seen.Runs() {
				n := 0
				for n < len(rest) && rest[n].Hi <= run.Hi {
					n++
				}
				live := rest[:n]
				rest = rest[n:]
				need := 10 + 20*(1+len(live))
				if last := len(piece.lanes) - 1; last >= 0 && room < need {
					if !yield(piece) {
						return
					}
					piece, room = Digest{}, size-13
				}
				if last := len(piece.lanes) - 1; last >= 0 && piece.lanes[last].id == l.id {
					piece.lanes[last].seen.Push(run)
					for _, r := range live {
						piece.lanes[last].live.Push(r)
					}
				} else {
					piece.lanes = append(piece.lanes, digestLane{l.id, interval.Of(run), pushAll(live)})
				}
				room -= need
			}
		}
		if len(piece.lanes) > 0 {
			yield(piece)
		}
	}
}

// IsZero reports whether it is the digest of an empty replica.
func (d Digest) IsZero() bool { return len(d.lanes) == 0 }

// Seen reports whether the replica has seen an event.
func (d Digest) Seen(e Dot) bool {
	l := d.lane(e.Node)
	return l.seen.Has(e.N)
}

const digestMagic = 0x1E

// AppendBinary appends the canonical wire form (FORMAT.md); equal digests have equal bytes.
func (d Digest) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, magic0, digestMagic, version)
	b = binary.AppendUvarint(b, uint64(len(d.lanes)))
	for _, l := range d.lanes {
		b = binary.BigEndian.AppendUint64(b, uint64(l.id))
		b = appendRuns(b, l.seen.Runs())
		b = appendRuns(b, l.live.Runs())
	}
	return b, nil
}

// MarshalBinary returns the canonical wire form.
func (d Digest) MarshalBinary() ([]byte, error) { return d.AppendBinary(nil) }

// UnmarshalBinary sets d to the digest that b is the wire form of, and keeps nothing of b. Errors
// match [ErrCorrupt] or [ErrVersion]; d is then unchanged.
func (d *Digest) UnmarshalBinary(b []byte) error {
	r := wire.NewReader(b)
	if r.Byte() != magic0 || r.Byte() != digestMagic {
		return fmt.Errorf("%w: not a digest", ErrCorrupt)
	}
	if v := r.Byte(); r.Err() == nil && v != version {
		return fmt.Errorf("%w: %d, this package reads %d", ErrVersion, v, version)
	}
	var out Digest
	n := r.Count(11) // an id, a run and the number of live runs
	for last := ReplicaID(0); n > 0 && r.Err() == nil; n-- {
		l := digestLane{id: ReplicaID(r.Uint64())}
		l.seen, l.live = pushAll(readRuns(&r, nil)), pushAll(readRuns(&r, nil))
		if l.id <= last || l.seen.IsEmpty() || !l.seen.Contains(l.live) {
			r.Fail("replicas not ascending, or events that live and are not seen")
		}
		last = l.id
		out.lanes = append(out.lanes, l)
	}
	if err := r.Done(); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	*d = out
	return nil
}

func pushAll(runs []interval.Range) interval.Set {
	var s interval.Set
	for _, r := range runs {
		s.Push(r)
	}
	return s
}
