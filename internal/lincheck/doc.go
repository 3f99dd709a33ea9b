// Package lincheck records what concurrent clients do to one object and decides whether
// a sequential specification explains it (Herlihy & Wing, "Linearizability: A Correctness
// Condition for Concurrent Objects", TOPLAS 1990).
//
// It is for tests only:
//
//	model := lincheck.Model[int, string, int]{ // a counter: state, input, output
//		Step: func(s int, in string, out int) (int, bool) { return s + 1, out == s+1 },
//	}
//	model.Run(t, 2000, func(seed uint64) lincheck.History[string, int] {
//		var n atomic.Int64
//		return lincheck.Record(4, seed, func(c *lincheck.Client[string, int]) {
//			for range 16 {
//				c.Do("inc", func() int { return int(n.Add(1)) })
//			}
//		})
//	})
//
//	question                                                use
//	is this short history linearizable?                     Model.Check
//	are thousands of them, and if not, show me the window   Model.Run
//	what failed last night?                                 Load, then Model.Check
//	is a FIFO queue right over a million operations?        FIFO
//	do stamps grow along real time?                         Increasing
//	do reads never go back along real time?                 NonDecreasing
//
// # What is recorded
//
// [Record] starts every client behind one barrier. Call and return are stamped from one
// atomic counter, so that their order is the real order and no two are equal. Each client
// keeps its own buffer. A seeded source decides where a client yields: the schedule still
// belongs to the runtime, the choices a client makes with [Client.Rand] do not.
//
// # What happens on a failure
//
// Histories are closed under prefixes, so the shortest prefix that already fails is found
// by bisection. Operations that had not returned by then are kept as pending: they may have
// taken effect or not. A prefix is the only cut that cannot invent a failure; leaving
// single operations out could. What stands before the last quiescent moment is folded into
// the states in which the object can have been there, and the rest, the smallest bad
// window, is printed. Porcupine's picture of the prefix and a history.json for [Load] go to
// the test's artifact directory (go test -artifacts keeps it).
//
// An undecided history (Porcupine is exponential in the worst case) is counted and logged;
// [Model.Run] fails when more than one in a hundred are undecided.
package lincheck
