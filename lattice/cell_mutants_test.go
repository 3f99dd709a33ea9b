package lattice

import (
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// The mutants of the cell, above all those that let somebody sleep for ever. The tests that
// find them need neither luck nor a timeout: in a bubble, a sleeper whom nobody can wake is
// reported at once.
var cellMutants = []planted.Bug{
	{
		Name: "lost wake-up: who waits looks before it takes the lock", Tests: "TestCellLooksAndEnlistsInOneStep", File: "cell.go",
		Old: "c.mu.Lock()\n\tdefer c.mu.Unlock()\n\tswitch {\n\tcase threshold(c.state):",
		New: "met := bug() && threshold(c.state)\n\tc.mu.Lock()\n\tdefer c.mu.Unlock()\n\tswitch {\n\tcase bug() && !met:\n\tcase threshold(c.state):",
	},
	{
		Name: "lost wake-up: a Put wakes only who waits longest", Tests: "TestCellWaitsForItsThreshold", File: "cell.go",
		Old: "met := w.threshold(c.state)\n",
		New: "met := w.threshold(c.state) && !(bug() && w != c.waiters[0])\n",
	},
	{
		Name: "lost wake-up: who waits is shown what was put, not what that came to", Tests: "TestCellWaitsForWhatPutsComeTo", File: "cell.go",
		Old: "w.threshold(c.state)",
		New: "w.threshold(map[bool]L{true: x, false: c.state}[bug()])",
	},
	{
		Name: "lost wake-up: Freeze forgets who waits", Tests: "TestCellFreezes", File: "cell.go",
		Old: "w.result <- ErrFrozen",
		New: "if !bug() { w.result <- ErrFrozen }",
	},
	{
		Name: "who gave up stays enlisted", Tests: "TestCellForgetsWhoGaveUp", File: "cell.go",
		Old: "c.waiters = slices.Delete(c.waiters, i, i+1)",
		New: "if !bug() { c.waiters = slices.Delete(c.waiters, i, i+1) }",
	},
	{
		Name: "a done context counts before a threshold that is met", Tests: "TestCellWaitEndsWithItsContext", File: "cell.go",
		Old: "w, err := c.enlist(threshold)\n",
		New: "if bug() && ctx.Err() != nil { return ctx.Err() }\n\tw, err := c.enlist(threshold)\n",
	},
	{
		Name: "lost delta: who runs a handler does not look again", Tests: "TestCellHandlersMayPut", File: "cell.go",
		Old: "h.f(delta)\n\t\t}()\n",
		New: "h.f(delta)\n\t\t}()\n\t\tif bug() { return }\n",
	},
	{
		Name: "lost delta: what comes while a handler runs replaces what came before", Tests: "TestCellHandlersGetAtOnceWhatCameMeanwhile", File: "cell.go",
		Old: "h.pending, _ = h.pending.Join(delta)",
		New: "if bug() { h.pending = Clone(delta) } else { h.pending, _ = h.pending.Join(delta) }",
	},
	{
		Name: "a handler gets the whole state, not what is new", Tests: "TestCellHandlersGetAllGrowthOnce", File: "cell.go",
		Old: "if delta := Delta(c.state, x); !IsBottom(delta) {",
		New: "if delta := Delta(c.state, x); !IsBottom(delta) {\n\t\t\tif bug() { delta, _ = delta.Join(c.state) }",
	},
	{
		Name: "Put grows a frozen cell", Tests: "TestCellFreezes", File: "cell.go",
		Old: "if c.frozen {\n\t\tif !x.LessEq(c.state) {",
		New: "if c.frozen && !bug() {\n\t\tif !x.LessEq(c.state) {",
	},
}

func TestCellMutantsAreKilled(t *testing.T) {
	planted.Copy{Bugs: cellMutants, Tests: []string{"cell_test.go"}}.Kill(t)
}
