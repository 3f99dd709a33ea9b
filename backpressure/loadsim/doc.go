// Package loadsim answers "what happens at ten times the load?" in a unit test.
//
// It simulates a server, the limiter before it and the clients that come at it, event by event, in
// virtual time. The limiter is the real one: the code of [backpressure.Limiter], with its algorithm,
// its waiting room and its refusals, at a clock that the simulation turns (see
// [backpressure.Admission]). Nothing else runs, so a minute of overload takes a second or less, and
// the same seed gives the same result to the bit, on every machine.
//
//	I want to …                                      use
//	describe a server and its clients                Scenario
//	… how long its work takes                        Constant, Exponential, Lognormal
//	… load that comes and goes, a brown-out          Phase
//	… clients that retry, or honor RetryAfter        Scenario.Retries, Scenario.Polite
//	… one greedy tenant among modest ones            Tenant
//	know what becomes of it                          Run, Result
//
// The number to look at is [Result.Goodput]: what was done in time, as a share of what the server
// can do. Without a limiter it falls to nothing soon after the load exceeds what can be done, for then
// all work is for callers who have given up.
//
// The server is simple: a number of slots, a line before them. Real ones share processors, locks and
// caches, and so have no sharp capacity. What fails here fails there, too; what holds here should be
// tried there.
package loadsim
