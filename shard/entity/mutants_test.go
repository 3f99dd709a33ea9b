package entity

import (
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// The mutants of the lanes, above all those that lose a message, double it, or give a key two
// states. What finds them is steered by hand in a bubble, save where every run has a hundred chances.
var mutants = []planted.Bug{
	{
		Name: "lost at a hand-off: what waits in the mailbox", Tests: "TestHandoffWaitsForAllThatWasAccepted", File: "lane.go",
		Old: "return boxes[last].Drain(ctx)",
		New: "if bug() { boxes[last].Close(); return nil }; return boxes[last].Drain(ctx)",
	},
	{
		Name: "lost at a hand-off: who was let in is still on the way", Tests: "TestHandoffUnderLoad", File: "entities.go",
		Old: "box := l.box.Load() // before it looks, see mailbox\n\t\tif !e.admits(slot) {\n\t\t\treturn e.refusal()\n\t\t}\n",
		New: "box := l.box.Load()\nif !e.admits(slot) { return e.refusal() }\nif bug() { jitter(); box = l.box.Load() }\n",
	},
	{
		Name: "lost at a hand-off: a mailbox is passed over", Tests: "TestHandoffsThatGiveUpLoseNothing", File: "lane.go",
		Old: "l.boxes = l.boxes[1:]\n",
		New: "if l.boxes = l.boxes[1:]; bug() { l.boxes = l.boxes[len(l.boxes)-1:] }\n",
	},
	{
		Name: "a stuck lane is given a mailbox by each hand-off", Tests: "TestHandoffsThatGiveUpLoseNothing", File: "lane.go",
		Old: "range boxes[:last] {",
		New: "range boxes[:last] { if bug() { break }",
	},
	{
		Name: "a new mailbox refuses those who waited for the old one", Tests: "TestSendersOfOtherSlotsAreNotRefused", File: "entities.go",
		Old: "if err := box.Put(ctx, v); !replaced(err) {",
		New: "if err := box.Put(ctx, v); !replaced(err) || bug() {",
	},
	{
		Name: "a new mailbox refuses a batch", Tests: "TestSendersOfOtherSlotsAreNotRefused", File: "sender.go",
		Old: "if !replaced(err) {",
		New: "if !replaced(err) || bug() {",
	},
	{
		Name: "an answer that comes too late is taken for another", Tests: "TestLateAnswersAreSeenByNobody", File: "ask.go",
		Old: "if c.abandon() {\n",
		New: "if c.abandon() {\n if bug() { c.release() }\n",
	},
	{
		Name: "a state stays behind when its slot moves", Tests: "TestHandoffWaitsForAllThatWasAccepted", File: "table.go",
		Old: "t.remove(hashes[i], e.key)",
		New: "if !bug() { t.remove(hashes[i], e.key) }",
	},
	{
		Name: "a slot is owned before its states are there", Tests: "TestAdoptedSlotsOpenWithTheirStates", File: "entities.go",
		Old: "// Nothing ends this context, so there is no error.\n",
		New: "if bug() { e.owned.add(int(s)) }\n",
	},
	{
		Name: "a key runs in two lanes after a swap", Tests: "TestAKeyHasOneStateWhoeverSends", File: "lane.go",
		Old: "to := l.e.lane(l.e.cfg.slot(v.hash))\n",
		New: "to := l.e.lane(l.e.cfg.slot(v.hash))\n\tif bug() { to = l }\n",
	},
	{
		Name: "a batch buffer is filled while it is served", Tests: "TestTurnsMaySendMoreThanTheyGet", File: "lane.go",
		Old: "l.inner = l.spare[:0]\n",
		New: "l.inner = l.spare[:0]\n\t\tif bug() { l.inner = inner[:0] }\n",
	},
	{
		Name: "what went in of a batch is sent again", Tests: "TestPanicsAndPartialBatches", File: "sender.go",
		Old: "left = left[n:]\n",
		New: "if !bug() { left = left[n:] }\n",
	},
	{
		Name: "a batch is not asked again whether its slots are owned", Tests: "TestBatchMeetsASlotThatHasGone", File: "sender.go",
		Old: "n != b.since {",
		New: "n != b.since && !bug() {",
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
		Old: "wake = l.asleep\n",
		New: "wake = l.asleep && !bug()\n",
	},
}

func TestMutantsAreKilled(t *testing.T) {
	planted.Copy{Bugs: mutants}.Kill(t)
}
