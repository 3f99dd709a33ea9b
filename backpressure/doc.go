// Package backpressure says what happens at full capacity, and what happens next.
//
// A program that takes in more than it can do has to wait, to refuse or to forget. Without
// a bound it does none of these until memory or patience runs out. Here each bound is a
// value, what happens at the bound is one option, and every refusal is one documented
// error, [Overload], that says why and when to come back.
//
//	lim := backpressure.NewLimiter(backpressure.Waiting(1000))
//	err := http.ListenAndServe(addr, lim.Handler(mux))   // what cannot be done in time gets a 503 at once
//
//	jobs := backpressure.NewQueue[Job](1024)
//	err = jobs.Put(ctx, job)                             // waits while the queue is full
//	for job := range jobs.All(ctx) { work(job) }         // until Close
//
//	I want to …                                        use
//	hand items from producers to consumers, and wait   NewQueue, Queue.Put
//	… and be told at once when there is no room        RejectWhenFull, Queue.TryPut
//	… and keep the newest items only                   DropOldest
//	… and keep the oldest items only                   DropNewest
//	… and move many items for the price of one         Queue.PutAll, Queue.GetBatch
//	… and count bytes instead of items                 Weigh
//	serve the important ones first                     Priority
//	keep one tenant from starving the others           Fair
//	never work on what is too late already             Deadline
//	keep the wait short when more comes than goes      CoDel, AdaptiveLIFO
//	answer for what was dropped                        OnDrop
//	range over items until the end                     Queue.All
//	stop, and lose nothing                             Queue.Close, Queue.Drain
//	bound how much runs at once, without knowing how   NewLimiter, Limiter.Do
//	… and let callers wait, fairly                     Waiting, WithTenant, WithPriority
//	… and choose how the bound is found                Little, Gradient2, Vegas, AIMD, Fixed
//	… in a server or a client, HTTP or gRPC            Limiter.Handler, Limiter.Transport, UnaryServer
//	know what happens at ten times the load            package loadsim
//	lose one shard, and not all of them                Breaker
//	roll out slowly, and try in the dark first         Gate, Gate.Ramp, Gate.Dark
//	see it in Prometheus                               WriteMetrics
//	tell a sender how much it may still send           Credits
//	join two stages, and end from either side          Pipe
//	not send what will be refused                      Throttle
//	try again, with jitter and when told to            Retry, DoValue, Refused
//	… and never make an outage worse by it             Budget
//
// # Why not a channel
//
// A channel with a buffer is a bounded queue, too, and the right one wherever a goroutine
// waits for several things at once. A [Queue] adds what a channel cannot do: a policy for
// when it is full, batches, a context that costs nothing until it is needed (a select over
// a channel and ctx.Done() costs a channel three times its price), a Close that is safe
// while others put, and an exact count of what happened.
//
// # Overload is one error
//
//	var o *backpressure.Overload
//	if errors.As(err, &o) {
//		// o.Reason, o.RetryAfter
//	}
//
// errors.Is(err, [ErrOverload]) holds for every refusal; [ErrClosed] is the end of a queue
// and no overload.
//
// Everything that takes time uses package time, so that it runs unchanged, and in virtual
// time, inside a [testing/synctest] bubble.
package backpressure
