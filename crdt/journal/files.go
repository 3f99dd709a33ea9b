package journal

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// files is a directory.
type files interface {
	// Read returns a file's content; its error matches [os.ErrNotExist] if there is none.
	Read(name string) ([]byte, error)
	// Create makes an empty file, in the place of one of that name.
	Create(name string) (file, error)
	// Append opens a file to write at its end.
	Append(name string) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	Names() ([]string, error)
	// Sync makes what names there are durable.
	Sync() error
}

type file interface {
	Write(b []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// directory is a directory of the operating system.
type directory string

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

func (d directory) Read(name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

func (d directory) Create(name string) (file, error) {
	// Append mode, so that after Truncate writing goes on at the new end.
	return os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644)
}

func (d directory) Append(name string) (file, error) {
	return os.OpenFile(d.path(name), os.O_WRONLY|os.O_APPEND, 0o644)
}

func (d directory) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d directory) Remove(name string) error { return os.Remove(d.path(name)) }

func (d directory) Names() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Sync does nothing on Windows, which cannot sync directories and does not need it.
func (d directory) Sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
