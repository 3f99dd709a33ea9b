package clock

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-calm/calm/internal/testenv"
)

// noAllocs fails the test if f allocates.
func noAllocs(t *testing.T, what string, f func()) {
	t.Helper()
	if testenv.Race {
		t.Log("not counted with the race detector")
		return
	}
	require.Zero(t, testing.AllocsPerRun(100, f), what)
}

// nodes are few, so that they collide.
func anyNode() *rapid.Generator[string] { return rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}) }
