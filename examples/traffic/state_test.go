package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/clock"
)

// TestSpanConverges: a register keeps the last write, so whoever knows better must write again.
func TestSpanConverges(t *testing.T) {
	clocks := []*clock.Clock{clock.New(), clock.New(), clock.New()}
	known := []span{{50, 60}, {10, 55}, {40, 99}}
	stores := make([]*siteReplica, len(known))
	for i := range known {
		store, s := newSite(t)
		stores[i] = &siteReplica{store, s}
	}
	for range 3 { // a round to tell, a round to correct, a round to hear of it
		for i, r := range stores {
			d := r.store.Update(func() { r.site.assert(&known[i], clocks[i]) })
			for _, other := range stores {
				_, err := other.store.Merge(d)
				require.NoError(t, err)
			}
		}
	}
	for i, r := range stores {
		require.Equal(t, span{10, 99}, r.site.span())
		require.Equal(t, span{10, 99}, known[i])
		require.Equal(t, stores[0].store.Fingerprint(), r.store.Fingerprint())
		require.True(t, r.store.Update(func() { r.site.assert(&known[i], clocks[i]) }).IsZero(), "nothing is left to say")
	}
}

func TestNothingKnownIsNotAsserted(t *testing.T) {
	store, s := newSite(t)
	none := noSpan
	require.True(t, store.Update(func() { s.assert(&none, clock.New()) }).IsZero())
	require.Equal(t, noSpan, s.span())
	require.Equal(t, totals{Classes: map[string]int64{}, Top: []pageTotals{}}, s.totals(3))
}

func TestTotals(t *testing.T) {
	store, s := newSite(t)
	store.Update(func() {
		for page, n := range map[string]int64{"/a": 3, "/b": 5} {
			s.Requests.At(page).Add(n)
			s.Bytes.At(page).Add(10 * n)
			s.Pages.Add(page)
			s.Visitors.At(page).Add("x", page)
		}
		s.Classes.At("2xx").Add(8)
		s.Unique.Add("x", "/a", "/b")
		s.assert(&span{0, 3600}, clock.New())
	})
	require.Equal(t, totals{
		Requests: 8, Bytes: 80, Pages: 2, Visitors: 3, Classes: map[string]int64{"2xx": 8},
		First: "1970-01-01 00:00:00 UTC", Last: "1970-01-01 01:00:00 UTC",
		Top: []pageTotals{{"/b", 5, 50, 2}},
	}, s.totals(1))
}
