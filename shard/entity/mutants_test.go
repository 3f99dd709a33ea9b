package entity

import (
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// The mutants of the lanes, above all those that lose a message, double it, or give a key two
// states. What finds them is steered by hand in a bubble, save where every run has a hundred chances.
var mutants = []planted.Bug{
	{
		Name: "lost at a hand-off: what waits in the mailbox", Tests: "TestHandoffWaitsForAllThatWasAccepted", File: "entities.go",
		Old: "if taken >= due {",
		New: "if taken >= due || bug() {",
	},
	{
		Name: "lost at a hand-off: who was let in is still on the way", Tests: "TestHandoffWaitsForAllThatWasAccepted", File: "entities.go",
		Old: "if err := l.gate.pass(func() error { return e.settle(ctx, l) }); err != nil {\n\t\treturn nil, err",
		New: "if bug() {} else if err := l.gate.pass(func() error { return e.settle(ctx, l) }); err != nil {\n\t\treturn nil, err",
	},
	{
		Name: "a state stays behind when its slot moves", Tests: "TestHandoffWaitsForAllThatWasAccepted", File: "entities.go",
		Old: "l.table.remove(x.hash, x.key)",
		New: "if !bug() { l.table.remove(x.hash, x.key) }",
	},
	{
		Name: "a slot is owned before its states are there", Tests: "TestAdoptedSlotsOpenWithTheirStates", File: "entities.go",
		Old: "// Nothing ends this context, so there is no error.\n",
		New: "if bug() { e.slots[s].Store(true) }\n",
	},
	{
		Name: "a key runs in two lanes after a swap", Tests: "TestAKeyHasOneStateWhoeverSends", File: "lane.go",
		Old: "to := l.e.lane(slot)\n",
		New: "to := l.e.lane(slot)\n\tif bug() { to = l }\n",
	},
	{
		Name: "a batch buffer is filled while it is served", Tests: "TestTurnsMaySendMoreThanTheyGet", File: "lane.go",
		Old: "l.inner = l.spare[:0]\n",
		New: "l.inner = l.spare[:0]\n\t\tif bug() { l.inner = inner[:0] }\n",
	},
	{
		Name: "what went in of a batch is sent again", Tests: "TestPanicsAndPartialBatches", File: "sender.go",
		Old: "rest := copy(b, kept[n:])",
		New: "if bug() { n = 0 }; rest := copy(b, kept[n:])",
	},
	{
		Name: "a batch is not asked again whether its slots are owned", Tests: "TestBatchMeetsASlotThatHasGone", File: "sender.go",
		Old: "if s.e.refusals.Load() == s.since[lane] {",
		New: "if s.e.refusals.Load() == s.since[lane] || bug() {",
	},
	{
		Name: "a panic costs those behind it", Tests: "TestPanicsAndPartialBatches", File: "lane.go",
		Old: "v := &batch[n]\n\t\tn++\n",
		New: "v := &batch[n]\n\t\tn++\n\t\tif bug() { n = len(batch) }\n",
	},
	{
		Name: "a turn that fails sends all the same", Tests: "TestOutboxGoesOutOnlyIfTheTurnSucceeds", File: "lane.go",
		Old: "if err != nil {\n\t\tl.e.errs.Add(1)",
		New: "if bug() && err != nil { t.commit() }; if err != nil {\n\t\tl.e.errs.Add(1)",
	},
	{
		Name: "a state found ahead of its turn outlives its key", Tests: "TestAForgottenStateIsGoneForTheNextMessage", File: "lane.go",
		Old: "state == nil || l.seen != l.table.changes",
		New: "state == nil || l.seen != l.table.changes && !bug()",
	},
	{
		Name: "lost wake-up: what a timer sends does not wake the lane", Tests: "TestTimersAndForget", File: "lane.go",
		Old: "if wake {",
		New: "if wake && !bug() {",
	},
}

func TestMutantsAreKilled(t *testing.T) {
	planted.Copy{Bugs: mutants}.Kill(t)
}
