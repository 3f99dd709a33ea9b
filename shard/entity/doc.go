// Package entity runs code on state that has a single owner: one message at a time for each key.
//
// An entity is a key with a state S. Messages to it are handled in turns, by one handler, never two
// of one key at once, in the order in which each sender sent them. So the handler needs no locks,
// and a turn, with everything it sends, is the unit of consistency: there is nothing to agree on.
//
//	e := entity.New(func(t *entity.Turn[Account, Deposit], d Deposit) error {
//		t.State.Balance += d.Amount
//		return nil
//	})
//	err := e.Send(ctx, "account:4711", Deposit{100})
//
// Keys do not have goroutines; lanes have. A lane serves a range of slots of package shard from one
// bounded mailbox, so ten thousand mostly idle keys cost their states and little more, and moving a
// slot to another process moves the states of its keys: [Entities.Handoff] and [Entities.Adopt].
//
// # Which method do I want?
//
//	send, and wait if the lane is busy             Entities.Send
//	send, or be told that the lane is full         Entities.TrySend
//	send a lot from one goroutine                  Entities.Sender
//	read a state                                   Ask
//	send from within a turn, now or later          Turn.Send, Turn.After
//	drop a state that is no longer needed          Turn.Forget
//	move a slot elsewhere, with its states         Entities.Handoff, Entities.Adopt
//	stop, and lose nothing that was accepted       Entities.Close
//
// States are in memory only. What must outlive the process the handler has to write.
package entity
