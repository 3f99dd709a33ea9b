package cutnet

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHost: streams that a host dials are refused and broken by a cut, and both ends count what they
// send.
func TestHost(t *testing.T) {
	var n Network
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a, b := NewHost(&n, "a"), NewHost(&n, l.Addr().String())
	defer a.Leave()
	defer b.Leave()
	in := b.Listener(l)
	defer in.Close()
	go func() {
		for {
			conn, err := in.Accept()
			if err != nil {
				return
			}
			go io.Copy(conn, conn)
		}
	}()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	conn, err := a.DialContext(ctx, "tcp", b.Addr())
	require.NoError(t, err)
	ping(t, conn)
	require.Equal(t, Stats{StreamsOpened: 1, StreamBytes: 1}, a.Stats())
	require.Eventually(t, func() bool { return b.Stats() == Stats{StreamBytes: 1} }, patience, time.Millisecond)

	n.Cut([]string{"a"}, []string{b.Addr()})
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	_, err = a.DialContext(ctx, "tcp", b.Addr())
	require.ErrorContains(t, err, "is cut")
	require.EqualValues(t, 1, a.Stats().StreamsRefused)
	n.Heal()
	conn, err = a.DialContext(ctx, "tcp", b.Addr())
	require.NoError(t, err)
	ping(t, conn)
	require.NoError(t, conn.Close())
}
