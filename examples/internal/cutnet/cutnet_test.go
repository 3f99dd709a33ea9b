package cutnet

import (
	"io"
	"log"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func open(t *testing.T, n *Network) *Transport {
	t.Helper()
	tr, err := Listen(n, "127.0.0.1:0", log.New(io.Discard, "", 0))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tr.Shutdown()) })
	return tr
}

const patience = 10 * time.Second

func receive(t *testing.T, tr *Transport, want string) {
	t.Helper()
	select {
	case p := <-tr.PacketCh():
		require.Equal(t, want, string(p.Buf))
	case <-time.After(patience):
		require.FailNow(t, "no packet")
	}
}

// echo answers each stream with one byte for each that it reads.
func echo(t *testing.T, tr *Transport) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case conn := <-tr.StreamCh():
				go func() {
					io.Copy(conn, conn)
					conn.Close()
				}()
			case <-done:
				return
			}
		}
	}()
	t.Cleanup(func() { close(done) })
}

func TestCutHoldsBackPacketsBothWays(t *testing.T) {
	var n Network
	a, b, c := open(t, &n), open(t, &n), open(t, &n)
	n.Cut([]string{a.Addr(), c.Addr()}, []string{b.Addr()})

	for _, way := range [][2]*Transport{{a, b}, {b, a}, {c, b}} {
		before := way[0].Stats()
		_, err := way[0].WriteTo([]byte("lost"), way[1].Addr())
		require.NoError(t, err, "a lost packet is no error")
		require.Equal(t, before.PacketsDropped+1, way[0].Stats().PacketsDropped)
		require.Equal(t, before.PacketBytes, way[0].Stats().PacketBytes, "what is not sent is not counted as sent")
	}
	_, err := a.WriteTo([]byte("same side"), c.Addr())
	require.NoError(t, err)
	receive(t, c, "same side")

	n.Heal()
	_, err = a.WriteTo([]byte("healed"), b.Addr())
	require.NoError(t, err)
	receive(t, b, "healed") // and nothing of what was lost before it
	require.EqualValues(t, len("same side")+len("healed"), a.Stats().PacketBytes)
}

func TestCutHoldsBackWhatIsOnItsWay(t *testing.T) {
	var n Network
	a, b := open(t, &n), open(t, &n)
	n.Cut([]string{a.Addr()}, []string{b.Addr()})
	// Past our own side of the cut, as a packet that left before it was made.
	_, err := a.NetTransport.WriteTo([]byte("late"), b.Addr())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.Stats().PacketsDropped == 1 }, patience, time.Millisecond)
}

func TestCutRefusesStreamsBothWays(t *testing.T) {
	var n Network
	a, b := open(t, &n), open(t, &n)
	echo(t, a)
	echo(t, b)
	n.Cut([]string{a.Addr()}, []string{b.Addr()})
	for _, way := range [][2]*Transport{{a, b}, {b, a}} {
		_, err := way[0].DialTimeout(way[1].Addr(), patience)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		require.ErrorContains(t, err, "is cut")
		require.EqualValues(t, 1, way[0].Stats().StreamsRefused)
	}
	n.Heal()
	conn, err := a.DialTimeout(b.Addr(), patience)
	require.NoError(t, err)
	defer conn.Close()
	ping(t, conn)
	require.EqualValues(t, 1, a.Stats().StreamBytes)
	require.EqualValues(t, 1, a.Stats().StreamsOpened)
	// Answers are counted where they are sent, which is perhaps not yet done when they arrive.
	require.Eventually(t, func() bool { return b.Stats().StreamBytes == 1 }, patience, time.Millisecond)
}

func ping(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Write([]byte{1})
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
}

// TestCutIsFoundBeforeDialing: not even a connection attempt crosses a cut.
func TestCutIsFoundBeforeDialing(t *testing.T) {
	var n Network
	a := open(t, &n)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, nobody.Close())
	n.Cut([]string{a.Addr()}, []string{nobody.Addr().String()})
	_, err = a.DialTimeout(nobody.Addr().String(), patience)
	require.ErrorContains(t, err, "is cut")
}

func TestCutBreaksOpenStreams(t *testing.T) {
	var n Network
	a, b, c := open(t, &n), open(t, &n), open(t, &n)
	echo(t, b)
	echo(t, c)
	across, err := a.DialTimeout(b.Addr(), patience)
	require.NoError(t, err)
	within, err := a.DialTimeout(c.Addr(), patience)
	require.NoError(t, err)
	ping(t, across)
	ping(t, within)

	require.NoError(t, across.SetReadDeadline(time.Now().Add(patience)))
	n.Cut([]string{a.Addr(), c.Addr()}, []string{b.Addr()})
	_, err = across.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	ping(t, within)
	require.NoError(t, within.Close())
	require.Empty(t, a.host.streams, "closed streams are forgotten")
}

func TestPortIsTakenTwice(t *testing.T) {
	var n Network
	a := open(t, &n)
	_, err := Listen(&n, a.Addr(), log.New(io.Discard, "", 0))
	require.Error(t, err)
}
