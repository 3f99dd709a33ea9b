package gossip

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/examples/internal/cutnet"
)

// post sends a body to an agent, and returns the answer.
func post(t *testing.T, a *Agent, media string, body io.Reader) (status int, answer string) {
	t.Helper()
	resp, err := http.Post("http://"+a.Addr(), media, body)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// TestBadBodies: what strangers post is refused whole, and brings in nobody.
func TestBadBodies(t *testing.T) {
	a, ra := begin(t, Config{Over: HTTP, Replica: 1})
	said := hello{Addr: "127.0.0.1:9"}
	packet := appendMessage(header(7), 1, []byte("x"))
	for name, body := range map[string][]byte{
		"nothing":            nil,
		"nonsense":           []byte("nonsense"),
		"hello cut off":      said.with(nil)[:5],
		"hello alone":        said.with(nil),
		"packet cut off":     said.with(packet[:len(packet)-1]),
		"another format":     said.with([]byte("\x63\x00\x00\x00\x00\x00\x00\x00\x07")),
		"no address":         hello{}.with(packet),
		"no port":            hello{Addr: "localhost"}.with(packet),
		"no host":            hello{Addr: ":9"}.with(packet),
		"a long address":     hello{Addr: strings.Repeat("x", maxAddr) + ":9"}.with(packet),
		"knows a bad one":    hello{Addr: said.Addr, Known: []string{"x"}}.with(packet),
		"knows too many":     hello{Addr: said.Addr, Known: make([]string, maxKnown+1)}.with(packet),
		"not JSON":           append([]byte("\x02{x"), packet...),
		"a length that lies": append([]byte("\xff\xff\xff\xff\x0f{}"), packet...),
	} {
		status, _ := post(t, a, mediaType, bytes.NewReader(body))
		require.Equal(t, http.StatusBadRequest, status, name)
	}
	status, _ := post(t, a, "text/plain", bytes.NewReader(said.with(packet)))
	require.Equal(t, http.StatusUnsupportedMediaType, status, "as a page in a browser could send it")
	require.Empty(t, ra.ids())
	require.False(t, ra.has("\x01x"))
	require.Equal(t, 1, a.Members())

	status, answer := post(t, a, mediaType, bytes.NewReader(said.with(packet)))
	require.Equal(t, http.StatusOK, status)
	require.True(t, ra.has("\x01x"))
	require.Equal(t, []crdt.ReplicaID{7}, ra.ids())
	who, rest, err := readHello([]byte(answer))
	require.NoError(t, err)
	require.Equal(t, hello{Addr: a.Addr(), Known: []string{said.Addr}}, who)
	require.Equal(t, header(1), rest)
}

// TestBodiesAreBounded: one that is too long is not read to its end, told by its length or not.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	a, ra := begin(t, Config{Over: HTTP, Replica: 1})
	long := hello{Addr: "127.0.0.1:9"}.with(appendMessage(header(7), 1, make([]byte, maxBody)))
	for _, body := range []io.Reader{bytes.NewReader(long), io.MultiReader(bytes.NewReader(long))} {
		req, err := http.NewRequest(http.MethodPost, "http://"+a.Addr(), body)
		require.NoError(t, err)
		req.Header.Set("Content-Type", mediaType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			continue // it hung up on us
		}
		require.Equal(t, http.StatusRequestEntityTooLarge, resp.StatusCode)
		resp.Body.Close()
	}
	require.Empty(t, ra.ids())
}

// TestThirdOnesMeet: two who join a third one, by another name of it, learn of each other by talking to it.
func TestThirdOnesMeet(t *testing.T) {
	t.Parallel()
	a, _ := begin(t, Config{Over: HTTP, Replica: 1})
	again := strings.Replace(a.Addr(), "127.0.0.1", "localhost", 1)
	b, rb := begin(t, Config{Over: HTTP, Replica: 2, Join: []string{again}})
	c, rc := begin(t, Config{Over: HTTP, Replica: 3, Join: []string{again}})
	require.Eventually(t, func() bool {
		b.Send(1, 1, nil)
		c.Send(1, 1, nil)
		return len(rb.ids()) == 2 && len(rc.ids()) == 2
	}, patience, poll)
	require.Equal(t, 3, b.Members())
}

// TestWhoDoesNotAnswerIsGivenUp, and comes back, cut off or started again under its old name.
func TestWhoDoesNotAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	var network cutnet.Network
	a, ra := begin(t, Config{Over: HTTP, Replica: 1, Network: &network})
	b, rb := begin(t, Config{Over: HTTP, Replica: 2, Network: &network, Join: []string{a.Addr()}})
	network.Cut([]string{a.Addr()}, []string{b.Addr()})
	require.Eventually(t, func() bool {
		a.Send(2, 1, nil)
		b.Send(1, 1, nil)
		return len(ra.ids()) == 0 && len(rb.ids()) == 0
	}, patience, poll)
	network.Heal()
	require.Eventually(t, func() bool { return len(ra.ids()) == 1 && len(rb.ids()) == 1 }, patience, poll)

	addr := b.Addr()
	require.NoError(t, b.Shutdown())
	_, rc := begin(t, Config{Over: HTTP, Replica: 2, Bind: addr})
	require.Eventually(t, func() bool {
		a.Send(2, 1, []byte("again"))
		return rc.has("\x01again")
	}, patience, poll)
	require.Equal(t, []crdt.ReplicaID{1}, rc.ids(), "it has joined nobody")
}

func TestOthersCannotReachEverywhere(t *testing.T) {
	_, err := Start(Config{Over: HTTP, Bind: "0.0.0.0:0"})
	require.ErrorContains(t, err, "others cannot reach")
}

func FuzzReadHello(f *testing.F) {
	f.Add(hello{Addr: "127.0.0.1:7946", Info: "a", Known: []string{"127.0.0.2:7946", "[::1]:1"}}.with(header(3)))
	f.Add([]byte("\x02{}"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\x7f{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, packet, err := readHello(b)
		if err != nil {
			require.ErrorIs(t, err, errMalformed)
			return
		}
		back, rest, err := readHello(h.with(packet))
		require.NoError(t, err)
		require.Equal(t, h.Addr, back.Addr)
		require.Equal(t, len(h.Known), len(back.Known))
		require.True(t, bytes.Equal(packet, rest))
	})
}
