package disk_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/internal/disk"
	"github.com/go-calm/calm/internal/disk/disktest"
)

const name = "state"

// content is what the file is given the i-th time.
func content(i int) string { return strings.Repeat(fmt.Sprint(i), 3*i) }

// replaceTwice gives a file two contents on a disk that fails after so many steps, and returns how
// many of them it was told are there, and what it was told at last.
func replaceTwice(d *disktest.Disk) (done int, err error) {
	for i := 1; i <= 2; i++ {
		if err = disk.Replace(d, name, []byte(content(i))); err != nil {
			return i - 1, err
		}
	}
	return 2, nil
}

// read returns what the file holds; "" if there is none.
func read(t *testing.T, d *disktest.Disk) string {
	t.Helper()
	b, err := d.Read(name)
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	return string(b)
}

// The machine stops at every byte and at every other step, or the disk is full there. Whatever of the
// unsynced survives: what was replaced stays so, and else the old content is there or the new one, and
// the old one if the error does not say that there is doubt.
func TestReplaceAtEveryStep(t *testing.T) {
	whole := disktest.New(1<<30, true)
	_, err := replaceTwice(whole)
	require.NoError(t, err)
	require.Equal(t, 4, whole.Syncs())
	steps := 1<<30 - whole.Left()
	doubts, both := 0, map[string]bool{}
	for at := range steps {
		for _, stops := range []bool{true, false} {
			d := disktest.New(at, stops)
			done, err := replaceTwice(d)
			require.Error(t, err)
			doubt := errors.Is(err, disk.ErrInDoubt)
			if doubt {
				doubts++
			}
			for what, left := range d.After() {
				got := read(t, left)
				if got != content(done) && (!doubt || got != content(done+1)) {
					t.Fatalf("step %d, stops %v, %s: %q is there after %d and %v", at, stops, what, got, done, err)
				}
				if doubt {
					both[fmt.Sprint(done, got == content(done))] = true
				}
				// It goes on.
				require.NoError(t, disk.Replace(left, name, []byte("again")))
				require.Equal(t, "again", read(t, left))
				names, err := left.Names()
				require.NoError(t, err)
				require.Equal(t, []string{name}, names)
			}
			if !stops && !doubt {
				names, err := d.Names()
				require.NoError(t, err)
				require.NotContains(t, names, disk.New(name), "step %d", at)
			}
		}
	}
	require.Len(t, both, 4, "where there is doubt there is reason")
	require.Equal(t, 8, doubts, "a rename and a sync, twice, in two ways")
}

func TestReplaceFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), name)
	for _, content := range []string{"one", "", "three"} {
		require.NoError(t, disk.ReplaceFile(path, []byte(content)))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	requireAlone(t, path)
}

// While a file is replaced, what the old one holds never changes, so there is no moment at which a
// crash could leave a part of the new one in it.
func TestReplaceFileLeavesTheOldOneAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, disk.ReplaceFile(path, []byte("old")))
	old, err := os.Open(path)
	require.NoError(t, err)
	defer old.Close()
	if err := disk.ReplaceFile(path, []byte("new")); err != nil {
		t.Skipf("a file that is open cannot be replaced here: %v", err)
	}
	content, err := io.ReadAll(old)
	require.NoError(t, err)
	require.Equal(t, "old", string(content))
}

func TestReplaceFileThatFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	require.ErrorIs(t, disk.ReplaceFile(filepath.Join(dir, "nowhere", name), nil), os.ErrNotExist)

	// A directory cannot be replaced by a file: the last step fails.
	require.NoError(t, os.Mkdir(path, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(path, "old"), nil, 0o600))
	require.ErrorIs(t, disk.ReplaceFile(path, []byte("new")), disk.ErrInDoubt)
	require.DirExists(t, path)
	require.NoError(t, os.RemoveAll(path))
	require.NoError(t, disk.ReplaceFile(path, []byte("new")))
	requireAlone(t, path)
}

// requireAlone fails if anything was left beside the file.
func requireAlone(t *testing.T, path string) {
	t.Helper()
	names, err := disk.OS(filepath.Dir(path)).Names()
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Base(path)}, names)
}

func TestOS(t *testing.T) {
	d := disk.OS(t.TempDir())
	_, err := d.Read(name)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = d.Append(name)
	require.ErrorIs(t, err, os.ErrNotExist)
	f, err := disk.Write(d, name, []byte("0123"))
	require.NoError(t, err)
	require.NoError(t, f.Truncate(2))
	_, err = f.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	f, err = d.Append(name)
	require.NoError(t, err)
	_, err = f.Write([]byte("y"))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	require.NoError(t, d.Rename(name, "moved"))
	require.NoError(t, d.Sync())
	b, err := d.Read("moved")
	require.NoError(t, err)
	require.Equal(t, "01xy", string(b))
	require.NoError(t, d.Remove("moved"))
	names, err := d.Names()
	require.NoError(t, err)
	require.Empty(t, names)
	require.Error(t, disk.OS(filepath.Join(string(d), "nowhere")).Sync())
}
