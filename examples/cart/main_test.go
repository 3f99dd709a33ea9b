package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/crdt"
)

func TestCommand(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, command(context.Background(), nil, &out))
	require.Contains(t, out.String(), "left:  no answer yet; missing: {s1:5}\n  right: no answer yet; missing: {s1:3}\n")
	require.Contains(t, out.String(), "left:  6 eggs, 1 milk\n  right: 6 eggs, 1 milk\n")
}

func TestUsage(t *testing.T) {
	require.ErrorContains(t, command(context.Background(), []string{"x"}, io.Discard), `unexpected "x"`)
	require.Error(t, command(context.Background(), []string{"-serve", "-http", "nowhere"}, io.Discard))
	var help bytes.Buffer
	require.ErrorIs(t, command(context.Background(), []string{"-h"}, &help), flag.ErrHelp)
	require.Contains(t, help.String(), "-serve")
}

func TestServeUntilInterrupted(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	r, w := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- command(ctx, []string{"-serve", "-http", "127.0.0.1:0"}, w) }()
	line := make([]byte, 100)
	n, err := r.Read(line)
	require.NoError(t, err)
	resp, err := http.Get(strings.TrimSpace(string(line[:n])))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	stop()
	require.NoError(t, <-served)
}

// TestASealedReceiptIsTheSameEverywhere gives nodes the same actions in any order, and asks after
// each: a node answers from when it holds the manifest, and then always the same.
func TestASealedReceiptIsTheSameEverywhere(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var actions []action
		m := manifest{}
		for _, session := range []string{"a", "b"} {
			n := uint64(1 + rng.IntN(6))
			m[session] = uint64(rng.IntN(int(n) + 1))
			for i := range n {
				actions = append(actions, action{session, i + 1, []string{"milk", "eggs"}[rng.IntN(2)], rng.IntN(7) - 3})
			}
		}
		var first receipt
		for node := range 3 {
			set := crdt.NewGSet[string](crdt.ReplicaID(node + 1))
			rng.Shuffle(len(actions), func(i, j int) { actions[i], actions[j] = actions[j], actions[i] })
			needed, answered := int(m["a"]+m["b"]), false
			for _, a := range append(actions, actions[0]) { // one is told twice
				set.Add(a.String())
				if a.N <= m[a.Session] && needed > 0 {
					needed--
				}
				r := checkout(set, m)
				require.Equal(t, needed == 0, r.Sealed, "seed %d", seed)
				require.Equal(t, r.Sealed, r.Missing == "")
				if !r.Sealed {
					continue
				}
				if node == 0 && !answered {
					first = r
				}
				answered = true
				require.Equal(t, first, r, "seed %d", seed)
			}
			require.True(t, answered)
		}
	}
}

func TestSnapshotIsWhatIsKnown(t *testing.T) {
	set := crdt.NewGSet[string](1)
	require.Equal(t, "nothing", snapshot(set).String())
	set.Add(action{"s", 2, "two words", 3}.String(), action{"s", 4, "milk", -1}.String(), "nonsense", "s x 1 y")
	r := snapshot(set)
	require.Equal(t, "3 two words", r.String())
	require.Equal(t, 2, r.Actions)
	require.False(t, r.Sealed)
	require.Equal(t, "no answer yet; missing: {s:1,3}", checkout(set, manifest{"s": 4}).String())
	require.True(t, checkout(set, manifest{}).Sealed, "nothing is always there")
}

func FuzzParseAction(f *testing.F) {
	f.Add("s1 2 -3 brown bread")
	f.Add("s1 -2 3 milk")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAction(s)
		if err != nil {
			return
		}
		again, err := parseAction(a.String())
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}

func TestBadRequests(t *testing.T) {
	s, err := newShop(context.Background(), "127.0.0.1:0")
	require.NoError(t, err)
	defer s.close()
	for _, c := range []struct{ path, body, want string }{
		{"/left/cart/x", "", "EOF"},
		{"/left/cart/x", "[]", "cannot unmarshal"},
		{"/left/cart/x", `{"session":"a b","n":1,"item":"milk","count":1}`, "a session is a word"},
		{"/left/cart/x", `{"session":"s","item":"milk","count":1}`, "n counts from 1"},
		{"/left/cart/x", `{"session":"s","n":1,"count":1}`, "an item has a name"},
		{"/left/cart/x", `{"session":"s","n":1,"item":"milk"}`, "count is not 0"},
		{"/left/cart/x", `{"session":"` + strings.Repeat("s", maxBody) + `"}`, "too large"},
		{"/left/checkout/x", "{", "unexpected EOF"},
		{"/left/checkout/x?wait=soon", "{}", "wait is a number"},
		{"/left/checkout/x?wait=1000", "{}", "wait is a number"},
	} {
		resp, err := http.Post(s.url+c.path, "application/json", strings.NewReader(c.body))
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, c)
		require.Contains(t, string(text), c.want)
	}
	s.nodes[0].View(func() { require.Zero(t, s.nodes[0].carts.Len(), "what is refused leaves nothing behind") })
}

// TestPage has a browser press the page's buttons, and reads what the page shows in the end. With
// CART_SCREENSHOTS=DIR it also leaves pictures there, of the cut and of the end.
func TestPage(t *testing.T) {
	var browser string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			browser = path
			break
		}
	}
	if browser == "" {
		t.Skip("there is no Chromium here (on Debian: apt-get install chromium)")
	}
	s, err := newShop(context.Background(), "127.0.0.1:0")
	require.NoError(t, err)
	defer s.close()
	run := func(hash string, args ...string) string {
		ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
		defer stop()
		// The page's time is not ours: it leaps from timer to timer, and stands still during requests.
		cmd := exec.CommandContext(ctx, browser, append([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
			"--user-data-dir=" + t.TempDir(), "--window-size=1000,560",
		}, append(args, s.url+"/"+hash)...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		return string(out)
	}
	page := run("#story", "--virtual-time-budget=3600000", "--dump-dom")
	require.Contains(t, page, "<title>cart: told</title>")
	require.Contains(t, page, "the nodes hold the same")
	lists := regexp.MustCompile(`(?s)<ul id="(\w+)-receipts">(.*?)</ul>`).FindAllStringSubmatch(page, -1)
	require.Len(t, lists, 2)
	require.Equal(t, `<li class="good">sealed, 8 clicks: 3 eggs, 1 milk</li><li class="bad">unsealed: 1 bread, 1 milk</li>`, lists[0][2])
	require.Equal(t, `<li class="good">sealed, 8 clicks: 3 eggs, 1 milk</li><li class="bad">unsealed: 3 eggs, 2 milk</li>`, lists[1][2])
	for _, side := range sides {
		require.Contains(t, page, `<output id="`+side+`-eggs">3</output>`)
	}

	if dir := os.Getenv("CART_SCREENSHOTS"); dir != "" {
		run("#cut", "--virtual-time-budget=10000", "--screenshot="+filepath.Join(dir, "cart-cut.png"))
		run("#story", "--virtual-time-budget=3600000", "--screenshot="+filepath.Join(dir, "cart-told.png"))
	}
}
