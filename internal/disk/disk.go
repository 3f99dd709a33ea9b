// Package disk keeps files so that a crash at any byte loses nothing that counts: [Replace] leaves
// the old content or the new one, and never a part.
//
// What it does it does through a [Dir], so that a test can put a disk in the place of the operating
// system's that stops, fills up or forgets at any step: package disktest has one.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Dir is a directory.
type Dir interface {
	// Read returns a file's content; its error matches [os.ErrNotExist] if there is none.
	Read(name string) ([]byte, error)
	// Create makes an empty file, in the place of one of that name.
	Create(name string) (File, error)
	// Append opens a file to write at its end.
	Append(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	Names() ([]string, error)
	// Sync makes what names there are durable.
	Sync() error
}

// File is a file that is written. What was written is durable after Sync.
type File interface {
	Write(b []byte) (int, error)
	Sync() error
	// Truncate cuts the file; writing goes on at the new end.
	Truncate(size int64) error
	Close() error
}

// ErrInDoubt is what the errors match after which a crash may leave the old content or the new one.
var ErrInDoubt = errors.New("not known whether it lasts")

// New is the name under which the next content of a file is written. A crash may leave it behind; the
// next Replace writes over it.
func New(name string) string { return name + ".new" }

// Replace gives a file a new content, or makes it: it writes a new file beside the old one, makes that
// durable, puts it in the old one's place and makes this durable too. After an error the old content
// is there, unless the error matches [ErrInDoubt]: then the new one may be, or come back after a crash.
//
// A file belongs to one writer at a time.
func Replace(d Dir, name string, content []byte) error {
	f, err := Write(d, New(name), content)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, d.Remove(New(name)))
	}
	err = d.Rename(New(name), name)
	if err == nil {
		err = d.Sync()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInDoubt, err)
	}
	return nil
}

// Write makes a file with a durable content and leaves it open, to be written on. After an error there
// is no such file, as far as that can be achieved. Its name is durable after [Dir].Sync.
func Write(d Dir, name string, content []byte) (File, error) {
	f, err := d.Create(name)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), d.Remove(name))
	}
	return f, nil
}

// ReplaceFile is [Replace] of the file at a path of the operating system.
func ReplaceFile(path string, content []byte) error {
	return Replace(OS(filepath.Dir(path)), filepath.Base(path), content)
}

// OS is a directory of the operating system, by its path.
type OS string

func (d OS) path(name string) string { return filepath.Join(string(d), name) }

// Read implements [Dir].
func (d OS) Read(name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

// Create implements [Dir].
func (d OS) Create(name string) (File, error) {
	// Append mode, so that after Truncate writing goes on at the new end.
	return open(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND)
}

// Append implements [Dir].
func (d OS) Append(name string) (File, error) { return open(d.path(name), os.O_WRONLY|os.O_APPEND) }

func open(path string, flag int) (File, error) {
	f, err := os.OpenFile(path, flag, 0o644)
	if err != nil {
		return nil, err // and no File that holds a nil
	}
	return f, nil
}

// Rename implements [Dir].
func (d OS) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

// Remove implements [Dir].
func (d OS) Remove(name string) error { return os.Remove(d.path(name)) }

// Names implements [Dir].
func (d OS) Names() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Sync implements [Dir]. It does nothing on Windows, which cannot sync directories and does not need
// it.
func (d OS) Sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
