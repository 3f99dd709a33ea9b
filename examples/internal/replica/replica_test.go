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

// TestMessages: what Receive changes and sends is on its way when it returns.
func TestMessages(t *testing.T) {
	got := make(chan string, 100)
	a, sa := start(t, 1, Config{Receive: func(_ *Replica, _ crdt.ReplicaID, msg []byte) { got <- string(msg) }})
	heard := crdt.NewSet[string](2)
	b, err := Start(Config{Store: heard.Store(), Bind: "127.0.0.1:0", Join: []string{a.Addr()}, Receive: func(r *Replica, from crdt.ReplicaID, msg []byte) {
		heard.Add(string(msg))
		r.Send(from, append(msg, '!'))
	}})
	require.NoError(t, err)
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.Eventually(t, func() bool { // packets get lost
		a.Broadcast([]byte("hello"))
		return len(got) > 0
	}, patience, poll)
	require.Equal(t, "hello!", <-got)
	require.NoError(t, a.Wait(ctx, func() bool { return sa.Contains("hello") }))
	b.View(func() { require.Equal(t, 1, heard.Len()) })
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
