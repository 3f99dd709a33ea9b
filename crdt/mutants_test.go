package crdt

import (
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// The mutants of what a store does once more, or in parts: it passes over what it knows, and cuts
// what is long, and it undoes what is gone. None of them shows unless a delta is big or old. The last ones are
// of the numbers that a replica has, and of the rights of a bounded counter.
var mutants = []planted.Bug{
	{
		Name: "what the log refuses is known", Tests: "TestTheRefusedIsNotKnown", File: "merge.go",
		Old: "if err = m.check(s); err == nil {",
		New: "if err = m.check(s); err == nil {\n\t\tif bug() { m.known.add(h) }",
	},
	{
		Name: "an update's state is known though it comes undone", Tests: "TestTheRefusedIsNotKnown", File: "store.go",
		Old: "!ok && s.tx.depth == 0",
		New: "!ok && (s.tx.depth == 0 || bug())",
	},
	{
		Name: "what is refused for its content is known", Tests: "TestAlmostTheKnownIsRead", File: "merge.go",
		Old: "h, known := m.known.find(s, d.b)",
		New: "h, known := m.known.find(s, d.b); if bug() && !known && s.log == nil { m.known.add(h) }",
	},
	{
		Name: "a delta is known by its length", Tests: "TestAlmostTheKnownIsRead", File: "merge.go",
		Old: "h = maphash.Bytes(s.tree.table.seed, b) | 1",
		New: "if h = maphash.Bytes(s.tree.table.seed, b) | 1; bug() { h = uint64(len(b)) }",
	},
	{
		Name: "a delta is known by its beginning", Tests: "TestAlmostTheKnownIsRead", File: "merge.go",
		Old: "return h, slices.Contains(k.hashes[:], h)",
		New: "if bug() { h = maphash.Bytes(s.tree.table.seed, b[:64]) }; return h, slices.Contains(k.hashes[:], h)",
	},
	{
		Name: "nothing is ever known", Tests: "TestTheKnownIsPassedOver", File: "merge.go",
		Old: "k.hashes[k.next%len(k.hashes)] = h",
		New: "if !bug() { k.hashes[k.next%len(k.hashes)] = h }",
	},
	{
		Name: "an element with another key is taken for known", Tests: "TestAlmostTheKnownIsRead", File: "skim.go",
		Old: "!equal([]byte(n.key), b[from:at])",
		New: "!equal([]byte(n.key), b[from:at]) && !bug()",
	},
	{
		Name: "a value that differs is taken for known", Tests: "TestWhatSkimmingMustNotMiss", File: "skim.go",
		Old: "return have == string(told)",
		New: "return have == string(told) || bug()",
	},
	{
		Name: "a removal is taken for known", Tests: "TestWhatSkimmingMustNotMiss", File: "skim.go",
		Old: "if l.slots[k.at] != noSlot {",
		New: "if l.slots[k.at] != noSlot && !bug() {",
	},
	{
		Name: "events that nobody has seen are taken for known", Tests: "TestWhatSkimmingMustNotMiss", File: "skim.go",
		Old: "if !l.seen.ContainsRange(r.Lo, r.Hi) {",
		New: "if !l.seen.ContainsRange(r.Lo, r.Hi) && !bug() {",
	},
	{
		Name: "an event at another place is taken for known", Tests: "TestWhatSkimmingMustNotMiss", File: "skim.go",
		Old: "n.parent != up ||",
		New: "n.parent != up && !bug() ||",
	},
	{
		Name: "the reset of a sum is taken for known", Tests: "TestWhatSkimmingMustNotMiss", File: "skim.go",
		Old: "known = known && (within(k.told, by) || within(k.live, upto))",
		New: "known = known && (within(k.told, by) || within(k.live, upto) || bug())",
	},
	{
		Name: "a namesake's element at the same number is taken for known", Tests: "TestWhatSkimmingMustNotMiss", File: "skim.go",
		Old: "at[0] != noSlot && at[0] != k.nodes[node]",
		New: "at[0] != noSlot && at[0] != k.nodes[node] && !bug()",
	},
	{
		Name: "an idle store keeps the buffers of what was large", Tests: "TestAnIdleStoreKeepsLittle", File: "merge.go",
		Old: "if isLong(s, little) {",
		New: "if isLong(s, little) && !bug() {",
	},
	{
		Name: "what comes from the last to the first moves all that is there", Tests: "TestGapsFromTheLastToTheFirst", File: "merge.go",
		Old: "if old > 32 && n > 0 &&",
		New: "if old > 32 && n > 0 && !bug() &&",
	},
	{
		Name: "neighbors are held against the type of the first", Tests: "TestNeighborsAreCheckedEach", File: "view.go",
		Old: "each = up == kindStore || up == kindStruct",
		New: "each = (up == kindStore || up == kindStruct) && !bug()",
	},
	{
		Name: "a run of new elements is taken for new beyond what was seen", Tests: "TestARunIsTakenInPieces", File: "merge.go",
		Old: "uint32(min(uint64(it.n-done-1), last-seq)) + 1",
		New: "uint32(min(uint64(it.n-done-1), last-seq)) + 1; if bug() { step = it.n - done }",
	},
	{
		Name: "a frame is sent though it is too long", Tests: "TestFramesOfLongPlaces", File: "split.go",
		Old: "if d.Len() > size && atoms > 1 {",
		New: "if d.Len() > size && atoms > 1 && !bug() {",
	},
	{
		Name: "frames stay short after a long event", Tests: "TestFramesOfLongPlaces", File: "split.go",
		Old: "room = min(fits,",
		New: "if bug() { fits = min(fits, room) }; room = min(fits,",
	},
	{
		Name: "what is over is in no frame", Tests: "TestAHugeDeltaInFrames", File: "delta.go",
		Old: "s.split(live, over, size, yield)",
		New: "if bug() { over = nil }; s.split(live, over, size, yield)",
	},
	{
		Name: "each replica's events have a frame of their own", Tests: "TestFramesOfManyReplicas", File: "split.go",
		Old: "if atoms > 0 && holds+laneBytes+runBytes > room {",
		New: "if atoms > 0 && (holds+laneBytes+runBytes > room || bug()) {",
	},
	{
		Name: "a replica's events of both kinds are told apart in one frame", Tests: "TestFramesOfManyReplicas", File: "split.go",
		Old: "if c.list > list {",
		New: "if c.list > list && !bug() {",
	},
	{
		Name: "an answer is all there is", Tests: "TestAnswersAreWrittenOnce", File: "answer.go",
		Old: "return told < most",
		New: "return told < most || bug()",
	},
	{
		Name: "what was over before it was asked for is told last", Tests: "TestAnswersAreWrittenOnce", File: "answer.go",
		Old: "	a.More = s.split(fresh, gone, size,",
		New: "	if bug() { for i := range fresh { f := &fresh[i]; f.spans = []span{{0, len(s.lanes[f.lane].seqs)}}; live, over := s.halves([]part{*f}); for j := range live { live[j].seen = intersection(live[j].seen, f.seen) }; f.seen, gone = live[0].seen, append(gone, over...) } }\n\ta.More = s.split(fresh, gone, size,",
	},
	{
		Name: "replaced dots stay in the lane", Tests: "TestWhatIsOverLeavesNothing", File: "lane.go",
		Old: "if l.dead++; l.dead > 16 && 2*l.dead > len(l.seqs) {",
		New: "if l.dead++; l.dead > 16 && 2*l.dead > len(l.seqs) && !bug() {",
	},
	{
		Name: "an emptied place keeps its slot", Tests: "TestWhatIsOverLeavesNothing", File: "tree.go",
		Old: "t.free = s\n",
		New: "if !bug() { t.free = s }\n",
	},
	{
		Name: "ranges are compared by the sum of their numbers", Tests: "TestRangesThatAddUpToTheSame", File: "answer.go",
		Old: "h += mix(uint64(l.id) ^ mix(l.seqs[at]))",
		New: "if bug() { h += l.seqs[at]; continue }\n\t\t\t\th += mix(uint64(l.id) ^ mix(l.seqs[at]))",
	},
	{
		Name: "an event between those that were fused is taken for one of them", Tests: "TestInvertOfWhatWasFused", File: "invert.go",
		Old: "by, fused := s.tallies.fates.of(e.seq)",
		New: "by, fused := s.tallies.fates.of(e.seq); if bug() { s.tree.dots(at, func(d dot) { if r := absorbed(kindCounter, d.payload); int(d.lane) == s.own && r.Lo <= e.seq && e.seq <= r.Hi { by, fused = d.seq, true } }) }",
	},
	{
		Name: "what was fused is taken off as often as it is undone", Tests: "TestInvertOfWhatWasFused", File: "invert.go",
		Old: "s.tallies.fates.takeOff(e.seq, s.tx.first)",
		New: "if !bug() { s.tallies.fates.takeOff(e.seq, s.tx.first) }",
	},
	{
		Name: "a fuse that the log refused is remembered", Tests: "TestInvertOfWhatWasFused", File: "log.go",
		Old: "s.tallies.fates.rollBack(s.tx.first)",
		New: "if !bug() { s.tallies.fates.rollBack(s.tx.first) }",
	},
	{
		Name: "the last event number goes to a part of an update", Tests: "TestTheLastEventNumberIsNotHalfAnUpdate", File: "store.go",
		Old: "if tx.next > tx.first && tx.next-1 > maxSeq {",
		New: "if tx.next > tx.first && (tx.next-1 > maxSeq && !bug() || tx.first > maxSeq) {",
	},
	{
		Name: "a subtraction is held against the count, not against the rights", Tests: "TestBoundedCounterNeverFallsBelowZero", File: "bounded.go",
		Old: "if have := c.Rights(); n > have {",
		New: "if have := c.Rights(); n > have && !(bug() && n <= c.Value()) {",
	},
	{
		Name: "who gives rights keeps them", Tests: "TestBoundedCounterNeverFallsBelowZero", File: "bounded.go",
		Old: "out = saturate(out, g.n)",
		New: "if !bug() { out = saturate(out, g.n) }",
	},
}

func TestMutantsAreKilled(t *testing.T) {
	planted.Copy{
		Bugs:  mutants,
		Tests: []string{"known_test.go", "growth_test.go", "store_test.go", "invert_compact_test.go", "rights_test.go", "print_test.go", "delta_test.go", "types_test.go", "view_test.go"},
		Args:  []string{"-rapid.nofailfile"},
	}.Kill(t)
}
