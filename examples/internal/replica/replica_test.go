package replica

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/cutnet"
)

const (
	patience = 20 * time.Second
	poll     = time.Millisecond
)

func start(t *testing.T, id crdt.ReplicaID, cfg Config) (*Replica, *crdt.Set[string]) {
	t.Helper()
	s := crdt.NewSet[string](id)
	cfg.Store, cfg.Bind = s.Store(), "127.0.0.1:0"
	r, err := Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return r, s
}

func add(s *crdt.Set[string], e string) func() error {
	return func() error { s.Add(e); return nil }
}

func TestReplicasBecomeEqual(t *testing.T) {
	var network cutnet.Network
	a, sa := start(t, 1, Config{Name: "a", Network: &network})
	b, sb := start(t, 2, Config{Name: "b", Network: &network, Join: []string{a.Addr()}})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, a.Do(add(sa, "x")))
	require.NoError(t, b.Wait(ctx, func() bool { return sb.Contains("x") }))
	require.Equal(t, "a", b.Peers()[0].Info)

	network.Cut([]string{a.Addr()}, []string{b.Addr()})
	require.NoError(t, a.Do(add(sa, "left")))
	require.NoError(t, b.Do(add(sb, "right")))
	require.NotEqual(t, a.Fingerprint(), b.Fingerprint())
	done, stop := context.WithCancel(ctx)
	stop()
	require.ErrorIs(t, b.Wait(done, func() bool { return sb.Contains("left") }), context.Canceled)
	network.Heal()
	require.NoError(t, b.Wait(ctx, func() bool { return sb.Contains("left") }))
	require.NoError(t, a.Wait(ctx, func() bool { return sa.Contains("right") }))
	require.Eventually(t, func() bool { return a.Fingerprint() == b.Fingerprint() }, patience, poll)
	a.View(func() { require.Equal(t, []string{"left", "right", "x"}, sa.Sorted()) })
	require.Positive(t, a.Traffic().PacketsSent)
}

// TestNobodyHearsOfWhatIsNotKept: what could not be written stays here.
func TestNobodyHearsOfWhatIsNotKept(t *testing.T) {
	full := errors.New("disk full")
	var kept []crdt.Delta
	var fail error
	a, sa := start(t, 1, Config{Persist: func(ds []crdt.Delta) error {
		if fail != nil {
			return fail
		}
		kept = append(kept, ds...)
		return nil
	}})
	b, sb := start(t, 2, Config{Join: []string{a.Addr()}})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, a.Do(add(sa, "x")))
	require.NoError(t, b.Wait(ctx, func() bool { return sb.Contains("x") }))
	again := crdt.NewSet[string](3)
	a.View(func() {
		for _, d := range kept {
			_, err := again.Merge(d)
			require.NoError(t, err)
		}
		fail = full
	})
	require.Equal(t, []string{"x"}, again.Sorted())

	require.ErrorIs(t, a.Do(add(sa, "y")), full)
	require.ErrorIs(t, a.Do(func() error { return nil }), full)
	require.NoError(t, b.Do(add(sb, "z")))
	require.Eventually(t, func() (has bool) { // as much talk as it takes
		a.View(func() { has = sa.Contains("z") })
		return has
	}, patience, poll)
	b.View(func() { require.False(t, sb.Contains("y")) })
	require.ErrorIs(t, a.Wait(ctx, func() bool { return false }), full)
}

func TestErrorsPassThrough(t *testing.T) {
	r, _ := start(t, 1, Config{})
	mine := errors.New("mine")
	require.ErrorIs(t, r.Do(func() error { return mine }), mine)
	_, err := Start(Config{Store: crdt.NewStore(1), Bind: "nowhere"})
	require.Error(t, err)
	waiting := make(chan error)
	go func() { waiting <- r.Wait(context.Background(), func() bool { return false }) }()
	require.NoError(t, r.Close())
	require.ErrorIs(t, <-waiting, context.Canceled)
}
