package backpressure

import (
	"regexp"
	"slices"
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// mutant is a bug to plant: in file, old is replaced by new. The tests that claim to find
// such a bug are those that match by.
type mutant struct {
	name, by, file, old, new string
}

const (
	lin     = "Linearizable"
	bubble  = "TestNoWakeUpIsLost|Baton|ByHand|CloseAnd|CloseWakes" // synctest reports who sleeps for ever
	rule    = "LineServes|FairWithin|ComingBack|CoDelLooks|Overload"
	thrifty = "Thrift|PutLets"
	booth   = "SchedNoWakeUp|Heavy|ThoseWho|WeighCounts"
)

// The mutants of the queue. Each is a bug that some queue has shipped with, or one slip away
// from this one. Calls of bug() and jitter() exist only in the planted copy.
var mutants = []mutant{
	{
		"false full: a try looks at its own side only", lin, "ring.go",
		"if r.tail.across(&r.head, t-r.capacity, r.near); t-r.tail.far >= r.capacity {",
		"if !bug() { r.tail.across(&r.head, t-r.capacity, r.near) }; if t-r.tail.far >= r.capacity {",
	},
	{
		"false empty: a try looks at its own side only", lin, "ring.go",
		"t := r.head.across(&r.tail, h, r.near)\n\t\tif h == r.head.far {",
		"t := r.tail.word.Load() & (closedBit | indexBits); if !bug() || r.head.far == 0 { t = r.head.across(&r.tail, h, r.near) }\n\t\tif h == r.head.far {",
	},
	{
		"slot repair: the index moves before the item is there", lin, "ring.go",
		"r.buf[t&r.mask] = *v\n\tr.tail.word.Store(t + 1)",
		"if bug() { r.tail.word.Store(t + 1); jitter(); r.buf[t&r.mask] = *v; return moved }\n\tr.buf[t&r.mask] = *v\n\tr.tail.word.Store(t + 1)",
	},
	{
		"a consumer gives the slot free before it has read it", lin, "ring.go",
		"slot := &r.buf[h&r.mask]\n\t*v = *slot",
		"slot := &r.buf[h&r.mask]\n\tif bug() { r.head.word.Store(h + 1); jitter(); *v = *slot; return moved }\n\t*v = *slot",
	},
	{
		"close does not wait for a producer", lin, "ring.go",
		"if t := r.tail.lock(); t < locked {\n\t\tr.tail.word.Store(t | closedBit)\n\t}",
		"if bug() { r.tail.word.Or(closedBit); return }\n\tif t := r.tail.lock(); t < locked {\n\t\tr.tail.word.Store(t | closedBit)\n\t}",
	},
	{
		"a batch that wraps around loses its second half", lin, "ring.go",
		"n += copy(r.buf, vs[n:min(room, uint64(len(vs)))])",
		"if m := min(room, uint64(len(vs))); bug() { n = int(m) } else { n += copy(r.buf, vs[n:m]) }",
	},
	{
		"one item too many", lin, "ring.go",
		"room := r.capacity - (t - r.tail.far)",
		"room := r.capacity - (t - r.tail.far); if bug() { room++ }",
	},
	{
		"slots are brought over while there are items in them", "LargeItems", "ring.go",
		"r.block > 1 && t-r.tail.far+r.block <= r.capacity {",
		"r.block > 1 && (t-r.tail.far+r.block <= r.capacity || bug()) {",
	},
	{
		"what is brought over is taken for the item", "LargeItems", "ring.go",
		"*v = *slot\n\tif r.wipe {",
		"if *v = *slot; bug() && h&(r.block-1) == 0 { r.fetch(h, v) }\n\tif r.wipe {",
	},
	{
		"lost wake-up: who parks does not look again", bubble, "lot.go",
		"} else if o = l.try(w); o != denied {",
		"} else if bug() {} else if o = l.try(w); o != denied {",
	},
	{
		"lost wake-up: the baton is dropped", bubble, "lot.go",
		"if woken {\n\t\t\t\tl.wake()\n\t\t\t}",
		"if woken && !bug() {\n\t\t\t\tl.wake()\n\t\t\t}",
	},
	{
		"lost wake-up: a cancelled call keeps the baton", bubble, "lot.go",
		"l.publish()\n\t\t\tl.mu.Unlock()\n\t\t\tl.wake()",
		"l.publish()\n\t\t\tl.mu.Unlock()\n\t\t\tif !bug() { l.wake() }",
	},
	{
		"lost wake-up: the wake-up under way never ends", bubble, "lot.go",
		"if woken {\n\t\t\tl.waking = false",
		"if woken && !bug() {\n\t\t\tl.waking = false",
	},
	{
		"served by hand, and nobody tells the other side", bubble, "lot.go",
		"if served {\n\t\tl.notify()",
		"if served && !bug() {\n\t\tl.notify()",
	},
	{
		"a cancelled call that was served reports the context", lin, "lot.go",
		"<-w.signal // it was chosen at the last moment\n\t\t\tif w.served {",
		"<-w.signal // it was chosen at the last moment\n\t\t\tif w.served && !bug() {",
	},
	{
		"Close forgets the consumers", bubble, "queue.go",
		"q.gets.wakeAll()",
		"if !bug() { q.gets.wakeAll() }",
	},
	{
		"Drain looks before it says that it waits", bubble, "queue.go",
		"q.puts.watch() // before looking, for the last Get looks after taking",
		"if !bug() { q.puts.watch() }",
	},
	{
		"a Put gives way for as much of the time as it likes", thrifty, "thrift.go",
		"return !now.Before(t.next)",
		"return bug() || !now.Before(t.next)",
	},
	{
		"giving way is tried on, though it does not pay", thrifty, "thrift.go",
		"t.apart = min(max(4*t.apart, 1), rarely)",
		"if !bug() { t.apart = min(max(4*t.apart, 1), rarely) }",
	},
	{
		"who has given way once takes it that the served one has run", thrifty, "lot.go",
		"if l.left.Load() == left {",
		"if l.left.Load() == left && !bug() {",
	},
	{
		"whom a Put has served runs when another processor has time for it", thrifty, "lot.go",
		"case polite:",
		"case polite && !bug():",
	},
	{
		"DropOldest drops the second oldest", lin, "line.go",
		"l.discard(f.first, Full)",
		"if bug() && f.size > 1 { l.discard(f.first.next, Full); continue }; l.discard(f.first, Full)",
	},
	{
		"FIFO in place of LIFO", rule, "line.go",
		"if !l.newestFirst(f, now) {",
		"if bug() || !l.newestFirst(f, now) {",
	},
	{
		"newest first, even if it is late", rule, "line.go",
		"if e := f.last; e.deadline > now {",
		"if e := f.last; bug() || e.deadline > now {",
	},
	{
		"CoDel's baseline drifts: the least delay is never forgotten", rule, "aqm.go",
		"c.until, c.least = later(now, interval), delay",
		"if bug() { delay = min(delay, c.least) }; c.until, c.least = later(now, interval), delay",
	},
	{
		"CoDel takes a burst for a standing queue", rule, "aqm.go",
		"return c.over && delay-target > target",
		"return (c.over || bug()) && delay-target > target",
	},
	{
		"who comes back at once has not paid", rule, "fair.go",
		"f.since, f.share = e.at, e.share",
		"f.since, f.share = e.at, e.share; if bug() { f.start = t.now; t.fix(f.index) }",
	},
	{
		"shares are ignored", rule, "fair.go",
		"f.start += float64(e.cost) / float64(e.share)",
		"if bug() { f.start += float64(e.cost) } else { f.start += float64(e.cost) / float64(e.share) }",
	},
	{
		"a tenant is served by turns, not by cost", rule, "fair.go",
		"if !t.fair || t.size == 0 {",
		"if bug() && t.fair && t.size > 0 { t.now = f.start; f.start += 1 / float64(e.share); t.fix(f.index); return }; if !t.fair || t.size == 0 {",
	},
	{
		"the lightest is pushed out", rule, "fair.go",
		"return slices.MaxFunc(t.heap, func(a, b *flow[T]) int { return cmp.Compare(a.load(), b.load()) })",
		"return slices.MaxFunc(t.heap, func(a, b *flow[T]) int { if bug() && a.size > 0 && b.size > 0 { a, b = b, a }; return cmp.Compare(a.load(), b.load()) })",
	},
	{
		"who is within its share is refused", rule, "line.go",
		"case within:",
		"case within && !bug():",
	},
	{
		"the lowest level is served first", rule, "line.go",
		"return cmp.Compare(level, t.level)",
		"if bug() { return cmp.Compare(t.level, level) }; return cmp.Compare(level, t.level)",
	},
	{
		"a light item overtakes a heavy one", booth, "sched.go",
		"case s.door.size == 0 && s.fits(m.cost):",
		"case (s.door.size == 0 || bug()) && s.fits(m.cost):",
	},
	{
		"what can never be let in waits", booth, "sched.go",
		"if w < 0 || w > s.capacity {",
		"if w < 0 || w > s.capacity && !bug() {",
	},
	{
		"lost wake-up: a heavy Put leaves, and who waited behind it stays", booth, "sched.go",
		"s.settle(s.now()) // the next may need less room",
		"if !bug() { s.settle(s.now()) }",
	},
	{
		"lost wake-up: a batch that is cut short tells nobody", booth, "sched.go",
		"\ts.settle(s.now())\n\ts.unlock()\n\treturn n, err",
		"\tif err == nil || !bug() { s.settle(s.now()) }\n\ts.unlock()\n\treturn n, err",
	},
	{
		"lost wake-up: what a Get frees is not offered to who waits", booth, "sched.go",
		"for n = s.serve(dst, now); ; n = s.serve(dst, now) {\n\t\ts.settle(now)",
		"for n = s.serve(dst, now); ; n = s.serve(dst, now) {\n\t\tif !bug() { s.settle(now) }",
	},
	{
		"a Put that was let in at the last moment reports the context", booth, "sched.go",
		"if w.entry.flow == nil { // it was served at the last moment\n\t\t\ts.mu.Unlock()\n\t\t\t<-w.ready",
		"if w.entry.flow == nil {\n\t\t\ts.mu.Unlock()\n\t\t\t<-w.ready; if bug() { w.err = ctx.Err() }",
	},
}

// Between loading an index and acting on it, and around parking.
var steps = regexp.MustCompile(`(?m)^\t+(l\.mu\.Lock\(\)|r\.(tail|head)\.word\.Store\(.*\)|r\.buf\[t&r\.mask\] = \*v|l\.mu\.Unlock\(\))$`)

// TestMutantsAreKilled compiles the package once more with all the bugs in it, switched off,
// and with yields between the steps of each operation. With every bug off the tests must
// pass, with any one on they must fail (or never end).
func TestMutantsAreKilled(t *testing.T) {
	var bugs []planted.Bug
	for _, m := range slices.Concat(mutants, limiterMutants) {
		bugs = append(bugs, planted.Bug{Name: m.name, Tests: m.by, File: m.file, Old: m.old, New: m.new})
	}
	planted.Copy{Bugs: bugs, Steps: steps, Args: []string{"-rapid.nofailfile"}}.Kill(t)
}
