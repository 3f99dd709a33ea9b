package clock

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/testenv"
)

const crashFile = "CLOCK_TEST_CRASH_FILE"

// TestMain stamps, when told to, as the process that TestNoStampTwiceOverCrashes kills.
func TestMain(m *testing.M) {
	path := os.Getenv(crashFile)
	if path == "" {
		os.Exit(m.Run())
	}
	if err := stampForever(File(path)); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
}

// stampForever writes timestamps to standard output until it is killed.
func stampForever(store Store) error {
	c, err := Open(context.Background(), store, WithWindow(5*time.Millisecond))
	if err != nil {
		return err
	}
	var b []byte
	for {
		b = b[:0]
		for range 16 {
			b = binary.BigEndian.AppendUint64(b, uint64(c.Now()))
		}
		first := c.Reserve(3)
		for i := range Timestamp(3) {
			b = binary.BigEndian.AppendUint64(b, uint64(first+i))
		}
		if _, err := os.Stdout.Write(b); err != nil {
			return err
		}
	}
}

// TestNoStampTwiceOverCrashes starts a process over and over that stamps with a file store,
// kills it at a random moment with SIGKILL, and wants every timestamp that got out to be
// greater than all before it.
func TestNoStampTwiceOverCrashes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("kills with SIGKILL")
	}
	crashes := testenv.Checks(200)
	if testing.Short() || testenv.Race {
		crashes = 20
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "bound")
	rng := rand.New(rand.NewPCG(1, 2))
	last, stamps, empty := Timestamp(0), 0, 0
	for crash := range crashes {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashFile+"="+path)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		// Until so many are read it may go on; then it dies, whatever it is doing.
		left, killed, life := rng.IntN(1500), false, 0
		for r := bufio.NewReader(out); ; {
			var b [8]byte
			if _, err := io.ReadFull(r, b[:]); err != nil {
				require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), err)
				break
			}
			ts := Timestamp(binary.BigEndian.Uint64(b[:]))
			if ts <= last {
				t.Fatalf("%v after %v, %d crashes later", ts, last, crash)
			}
			last = ts
			life++
			if left--; left <= 0 && !killed {
				killed = true
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.True(t, killed, "it ended by itself")
		_ = cmd.Wait()
		stamps += life
		if life == 0 {
			empty++
		}
	}
	require.Zero(t, empty)
	t.Logf("%d crashes, %d timestamps, none twice, none went back", crashes, stamps)
}
