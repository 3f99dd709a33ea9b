package gossip

import (
	"bytes"
	"sync"
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

// recorder is a handler that keeps all that it is told.
type recorder struct {
	mu    sync.Mutex
	msgs  []string
	peers map[crdt.ReplicaID]Peer
}

func (r *recorder) Receive(_ crdt.ReplicaID, kind byte, msg []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.msgs = append(r.msgs, string(kind)+string(msg))
}

func (r *recorder) PeerUp(p Peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[p.ID] = p
}

func (r *recorder) PeerDown(id crdt.ReplicaID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.peers, id)
}

func (r *recorder) has(msg string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.msgs {
		if m == msg {
			return true
		}
	}
	return false
}

func (r *recorder) ids() (ids []crdt.ReplicaID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.peers {
		ids = append(ids, id)
	}
	return ids
}

func begin(t *testing.T, cfg Config) (*Agent, *recorder) {
	t.Helper()
	r := &recorder{peers: map[crdt.ReplicaID]Peer{}}
	cfg.Handler, cfg.Local = r, true
	if cfg.Bind == "" {
		cfg.Bind = "127.0.0.1:0"
	}
	a, err := Start(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { a.Shutdown() })
	return a, r
}

// overEach runs a test over each transport.
func overEach(t *testing.T, test func(*testing.T, func(*Agent) (Transport, error))) {
	for name, over := range map[string]func(*Agent) (Transport, error){"memberlist": Memberlist, "http": HTTP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, over)
		})
	}
}

func TestMessagesOfAllSizes(t *testing.T) { overEach(t, testMessagesOfAllSizes) }

func testMessagesOfAllSizes(t *testing.T, over func(*Agent) (Transport, error)) {
	a, ra := begin(t, Config{Over: over, Replica: 1, Info: "one"})
	b, rb := begin(t, Config{Over: over, Replica: 2, Info: "two", Join: []string{a.Addr()}})
	require.Eventually(t, func() bool { return len(ra.ids()) == 1 && len(rb.ids()) == 1 }, patience, poll)
	require.Equal(t, Peer{ID: 2, Addr: b.Addr(), Info: "two"}, ra.peers[2])
	require.Equal(t, 2, a.Members())

	small, large := []byte("small"), bytes.Repeat([]byte("large"), 1<<20)
	require.Eventually(t, func() bool { // packets get lost
		a.Send(2, 7, small)
		return rb.has("\x07small")
	}, patience, poll)
	a.Send(2, 9, large)
	require.Eventually(t, func() bool { return rb.has("\x09" + string(large)) }, patience, poll)
	require.Greater(t, a.Traffic().StreamBytes, uint64(len(large)), "it went by a stream")
	a.Send(77, 9, large) // to nobody
	require.Eventually(t, func() bool {
		b.Broadcast(5, small)
		return ra.has("\x05small")
	}, patience, poll)
}

// TestACutIsNoError: what cannot be sent is lost, and what is sent after that is not.
func TestACutIsNoError(t *testing.T) { overEach(t, testACutIsNoError) }

func testACutIsNoError(t *testing.T, over func(*Agent) (Transport, error)) {
	var network cutnet.Network
	a, ra := begin(t, Config{Over: over, Replica: 1, Network: &network})
	b, rb := begin(t, Config{Over: over, Replica: 2, Network: &network, Join: []string{a.Addr()}})
	require.Eventually(t, func() bool { return len(ra.ids()) == 1 }, patience, poll)
	network.Cut([]string{a.Addr()}, []string{b.Addr()})
	lost := bytes.Repeat([]byte("lost"), maxPacket)
	a.Send(2, 1, lost)
	require.Eventually(t, func() bool { return a.Traffic().StreamsRefused > 0 }, patience, poll)
	network.Heal()
	after := bytes.Repeat([]byte("after"), maxPacket)
	require.Eventually(t, func() bool {
		a.Send(2, 1, after)
		return rb.has("\x01" + string(after))
	}, patience, poll)
	require.False(t, rb.has("\x01"+string(lost)))
}

func TestStartedAgainUnderAnotherName(t *testing.T) { overEach(t, testStartedAgainUnderAnotherName) }

func testStartedAgainUnderAnotherName(t *testing.T, over func(*Agent) (Transport, error)) {
	a, ra := begin(t, Config{Over: over, Replica: 1})
	b, _ := begin(t, Config{Over: over, Replica: 2, Join: []string{a.Addr()}})
	require.Eventually(t, func() bool { return len(ra.ids()) == 1 }, patience, poll)
	addr := b.Addr()
	require.NoError(t, b.Shutdown()) // without taking leave
	_, rc := begin(t, Config{Over: over, Replica: 3, Bind: addr, Join: []string{a.Addr()}})
	require.Eventually(t, func() bool {
		return len(ra.ids()) == 1 && ra.ids()[0] == 3 && len(rc.ids()) == 1
	}, patience, poll)
}

