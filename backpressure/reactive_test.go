package backpressure

import (
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// The rules of Reactive Streams 1.0.4 (github.com/reactive-streams/reactive-streams-jvm), by number, as
// far as they mean something for a count of demand and for a pipe in Go. Grant is request, Cancel is
// cancel, a value of the loop is onNext, its end is onComplete or onError.
//
// Of an object that is subscribed to, and of who calls whom on which thread, are §1.9, §1.11, §2.2,
// §2.3, §2.5, §3.1, §3.10, §3.11, §3.14 and §4: here nobody subscribes, nobody is called back, and a
// loop has one goroutine. §2.7 asks receivers to take turns; here they need not.

func TestCreditsKeepTheRules(t *testing.T) {
	rules := []struct {
		rule string
		test func(t *testing.T)
	}{
		{"§1.1 never more is sent than was asked for", func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 1))
			for range 200 {
				c := NewCredits(0)
				var asked, sent int64
				for range 30 {
					n := rng.Int64N(11) - 5
					switch {
					case n > 0:
						require.NoError(t, c.Grant(n))
						asked += n
					case asked-sent >= -n:
						require.NoError(t, c.Spend(past(), -n))
						sent -= n
					default:
						require.Error(t, c.Spend(past(), -n))
						some, err := c.SpendUpTo(past(), -n)
						require.Equal(t, asked-sent, some)
						require.Equal(t, some == 0, err != nil)
						sent += some
					}
					require.Equal(t, asked-sent, c.Left())
				}
			}
		}},
		{"§1.2 less may be sent than was asked for", func(t *testing.T) {
			c := NewCredits(5)
			require.NoError(t, c.Spend(background, 2))
			c.Cancel(nil)
			require.ErrorIs(t, c.Spend(background, 1), ErrClosed)
			require.EqualValues(t, 3, c.Left())
		}},
		{"§2.7 §3.5 §3.15 §3.16 calls may come at any time, and return", func(t *testing.T) {
			for range 100 {
				var c Credits
				var wg sync.WaitGroup
				for i := range 4 {
					wg.Go(func() {
						for range 10 {
							require.NoError(t, c.Grant(1))
						}
						if i == 3 {
							c.Cancel(nil)
						}
					})
				}
				wg.Go(func() {
					for c.Spend(background, 3) == nil {
						runtime.Gosched()
					}
				})
				wg.Wait()
			}
		}},
		{"§3.2 §3.3 §3.4 a Grant neither waits for the sender nor runs it", func(t *testing.T) {
			var c Credits
			sent := 0
			go func() {
				for c.Spend(background, 1) == nil {
					sent++
				}
			}()
			synctest.Wait()
			for i := range 10_000 {
				require.NoError(t, c.Grant(1))
				if i%100 == 0 {
					synctest.Wait()
					require.Equal(t, i+1, sent)
				}
			}
			synctest.Wait()
			require.Equal(t, 10_000, sent)
			c.Cancel(nil)
		}},
		{"§3.6 §3.7 after Cancel nothing changes", func(t *testing.T) {
			c := NewCredits(2)
			c.Cancel(errFull)
			require.NoError(t, c.Grant(7))
			c.Cancel(nil)
			require.EqualValues(t, 2, c.Left())
			require.Equal(t, errFull, c.Spend(background, 1), "the first reason stands")
		}},
		{"§3.8 grants add up", func(t *testing.T) {
			c := NewCredits(-1) // is none
			for n := range int64(100) {
				require.NoError(t, c.Grant(n+1))
			}
			require.EqualValues(t, 5050, c.Left())
		}},
		{"§3.9 a Grant of nothing or less is a mistake", func(t *testing.T) {
			c := NewCredits(3)
			for _, n := range []int64{0, -1, math.MinInt64} {
				require.ErrorIs(t, c.Grant(n), ErrCredits)
				require.ErrorContains(t, c.Grant(n), "grant of ")
			}
			require.EqualValues(t, 3, c.Left())
			require.NoError(t, c.Spend(background, 3), "and ends nothing")
		}},
		{"§1.8 §3.12 after Cancel who waits is sent away", func(t *testing.T) {
			var c Credits
			var away atomic.Int32
			for i := range 3 {
				go func() {
					n, err := c.SpendUpTo(background, int64(i+1))
					require.ErrorIs(t, err, ErrClosed)
					require.Zero(t, n)
					away.Add(1)
				}()
			}
			synctest.Wait()
			c.Cancel(nil)
			synctest.Wait()
			require.EqualValues(t, 3, away.Load())
		}},
		{"§3.13 nobody is remembered who does not wait", func(t *testing.T) {
			for _, end := range []func(c *Credits){
				func(c *Credits) { _ = c.Grant(10) },
				func(c *Credits) { c.Cancel(nil) },
			} {
				var c Credits
				for range 2 {
					go func() { _ = c.Spend(background, 1) }()
				}
				synctest.Wait()
				end(&c)
				synctest.Wait()
				require.Nil(t, c.first)
				require.Nil(t, c.last)
			}
		}},
		{"§3.17 demand is as large as it may be, and then without bound", func(t *testing.T) {
			c := NewCredits(math.MaxInt64 - 2)
			require.NoError(t, c.Grant(1))
			require.NoError(t, c.Spend(background, math.MaxInt64-1), "one less is a number like any other")
			require.Zero(t, c.Left())
			require.NoError(t, c.Grant(math.MaxInt64))
			for range 3 {
				require.NoError(t, c.Grant(math.MaxInt64))
				require.NoError(t, c.Spend(background, math.MaxInt64))
				n, err := c.SpendUpTo(background, math.MaxInt64)
				require.NoError(t, err)
				require.Equal(t, int64(math.MaxInt64), n)
			}
		}},
	}
	for _, r := range rules {
		t.Run(r.rule, func(t *testing.T) { synctest.Test(t, r.test) })
	}
}

