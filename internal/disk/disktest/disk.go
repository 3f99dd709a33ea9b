// Package disktest has a disk that stops, fills up and forgets when it is told to.
package disktest

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"slices"

	"github.com/go-calm/calm/internal/disk"
)

var (
	// ErrCrash is what everything fails with once the machine has stopped.
	ErrCrash = errors.New("crash")
	// ErrFull is what one step fails with where the disk is full.
	ErrFull = errors.New("no space left on device")
)

// Disk is a directory that tells what is written from what is synced. After so many steps, of which
// each byte written is one and each other change is one, it fails: once as a disk that is full, with
// less written than asked for, or for ever as a machine that stops.
type Disk struct {
	names, synced map[string]*inode
	renamed       []string // to these, since the last Sync
	left          int
	stops         bool // it fails for ever
	dead          bool
	syncs         int
}

type inode struct{ data, synced []byte }

// New returns an empty disk that fails after so many steps; if that is negative, never.
func New(left int, stops bool) *Disk {
	return &Disk{names: map[string]*inode{}, synced: map[string]*inode{}, left: left, stops: stops}
}

// Left returns how many steps there are until it fails.
func (d *Disk) Left() int { return d.left }

// SetLeft has it fail after so many steps from now on.
func (d *Disk) SetLeft(n int) { d.left = n }

// Stops reports whether it fails for ever, once it does, and Dead whether it has.
func (d *Disk) Stops() bool { return d.stops }

// Dead reports whether the machine has stopped.
func (d *Disk) Dead() bool { return d.dead }

// Syncs returns how often something was synced.
func (d *Disk) Syncs() int { return d.syncs }

// step takes up to n steps and returns how many it could.
func (d *Disk) step(n int) (int, error) {
	switch {
	case d.dead:
		return 0, ErrCrash
	case d.left < 0:
		return n, nil
	case n <= d.left:
		d.left -= n
		return n, nil
	}
	done := d.left
	d.left = -1
	if d.stops {
		d.dead = true
		return done, ErrCrash
	}
	return done, ErrFull
}

// Read implements [disk.Dir].
func (d *Disk) Read(name string) ([]byte, error) {
	f := d.names[name]
	if f == nil {
		return nil, os.ErrNotExist
	}
	return bytes.Clone(f.data), nil
}

// Create implements [disk.Dir].
func (d *Disk) Create(name string) (disk.File, error) {
	if _, err := d.step(1); err != nil {
		return nil, err
	}
	d.names[name] = &inode{}
	return &file{d, d.names[name]}, nil
}

// Append implements [disk.Dir].
func (d *Disk) Append(name string) (disk.File, error) { return &file{d, d.names[name]}, nil }

// Rename implements [disk.Dir].
func (d *Disk) Rename(from, to string) error {
	if _, err := d.step(1); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	d.renamed = append(d.renamed, to)
	return nil
}

// Remove implements [disk.Dir].
func (d *Disk) Remove(name string) error {
	if _, err := d.step(1); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

// Names implements [disk.Dir].
func (d *Disk) Names() ([]string, error) { return slices.Sorted(maps.Keys(d.names)), nil }

// Sync implements [disk.Dir].
func (d *Disk) Sync() error {
	if _, err := d.step(1); err != nil {
		return err
	}
	d.syncs++
	d.synced, d.renamed = maps.Clone(d.names), nil
	return nil
}

type file struct {
	d *Disk
	f *inode
}

func (h *file) Write(b []byte) (int, error) {
	n, err := h.d.step(len(b))
	h.f.data = append(h.f.data, b[:n]...)
	return n, err
}

func (h *file) Sync() error {
	if _, err := h.d.step(1); err != nil {
		return err
	}
	h.d.syncs++
	h.f.synced = bytes.Clone(h.f.data)
	return nil
}

func (h *file) Truncate(size int64) error {
	if _, err := h.d.step(1); err != nil {
		return err
	}
	h.f.data = h.f.data[:size]
	return nil
}

func (h *file) Close() error { return nil }

// After returns what the next start may find, by what happened: the process stopped, or the machine
// did, which lost what was not synced: all of it, a part of it, the content and not the name, or the
// names that were made before a rename that lasted.
func (d *Disk) After() map[string]*Disk {
	whole := func(f *inode) []byte { return f.data }
	out := map[string]*Disk{}
	for what, v := range map[string]struct {
		names   map[string]*inode
		content func(*inode) []byte
	}{
		"the process stopped":            {d.names, whole},
		"nothing unsynced survived":      {d.synced, func(f *inode) []byte { return f.synced }},
		"unsynced names survived":        {d.names, func(f *inode) []byte { return f.synced }},
		"unsynced content survived":      {d.synced, whole},
		"half of unsynced content":       {d.synced, func(f *inode) []byte { return f.data[:(len(f.data)+min(len(f.data), len(f.synced)))/2] }},
		"zeros in place of the unsynced": {d.synced, func(f *inode) []byte { return hole(f, 0, 1) }},
		"a hole in the unsynced":         {d.synced, func(f *inode) []byte { return hole(f, 0, 0.1) }},
		"zeros at the unsynced end":      {d.synced, func(f *inode) []byte { return hole(f, 0.9, 1) }},
		"a rename overtook a new name":   {d.overtaken(), whole},
	} {
		e := New(-1, false)
		for name, f := range v.names {
			b := bytes.Clone(v.content(f))
			e.names[name] = &inode{b, bytes.Clone(b)}
		}
		e.synced = maps.Clone(e.names)
		out[what] = e
	}
	return out
}

// hole is a file of whose unsynced part a piece never got to the disk.
func hole(f *inode, from, to float64) []byte {
	b := bytes.Clone(f.data)
	if n := float64(len(b) - len(f.synced)); n > 0 {
		clear(b[len(f.synced)+int(n*from) : len(f.synced)+int(n*to)])
		return b
	}
	return f.synced
}

// overtaken is the directory of whose unsynced names only those got to the disk that were renamed.
func (d *Disk) overtaken() map[string]*inode {
	names := maps.Clone(d.synced)
	for _, name := range d.renamed {
		if f := d.names[name]; f != nil {
			names[name] = f
		}
	}
	return names
}
