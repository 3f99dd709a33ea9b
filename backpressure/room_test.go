package backpressure

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// aRoom is one of so many, that serves a hundred a second and takes ten milliseconds for each.
func aRoom(most int) (r *room, dropped func() []Reason) {
	var whys []Reason
	r = &room{pace: 100, need: 10 * time.Millisecond}
	r.init(most, func(_ *guest, why Reason) { whys = append(whys, why) })
	return r, func() []Reason { return whys }
}

// TestRoomServesWhoCanBeServed asks, after some have come at time 0 with so many milliseconds each, who is
// next.
func TestRoomServesWhoCanBeServed(t *testing.T) {
	const none = -1
	for _, c := range []struct {
		name  string
		lasts []int // milliseconds; 0: for ever
		after time.Duration
		next  int
		late  int
	}{
		{"nobody", nil, 0, none, 0},
		{"first come, first served", []int{1000, 1000, 1000}, 0, 0, 0},
		{"who has twice what the work takes, exactly, is served", []int{20, 1000}, 0, 0, 0},
		{"who has less is passed over", []int{19, 1000}, 0, 1, 0},
		{"the last has time for a line of three, exactly", []int{1000, 1000, 40}, 0, 0, 0},
		{"and now it has not, and is served first", []int{1000, 1000, 39}, 0, 2, 0},
		{"time passes", []int{1000, 1000, 49}, 10 * time.Millisecond, 2, 0},
		{"the newest is served while it has a fifth of what the work takes", []int{2, 2}, 0, 1, 0},
		{"and then nobody can be", []int{1, 1}, 0, none, 2},
		{"the late are dropped, be they before", []int{5, 5, 1000}, 5 * time.Millisecond, 2, 2},
		{"or behind", []int{1000, 1}, 0, 0, 1},
		{"without deadlines: in order", []int{0, 0, 0}, roomAfter, 0, 0},
		{"until it does not get empty", []int{0, 0, 0}, roomAfter + 1, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, dropped := aRoom(10)
			var guests []*guest
			for _, ms := range c.lasts {
				deadline := never
				if ms > 0 {
					deadline = time.Duration(ms) * time.Millisecond
				}
				g := &guest{}
				require.True(t, r.add(g, request{cost: 1}, deadline, 0))
				guests = append(guests, g)
			}
			g := r.next(c.after)
			if c.next == none {
				require.Nil(t, g)
			} else {
				require.Same(t, guests[c.next], g)
			}
			require.Len(t, dropped(), c.late)
			for _, why := range dropped() {
				require.Equal(t, Late, why)
			}
			waiting := 0
			for _, g := range guests {
				if g.waiting {
					waiting++
				}
			}
			require.Equal(t, len(guests)-c.late, waiting)
			require.Equal(t, waiting, r.size)
			if g != nil {
				r.serve(g)
				require.False(t, g.waiting)
				require.Equal(t, waiting-1, r.size)
			}
		})
	}
}

// A tenant's line moves as fast as its share: with two lines half as fast.
func TestRoomKnowsEachTenantsPace(t *testing.T) {
	for last, want := range map[time.Duration]int{70 * time.Millisecond: 0, 69 * time.Millisecond: 2} {
		r, _ := aRoom(10)
		var guests []*guest
		for i := range 3 {
			guests = append(guests, &guest{})
			deadline := time.Second
			if i == 2 {
				deadline = last // six turns, of which it has every second, and the work
			}
			require.True(t, r.add(guests[i], request{tenant: "a", cost: 1}, deadline, 0))
		}
		require.True(t, r.add(&guest{}, request{tenant: "b", cost: 1}, never, 0))
		require.Same(t, guests[want], r.next(0))
	}
}

// Costs are charged, so who asks for more comes less often.
func TestRoomChargesCosts(t *testing.T) {
	r, _ := aRoom(10)
	for range 4 {
		require.True(t, r.add(&guest{}, request{tenant: "dear", cost: 3}, never, 0))
		require.True(t, r.add(&guest{}, request{tenant: "cheap", cost: 1}, never, 0))
	}
	served := ""
	for g := r.next(0); g != nil; g = r.next(0) {
		served += map[int64]string{1: "c", 3: "D"}[g.cost]
		r.serve(g)
	}
	require.Contains(t, []string{"DcccDcDD", "cDcccDDD"}, served)
}
