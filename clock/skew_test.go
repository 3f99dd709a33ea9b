package clock

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

// exchange samples a peer whose clock is ahead, with the given times on the way.
func exchange(s *Skew[string], id string, ahead, there, back time.Duration) bool {
	t0 := noon
	t1 := t0.Add(there).Add(ahead)
	t2 := t1.Add(ms)
	t3 := t2.Add(-ahead).Add(back)
	return s.Sample(id, t0, t1, t2, t3)
}

func TestOffsetIsWithinItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSkew[string]()
		ahead := time.Duration(rapid.Int64Range(-1e13, 1e13).Draw(t, "ahead"))
		quickest := time.Duration(1 << 62)
		for range rapid.IntRange(1, 20).Draw(t, "exchanges") {
			there := time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "there"))
			back := time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "back"))
			require.True(t, exchange(s, "p", ahead, there, back))
			quickest = min(quickest, there+back)
			offset, bound, ok := s.Offset("p")
			require.True(t, ok)
			require.LessOrEqual(t, (offset - ahead).Abs(), bound)
		}
	})
}

func TestSkewKeepsTheQuickestOfTheLast(t *testing.T) {
	s := NewSkew[string]()
	exchange(s, "p", time.Hour, 0, 0)
	for range skewKept - 1 {
		exchange(s, "p", time.Second, ms, ms)
	}
	offset, bound, _ := s.Offset("p")
	require.Equal(t, []time.Duration{time.Hour, 0}, []time.Duration{offset, bound})
	exchange(s, "p", time.Second, ms, ms) // the peer has set its clock
	offset, bound, _ = s.Offset("p")
	require.Equal(t, []time.Duration{time.Second, ms}, []time.Duration{offset, bound})
	s.Forget("p")
	_, _, ok := s.Offset("p")
	require.False(t, ok)

	require.False(t, s.Sample("p", 10, 0, 1, 9), "back before it left")
	require.False(t, s.Sample("p", 0, 5, 4, 9), "answered before it came")
	require.False(t, s.Sample("p", 0, 0, 50, 9), "longer there than away")
	_, _, ok = s.Offset("p")
	require.False(t, ok)
}

func TestWhoIsOff(t *testing.T) {
	for name, c := range map[string]struct {
		peers map[string]time.Duration
		self  bool
		off   []string
	}{
		"alone":                   {nil, false, nil},
		"two disagree":            {map[string]time.Duration{"a": time.Hour}, false, nil},
		"all agree":               {map[string]time.Duration{"a": 10 * ms, "b": -10 * ms}, false, nil},
		"one peer":                {map[string]time.Duration{"a": 3 * time.Hour, "b": 0}, false, []string{"a"}},
		"this node, behind":       {map[string]time.Duration{"a": 3 * time.Hour, "b": 3 * time.Hour}, true, nil},
		"this node, ahead":        {map[string]time.Duration{"a": -3 * time.Hour, "b": -3 * time.Hour, "c": -3*time.Hour + 9*ms}, true, nil},
		"this node and a peer":    {map[string]time.Duration{"a": time.Hour, "b": time.Hour, "c": time.Hour, "d": -time.Hour}, true, []string{"d"}},
		"each its own":            {map[string]time.Duration{"a": time.Hour, "b": -time.Hour}, false, nil},
		"half and half":           {map[string]time.Duration{"a": 0, "b": time.Hour, "c": time.Hour}, false, nil},
		"two of five, not agreed": {map[string]time.Duration{"a": 0, "b": time.Hour, "c": -time.Hour, "d": ms}, false, []string{"b", "c"}},
	} {
		s := NewSkew[string]()
		for id, ahead := range c.peers {
			require.True(t, exchange(s, id, ahead, 2*ms, 3*ms))
		}
		err := s.Check(100 * ms)
		if !c.self && c.off == nil {
			require.NoError(t, err, name)
			continue
		}
		var skew *SkewError[string]
		require.ErrorAs(t, err, &skew, name)
		require.ErrorIs(t, err, ErrSkew)
		require.Equal(t, c.self, skew.Self, name)
		require.Len(t, skew.Peers, len(c.off), name)
		for _, id := range c.off {
			require.Contains(t, skew.Peers, id, name)
		}
		if c.self {
			require.InDelta(t, c.peers["a"], skew.Offset, float64(110*ms), name)
		}
	}
}

func TestSkewErrorNamesTheOffsets(t *testing.T) {
	err := error(&SkewError[string]{Self: true, Offset: 3 * time.Hour, Peers: map[string]time.Duration{"b": time.Second, "a": -time.Minute}, Allowed: ms})
	require.EqualError(t, err, "clock: off by more than 1ms: this node by -3h0m0s, a by -1m0s, b by 1s")
	require.False(t, errors.Is(err, ErrDrift))
}
