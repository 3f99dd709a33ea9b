package backpressure

// The mutants of what admits and refuses: [Limiter], [Throttle], [Breaker], [Budget], [Retry], [Credits] and
// [Gate]. They are compiled along with those of the queue.
var limiterMutants = []mutant{
	{
		"a permit is kept when its work panics", "DoReleases", "limiter.go",
		"defer func() { p.Release(outcome) }()\n\terr = fn(ctx)",
		"defer func() { if !bug() || outcome != Dropped { p.Release(outcome) } }()\n\terr = fn(ctx)",
	},
	{
		"a permit is kept when a handler panics", "HandlerReleases", "http.go",
		"defer func() { p.Release(outcome) }()\n\t\ts := ",
		"defer func() { if !bug() || outcome != Dropped { p.Release(outcome) } }()\n\t\ts := ",
	},
	{
		"a permit released twice counts twice", "PermitIsReleased", "permit.go",
		"!p.slot.gen.CompareAndSwap(p.gen, p.gen+1) {",
		"!p.slot.gen.CompareAndSwap(p.gen, p.gen+1) && !bug() {",
	},
	{
		"a permit served to who has just given up is kept", "ServedAtTheLastMoment", "limiter.go",
		"g.permit.Release(Ignored)",
		"if !bug() { g.permit.Release(Ignored) }",
	},
	{
		"one permit too many", "LimiterIsLinearizable", "limiter.go",
		"inFlightOf(w)+n > limit {",
		"inFlightOf(w)+n > limit && !(bug() && inFlightOf(w)+n == limit+1) {",
	},
	{
		"lost wake-up: a release does not look who waits", "WaitersAreServed", "limiter.go",
		"if l.word.Load()&waitingBit != 0 {",
		"if l.word.Load()&waitingBit != 0 && !bug() {",
	},
	{
		"lost wake-up: who gives up stays in the way", "CostlyWaiter", "limiter.go",
		"l.serve(l.now()) // it may have",
		"if bug() { return true }; l.serve(l.now()) // it may have",
	},
	{
		"who comes takes the room that is kept for who waits", "CostlyWaiter", "limiter.go",
		"l.take(1, waitingBit)",
		"l.take(1, map[bool]uint64{false: waitingBit}[bug()])",
	},
	{
		"the algorithm's NaN is taken for a limit", "WhatAnAlgorithmMaySay", "limiter.go",
		"if math.IsNaN(limit) {",
		"if math.IsNaN(limit) && !bug() {",
	},
	{
		"Little's baseline drifts: it follows what is queued", "LittleFindsTheServer", "little.go",
		"n := inFlight(w)\n\tshare :=",
		"n := inFlight(w); if bug() { a.base += (latency - a.base) / 2 }\n\tshare :=",
	},
	{
		"Little lets a queue form that deadlines have no time for", "LittleKeepsDeadlines", "little.go",
		"limit = min(limit, most)",
		"if !bug() { limit = min(limit, most) }",
	},
	{
		"Little does not look at the order of answers", "LittleBelievesOrder", "little.go",
		"a.sure = true\n",
		"a.sure = !bug()\n",
	},
	{
		"Little believes the order of answers, whatever comes of it", "LittleDoubtsOrder", "little.go",
		"if t.sum < 0.4*littleTrial*t.rate {",
		"if t.sum < 0.4*littleTrial*t.rate && !bug() {",
	},
	{
		"Little believes order where latency shows no queue", "LittleWantsLatency", "little.go",
		"wasSure || by < 0.95*n",
		"wasSure || bug() || by < 0.95*n",
	},
	{
		"Little takes work that is shared for a line", "LittleSeesThatWorkIsShared", "little.go",
		"if n >= 1.5 {",
		"if n >= 1.5 && !bug() {",
	},
	{
		"overtaking forgets what was in flight before", "TestOvertaking", "limiter.go",
		"rank := int(inFlightOf(taken)) + 1",
		"if bug() { taken = w }; rank := int(inFlightOf(taken)) + 1",
	},
	{
		"Little takes chance for a queue", "LittleDoublesOn", "little.go",
		"if a.doubt {",
		"if a.doubt || bug() {",
	},
	{
		"a refusal forgets RetryAfter", "TestRetryAfter", "refusal.go",
		"o.RetryAfter = time.Duration(",
		"if bug() { continue }; o.RetryAfter = time.Duration(",
	},
	{
		"all who are refused come back at once", "TestRetryAfter", "refusal.go",
		"float64(l.room.size+i+1) + l.away) / perSecond * (1 + l.draw())",
		"float64(l.room.size+map[bool]int{false: i}[bug()]+1) + l.away) / perSecond * (1 + map[bool]float64{false: l.draw()}[bug()])",
	},
	{
		"a retry does not wait for RetryAfter", "RetryWaits", "retry.go",
		"wait += min(o.RetryAfter,",
		"wait += min(map[bool]time.Duration{false: o.RetryAfter}[bug()],",
	},
	{
		"a budget counts no retry as spent", "BudgetHolds|RetryKeeps", "budget.go",
		"now.extras++",
		"if !bug() { now.extras++ }",
	},
	{
		"a budget forgets its retries a second early", "BudgetHolds", "budget.go",
		"spent += s.extras",
		"if !bug() || now.second-s.second < 9 { spent += s.extras }",
	},
	{
		"a throttle knows the server's refusal by identity only", "ThrottleDo", "throttle.go",
		"refused = errors.Is(err, ErrOverload)",
		"refused = errors.Is(err, ErrOverload) && !bug() || err == ErrOverload",
	},
	{
		"a throttle takes a panic for a refusal", "ThrottleDo", "throttle.go",
		"refused := false",
		"refused := bug()",
	},
	{
		"a throttle sends no probes", "ThrottleFollows", "throttle.go",
		"max(1-refuse, probing)",
		"max(1-refuse, map[bool]float64{false: probing}[bug()])",
	},
	{
		"a throttle draws lots for what it lets through", "ThrottleIsBackInThreeSecondsAtAnyRate", "throttle.go",
		"if t.due >= 1 {",
		"if bug() && u < max(1-refuse, probing) || !bug() && t.due >= 1 {",
	},
	{
		"what a throttle lets through falls into step", "ThrottleSpreads", "throttle.go",
		"(0.5 + u)",
		"(0.5 + map[bool]float64{false: u, true: 0.5}[bug()])",
	},
	{
		"more than one probe goes to what is broken", "BreakerOpens", "breaker.go",
		"if c.round != 0 {\n\t\tc.until",
		"if c.round != 0 && !bug() {\n\t\tc.until",
	},
	{
		"an old success closes a breaker", "BreakerCounts", "breaker.go",
		"if round != c.round {",
		"if round != c.round && !bug() {",
	},
	{
		"a ramp ends where its steps add up to", "RampsToTheVeryEnd", "gate.go",
		"next = opened(r.to) //",
		"if !bug() { next = opened(r.to) } //",
	},
	{
		"a ramp goes on when healthy panics", "GateRamps", "gate.go",
		"next := opened(r.from)",
		"next := opened(r.from); if bug() { next = s }",
	},
	{
		"a small demand overtakes a large one", "CancelledSpend", "credits.go",
		"c.first == nil && c.take(w):",
		"(c.first == nil || bug()) && c.take(w):",
	},
	{
		"lost wake-up: who comes after the last in line has left", "CreditsLineCloses", "credits.go",
		"if c.last == q {",
		"if c.last == q && !bug() {",
	},
	{
		"demand without bound is used up", "CreditsKeep|GrantsAddUp", "credits.go",
		"if c.left != math.MaxInt64 {",
		"if c.left != math.MaxInt64 || bug() {",
	},
	{
		"a receiver that leaves lets its senders wait", "PipeKeeps", "pipe.go",
		"defer cancel(ErrClosed)",
		"defer func() { if !bug() { cancel(ErrClosed) } }()",
	},
	{
		"what was sent before the regular end is lost", "PipeKeeps|PipeIsBounded", "pipe.go",
		"if err != nil {\n\t\t\t\tstop()",
		"if err != nil || bug() {\n\t\t\t\tstop()",
	},
	{
		"a server's Retry-After is not heard", "TestRefused", "http.go",
		"RetryAfter: retryAfter(",
		"RetryAfter: map[bool]time.Duration{false: 1}[bug()] * retryAfter(",
	},
	{
		"a timeout of the network is taken for the end of a context", "TestTransient", "retry.go",
		"if ended(err) {",
		"if ended(err) || bug() && errors.Is(err, context.DeadlineExceeded) {",
	},
	{
		"each share of a gate is drawn anew", "GateIsMonotone", "gate.go",
		"|| hashString(g.seed, key) < s.bound",
		"|| hashString(g.seed^map[bool]uint64{true: s.bound}[bug()], key) < s.bound",
	},
}