func TestPipeKeepsTheRules(t *testing.T) {
	broke := errors.New("broke")
	rules := []struct {
		rule string
		test func(t *testing.T)
	}{
		{"§1.1 §2.1 never more is sent than there is a window for", func(t *testing.T) {
			for window := range 4 {
				send, recv, cancel := Pipe[int](window + 1)
				sent := 0
				go func() {
					for i := 0; send(background, i) == nil; i++ {
						sent++
					}
				}()
				synctest.Wait()
				require.Equal(t, window+1, sent)
				got := 0
				for range recv {
					if got++; got == 50 {
						cancel(nil)
						break
					}
					synctest.Wait()
					require.LessOrEqual(t, sent, got+window+1)
				}
			}
		}},
		{"§1.2 §1.5 §2.9 a regular end comes after what was sent, asked for or not", func(t *testing.T) {
			for n := range 4 {
				send, recv, cancel := Pipe[int](3)
				for i := range n {
					require.NoError(t, send(background, i))
				}
				cancel(nil)
				got := 0
				for v := range recv {
					require.Equal(t, got, v)
					got++
				}
				require.Equal(t, n, got)
			}
		}},
		{"§1.3 values come one at a time, whoever sends them", func(t *testing.T) {
			send, recv, cancel := Pipe[int](2)
			var senders sync.WaitGroup
			for p := range 4 {
				senders.Go(func() {
					for i := range 25 {
						require.NoError(t, send(background, 100*p+i))
					}
				})
			}
			go func() { senders.Wait(); cancel(nil) }()
			var busy atomic.Bool
			var next [4]int
			for v := range recv {
				require.True(t, busy.CompareAndSwap(false, true))
				require.Equal(t, next[v/100], v%100, "each sender's in order")
				next[v/100]++
				runtime.Gosched()
				busy.Store(false)
			}
			require.Equal(t, [4]int{25, 25, 25, 25}, next)
		}},
		{"§1.4 §2.10 a failure ends both sides at once, asked or not", func(t *testing.T) {
			send, recv, cancel := Pipe[int](2)
			waits := make(chan error)
			for range 4 {
				go func() { waits <- send(background, 1) }()
			}
			synctest.Wait()
			require.NoError(t, <-waits)
			require.NoError(t, <-waits)
			cancel(broke)
			require.Equal(t, broke, <-waits)
			require.Equal(t, broke, <-waits)
			for v := range recv {
				require.Fail(t, "too late", v)
			}
		}},
		{"§1.6 §1.7 §2.4 §2.12 nothing follows the end", func(t *testing.T) {
			for _, why := range []error{nil, broke} {
				send, recv, cancel := Pipe[int](2)
				require.NoError(t, send(background, 1))
				cancel(why)
				for range recv {
				}
				for range 3 {
					cancel(errFull)
					require.ErrorIs(t, send(background, 2), map[bool]error{true: ErrClosed, false: broke}[why == nil])
					for v := range recv {
						require.Fail(t, "it is over", v)
					}
				}
			}
		}},
		{"§1.8 §2.8 §3.12 a receiver that cancels gets nothing more", func(t *testing.T) {
			send, recv, cancel := Pipe[int](8)
			for i := range 8 {
				require.NoError(t, send(background, i))
			}
			got := 0
			for range recv {
				got++
				cancel(broke)
			}
			require.Equal(t, 1, got)
			require.Equal(t, broke, send(background, 9))
		}},
		{"§2.6 §2.13 a receiver that leaves, fails or exits lets the senders go", func(t *testing.T) {
			for _, leave := range []func() (more bool){
				func() bool { return false },
				func() bool { panic("oh") },
				func() bool { runtime.Goexit(); return true },
			} {
				send, recv, _ := Pipe[int](1)
				sent := make(chan error)
				go func() {
					for {
						if err := send(background, 1); err != nil {
							sent <- err
							return
						}
					}
				}()
				go func() {
					defer func() { _ = recover() }()
					for range recv {
						if !leave() {
							break
						}
					}
				}()
				require.ErrorIs(t, <-sent, ErrClosed)
			}
		}},
		{"§2.11 what was done before a send is seen after it is received", func(t *testing.T) {
			send, recv, cancel := Pipe[*int](1)
			go func() {
				for i := range 100 {
					p := new(int)
					*p = i // the race detector looks at this
					require.NoError(t, send(background, p))
				}
				cancel(nil)
			}()
			next := 0
			for p := range recv {
				require.Equal(t, next, *p)
				next++
			}
		}},
		{"§3.5 §3.7 §3.15 to cancel is to return, from anywhere, as often as one likes", func(t *testing.T) {
			send, recv, cancel := Pipe[int](1)
			require.NoError(t, send(background, 1))
			var all sync.WaitGroup
			all.Go(func() { require.Equal(t, broke, send(background, 2)) })
			synctest.Wait()
			for range 8 {
				all.Go(func() { cancel(broke) })
			}
			all.Wait()
			for range recv {
				t.Fatal("nothing is left")
			}
		}},
	}
	for _, r := range rules {
		t.Run(r.rule, func(t *testing.T) { synctest.Test(t, r.test) })
	}
}
