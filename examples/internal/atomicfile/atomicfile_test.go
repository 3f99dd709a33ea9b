package atomicfile

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriteReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	for _, content := range []string{"one", "", "three"} {
		require.NoError(t, Write(path, []byte(content)))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	requireAlone(t, path)
}

// TestWriteLeavesTheOldFileAlone reads the old file while it is replaced: what it holds never
// changes, so there is no moment at which a crash could leave a part of the new one in it.
func TestWriteLeavesTheOldFileAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	require.NoError(t, Write(path, []byte("old")))
	old, err := os.Open(path)
	require.NoError(t, err)
	defer old.Close()
	if err := Write(path, []byte("new")); err != nil {
		t.Skipf("a file that is open cannot be replaced here: %v", err)
	}
	content, err := io.ReadAll(old)
	require.NoError(t, err)
	require.Equal(t, "old", string(content))
}

func TestWriteThatFailsKeepsTheOld(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	require.Error(t, Write(filepath.Join(dir, "nowhere", "state"), nil))

	// A directory cannot be replaced by a file: the last step fails.
	require.NoError(t, os.Mkdir(path, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(path, "old"), nil, 0o600))
	require.Error(t, Write(path, []byte("new")))
	require.DirExists(t, path)
	requireAlone(t, path)
}

// requireAlone fails if anything was left beside the file.
func requireAlone(t *testing.T, path string) {
	t.Helper()
	all, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, filepath.Base(path), all[0].Name())
}
