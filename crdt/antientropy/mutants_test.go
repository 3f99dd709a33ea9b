package antientropy_test

import (
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// The mutants of a node: what other engines of this kind got wrong, or could have.
var mutants = []planted.Bug{
	{
		Name: "what was learnt is acknowledged and not persisted", Tests: "TestPersistIsWhatChanged", File: "log.go",
		Old: "n.persist = append(n.persist, d)",
		New: "if !bug() || origin == n.cfg.Self { n.persist = append(n.persist, d) }",
	},
	{
		Name: "a change is told to who told it", Tests: "TestChangeIsNotEchoed", File: "log.go",
		Old: "n.log = append(n.log, entry{n.head, piece, origin})",
		New: "from := origin; if bug() && from != n.cfg.Self { from = 0 }; n.log = append(n.log, entry{n.head, piece, from})",
	},
	{
		Name: "all that was learnt is told on, new or not", Tests: "TestKnownChangesAreNotToldOn", File: "node.go",
		Old: "n.record(fresh, p.id)",
		New: "if bug() { fresh = d }; n.record(fresh, p.id)",
	},
	{
		Name: "what is lost is not sent again", Tests: "TestLostChangeIsSentAgain", File: "node.go",
		Old: "n.unanswered(p)\n\t\t\tn.again(p)",
		New: "n.unanswered(p)\n\t\t\tif !bug() { n.again(p) }",
	},
	{
		Name: "what comes too early is taken in", Tests: "TestChangesOfANodeStayInOrder", File: "log.go",
		Old: "!hole && m.after > p.applied {",
		New: "!hole && m.after > p.applied && !bug() {",
	},
	{
		Name: "who is behind what is kept is not told so", Tests: "TestOverflowIsMendedByDigest", File: "log.go",
		Old: "p.base = p.base || n.log[0].origin != p.id",
		New: "p.base = p.base || n.log[0].origin != p.id && !bug()",
	},
	{
		Name: "an acknowledgment of an earlier start counts", Tests: "TestWordsOfAnotherLogDoNotCount", File: "log.go",
		Old: "if m.session != n.session || m.upto > n.head {",
		New: "if m.session != n.session && !bug() || m.upto > n.head {",
	},
	{
		Name: "the log of a new start is taken for the old one's", Tests: "TestWordsOfAnotherLogDoNotCount", File: "log.go",
		Old: "known := m.session == p.session",
		New: "known := m.session == p.session || bug() && p.session != 0",
	},
	{
		Name: "states are the same if half of their fingerprints is", Tests: "TestProbesFindWhatNoLogTells", File: "resync.go",
		Old: "if m.print == ours {",
		New: "if m.print == ours || bug() && (m.print^ours)&1 == 0 {",
	},
	{
		Name: "what did not fit an answer is not asked for", Tests: "TestReadWaitsForAllAnswers", File: "resync.go",
		Old: "if r.more {\n\t\tp.askPending = true\n\t\treturn",
		New: "if r.more && !bug() {\n\t\tp.askPending = true\n\t\treturn",
	},
	{
		Name: "an answer is complete with its first part", Tests: "TestReadWaitsForAllAnswers", File: "resync.go",
		Old: "if o.got.Count() == m.count {",
		New: "if o.got.Count() == m.count || bug() {",
	},
	{
		Name: "an old answer fills a hole", Tests: "TestOldAnswerDoesNotFillAHole", File: "resync.go",
		Old: "if r.head < p.hole {",
		New: "if r.head < p.hole && !bug() {",
	},
	{
		Name: "an answer is longer than a frame", Tests: "TestNewcomerGetsEverything", File: "resync.go",
		Old: "State.Answer(q, n.cfg.MaxFrame-overhead,",
		New: "State.Answer(q, n.cfg.MaxFrame*map[bool]int{false: 1, true: 10}[bug()]-overhead,",
	},
	{
		Name: "an answer is all that lacks, however much", Tests: "TestFirstSyncWritesTheStateOnce", File: "resync.go",
		Old: "n.cfg.BufferBytes-p.answered)",
		New: "n.cfg.BufferBytes-p.answered+map[bool]int{true: 1 << 30}[bug()])",
	},
	{
		Name: "who lacks a little asks one peer after the other", Tests: "TestWhoLacksALittleAsksEverybody", File: "resync.go",
		Old: "!busy && n.cfg.State.Context().IsZero()",
		New: "!busy && (bug() || n.cfg.State.Context().IsZero())",
	},
	{
		Name: "who has told all is asked alone for ever", Tests: "TestWhoLacksALittleAsksEverybody", File: "resync.go",
		Old: "p.alone && r.more",
		New: "p.alone && (bug() || r.more)",
	},
	{
		Name: "the dead are asked in their turn", Tests: "TestNewcomerAsksWhoAnswers", File: "resync.go",
		Old: "p.silent < next.silent || p.silent == next.silent && p.turn < next.turn",
		New: "!bug() && p.silent < next.silent || (bug() || p.silent == next.silent) && p.turn < next.turn",
	},
	{
		Name: "all peers are asked for the same", Tests: "TestNewcomerGetsTheStateOnce", File: "resync.go",
		Old: "case !alone ||",
		New: "case !alone || bug() ||",
	},
	{
		Name: "who asks often is answered as often", Tests: "TestWhoAsksOftenWaits", File: "resync.go",
		Old: "p.answered += d.Len()",
		New: "if !bug() { p.answered += d.Len() }",
	},
	{
		Name: "who asks often is not answered again", Tests: "TestFirstSyncWritesTheStateOnce", File: "node.go",
		Old: "p.answered = 0",
		New: "if !bug() { p.answered = 0 }",
	},
	{
		Name: "who is gone for ever is let in again", Tests: "TestRetiredReplicaIsRefused", File: "peer.go",
		Old: "id == n.cfg.Self || n.isRetired(id) {",
		New: "id == n.cfg.Self || n.isRetired(id) && !bug() {",
	},
	{
		Name: "who is gone for ever is waited for", Tests: "TestRetiredReplicaIsRefused", File: "members.go",
		Old: "n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.id == id })",
		New: "if !bug() { n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.id == id }) }",
	},
	{
		Name: "who is gone for ever is not told so", Tests: "TestRetiredReplicaIsRefused", File: "node.go",
		Old: "n.tellRetired(from)\n\t\treturn fmt",
		New: "if !bug() { n.tellRetired(from) }\n\t\treturn fmt",
	},
	{
		Name: "a report counts before what it speaks of is here", Tests: "TestReportWaitsForWhatCameBefore", File: "members.go",
		Old: "if !p.complete || p.applied < m.upto ||",
		New: "if !p.complete || p.applied < m.upto && !bug() ||",
	},
	{
		Name: "a report counts though there is a hole before it", Tests: "TestHoleIsFilledBeforeAReportCounts", File: "members.go",
		Old: "if !p.complete ||",
		New: "if !p.complete && !bug() ||",
	},
	{
		Name: "nodes count on different members", Tests: "TestReportWaitsForTheSameMembers", File: "members.go",
		Old: "m.roster != n.roster() {",
		New: "m.roster != n.roster() && !bug() {",
	},
	{
		Name: "stable is what one member has seen", Tests: "TestStableIsWhatEveryMemberHasSeen", File: "members.go",
		Old: "all = all.Meet(n.members[i].seen)",
		New: "if !bug() || i == 0 { all = all.Meet(n.members[i].seen) }",
	},
	{
		Name: "all is kept for a peer that is dead", Tests: "TestDeadPeerCostsNothing", File: "log.go",
		Old: "return !p.lost && p.acked < n.log[0].seq })",
		New: "return (!p.lost || bug()) && p.acked < n.log[0].seq })",
	},
	{
		Name: "a dead peer is tried as often as ever", Tests: "TestDeadPeerCostsNothing", File: "peer.go",
		Old: "return ticks << min(p.silent, 6)",
		New: "if bug() { return ticks }; return ticks << min(p.silent, 6)",
	},
	{
		Name: "half is a majority", Tests: "TestLevels", File: "level.go",
		Old: "return done+1 > (n+1)/2",
		New: "if bug() { return done+1 >= (n+1)/2 }; return done+1 > (n+1)/2",
	},
}

func TestMutantsAreKilled(t *testing.T) {
	planted.Copy{Bugs: mutants, Args: []string{"-rapid.nofailfile", "-rapid.shrinktime=1s"}}.Kill(t)
}
