package crdt

import (
	"errors"
	"slices"

	"github.com/go-calm/calm/internal/interval"
)

// Log keeps deltas where a crash cannot reach them, before they count: see [Store.SetLog]. Package
// journal has one in files.
type Log interface {
	// Append is called with each delta that is about to change the store, before anybody sees
	// anything of it: one that was made here (local), and one that is being merged and tells
	// something new. If it fails, the store stays as it is. It must not use the store.
	Append(d Delta, local bool) error
}

// ErrLog is what every [*LogError] matches.
var ErrLog = errors.New("crdt: refused, for it was not logged")

// LogError says that a change was refused because the store's [Log] failed, for example because the
// disk is full. Nothing of it is in the store. It matches [ErrLog] and what the log's error matches.
type LogError struct{ Err error }

// Error gives the log's error.
func (e *LogError) Error() string { return ErrLog.Error() + ": " + e.Err.Error() }

// Is reports whether target is [ErrLog].
func (e *LogError) Is(target error) bool { return target == ErrLog }

// Unwrap returns the log's error.
func (e *LogError) Unwrap() error { return e.Err }

// SetLog has every change go to a log before it counts; nil ends this. A change made here that the log
// refuses is taken back whole: its mutator or Update returns a zero delta, nobody is told, and
// [Store.Err] says why. Merge returns the error. It panics inside Update.
//
// What the store holds already is not logged.
func (s *Store) SetLog(l Log) {
	if s.tx.depth > 0 {
		panic("crdt: SetLog inside Update")
	}
	s.log, s.refused = l, nil
}

// Err returns why the last change made here was refused, nil if it was not: a [*LogError], or an
// [*ExhaustedError], which nobody meets who counts honestly.
func (s *Store) Err() error { return s.refused }

// TryUpdate is [Store.Update] with an error, that of [Store.Err]; then nothing of what f did is in the
// store. Inside an Update it is part of that, whose end tells of errors.
func (s *Store) TryUpdate(f func()) (Delta, error) {
	d := s.Update(f)
	if s.tx.depth > 0 {
		return d, nil
	}
	return d, s.Err()
}

// logged has the log take a delta that was made here; if it fails the running update is undone.
func (s *Store) logged(d Delta) bool {
	if s.log == nil {
		return true
	}
	if err := s.log.Append(Delta{b: d.b}, true); err != nil {
		s.refuse(&LogError{err}, d.past)
		return false
	}
	return true
}

// refuse takes back the running update, which had taken away what past tells.
func (s *Store) refuse(why error, past []byte) {
	s.refused = why
	s.rollBack(past)
	clear(s.watch.before)
}

// rollBack undoes the running update as if it had never been: its events were told to nobody, so
// their numbers are free again.
func (s *Store) rollBack(past []byte) {
	own := &s.lanes[s.own]
	for _, seq := range slices.Clone(own.seqs[own.last(s.tx.first):]) {
		if _, lives := own.lookup(seq); lives {
			s.detach(s.own, seq)
		}
	}
	own.forget(s.tx.first)
	s.tallies.complete = false
	s.tallies.fates.rollBack(s.tx.first)
	eachPast(past, func(steps []step, e event, lives bool) {
		if lives {
			return
		}
		at := s.tree.ensureSteps(steps)
		s.lanes[e.lane].bury(e.seq)
		s.attach(e.lane, e.seq, at, e.payload)
	})
}

// forget forgets all events from seq on, none of which lives.
func (l *lane) forget(seq uint64) {
	i := l.last(seq)
	l.dead -= len(l.seqs) - i
	l.seqs, l.slots = l.seqs[:i], l.slots[:i]
	l.tidy() // what absorbed others may be among them
	if seq <= l.seen.Max() {
		l.seen = l.seen.Minus(interval.Of(interval.Range{Lo: seq, Hi: l.seen.Max()}))
	}
}

// bury forgets all of a dead event but that it was seen.
func (l *lane) bury(seq uint64) {
	if i := l.last(seq); i < len(l.seqs) && l.seqs[i] == seq {
		l.seqs, l.slots = slices.Delete(l.seqs, i, i+1), slices.Delete(l.slots, i, i+1)
		l.dead--
	}
	l.tidy()
}

// log has the log take a delta that is about to be merged.
func (m *merger) log(s *Store, b []byte) error {
	if s.log == nil || !m.news(s) {
		return nil
	}
	if err := s.log.Append(Delta{b: b}, false); err != nil {
		return &LogError{err}
	}
	return nil
}

// news reports whether the delta that was checked tells anything new.
func (m *merger) news(s *Store) bool {
	if len(m.over) > 0 {
		return true
	}
	for i := range m.view.lanes {
		vl := &m.view.lanes[i]
		if vl.local < 0 {
			return true
		}
		for _, r := range m.view.ranges[vl.range0:vl.range1] {
			if !s.lanes[vl.local].seen.ContainsRange(r.Lo, r.Hi) {
				return true
			}
		}
	}
	return false
}