// TestFindEachOther starts the one that joins before the one it joins.
func TestFindEachOther(t *testing.T) { overEach(t, testFindEachOther) }

func testFindEachOther(t *testing.T, over func(*Agent) (Transport, error)) {
	first, _ := begin(t, Config{Over: over, Replica: 1})
	addr := first.Addr()
	require.NoError(t, first.Shutdown())
	_, rb := begin(t, Config{Over: over, Replica: 2, Join: []string{addr}})
	_, ra := begin(t, Config{Over: over, Replica: 3, Bind: addr})
	require.Eventually(t, func() bool { return len(ra.ids()) == 1 && len(rb.ids()) == 1 }, patience, poll)
}

// TestUnreached: who cannot be joined is told of once, and joined as soon as it is there.
func TestUnreached(t *testing.T) { overEach(t, testUnreached) }

func testUnreached(t *testing.T, over func(*Agent) (Transport, error)) {
	first, _ := begin(t, Config{Over: over, Replica: 1})
	addr := first.Addr()
	require.NoError(t, first.Shutdown())
	told := make(chan string, 10)
	_, rb := begin(t, Config{Over: over, Replica: 2, Join: []string{addr}, Unreached: func(addr string, err error) {
		told <- addr + ": " + err.Error()
	}})
	require.Contains(t, <-told, addr+": ")
	_, ra := begin(t, Config{Over: over, Replica: 3, Bind: addr})
	require.Eventually(t, func() bool { return len(ra.ids()) == 1 && len(rb.ids()) == 1 }, patience, poll)
	require.Empty(t, told)
}

func TestStrangersWithAnotherKeyStayOut(t *testing.T) {
	overEach(t, testStrangersWithAnotherKeyStayOut)
}

func testStrangersWithAnotherKeyStayOut(t *testing.T, over func(*Agent) (Transport, error)) {
	a, ra := begin(t, Config{Over: over, Replica: 1, Key: []byte("0123456789abcdef")})
	_, rb := begin(t, Config{Over: over, Replica: 2, Key: []byte("fedcba9876543210"), Join: []string{a.Addr()}})
	_, rc := begin(t, Config{Over: over, Replica: 3, Key: []byte("0123456789abcdef"), Join: []string{a.Addr()}})
	require.Eventually(t, func() bool { return len(rc.ids()) == 1 && len(ra.ids()) > 0 }, patience, poll)
	require.Empty(t, rb.ids())
	require.Equal(t, []crdt.ReplicaID{3}, ra.ids())
}

func TestBadAddress(t *testing.T) { overEach(t, testBadAddress) }

func testBadAddress(t *testing.T, over func(*Agent) (Transport, error)) {
	for _, bind := range []string{"", "nowhere", "127.0.0.1:x", "127.0.0.1:70000"} {
		_, err := Start(Config{Over: over, Bind: bind})
		require.ErrorContains(t, err, "gossip: ")
	}
}

// TestPackTogether: small messages share a packet, large ones do not, and none is left out.
func TestPackTogether(t *testing.T) {
	var ms []message
	for i, size := range []int{10, 20, maxStream / 2, 30, maxStream / 2, maxStream * 2, 40, maxStream, 50} {
		ms = append(ms, message{byte(i), bytes.Repeat([]byte{byte(i)}, size)})
	}
	var got []message
	packets := 0
	for rest := ms; len(rest) > 0; packets++ {
		var packet []byte
		packet, rest = pack(9, rest)
		from, parts, err := unpack(packet)
		require.NoError(t, err)
		require.Equal(t, crdt.ReplicaID(9), from)
		require.True(t, len(packet) <= maxStream || len(parts) == 1)
		got = append(got, parts...)
	}
	require.Equal(t, len(ms), len(got))
	for i := range ms {
		require.Equal(t, ms[i].kind, got[i].kind)
		require.True(t, bytes.Equal(ms[i].body, got[i].body))
	}
	require.Equal(t, 6, packets)
}

func FuzzUnpack(f *testing.F) {
	f.Add(appendMessage(appendMessage(header(3), 1, []byte("x")), 2, nil))
	f.Add([]byte{wireFormat, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		from, parts, err := unpack(b)
		if err != nil {
			require.ErrorIs(t, err, errMalformed)
			return
		}
		again := header(from)
		for _, p := range parts {
			again = appendMessage(again, p.kind, p.body)
		}
		back, parts2, err := unpack(again)
		require.NoError(t, err)
		require.Equal(t, from, back)
		require.Equal(t, parts, parts2)
	})
}
