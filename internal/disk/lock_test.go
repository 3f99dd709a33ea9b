package disk_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/disk"
)

func TestLockIsOnesOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	for range 2 {
		held, err := disk.Lock(path)
		require.NoError(t, err)
		_, err = disk.Lock(path)
		require.ErrorIs(t, err, disk.ErrLocked)
		require.NoError(t, held.Close())
	}
	_, err := disk.Lock(filepath.Join(path, "below a file"))
	require.Error(t, err)
	require.NotErrorIs(t, err, disk.ErrLocked)
}
