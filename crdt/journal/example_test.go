package journal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-calm/calm/crdt"
	"github.com/go-calm/calm/crdt/journal"
)

// run is one start of a program that counts its starts.
func run(dir string) error {
	j, err := journal.Open(dir, journal.Options{})
	if err != nil {
		return err
	}
	defer j.Close()
	store := crdt.NewStore(j.Replica())
	starts := crdt.At[*crdt.Counter](store, "starts")
	if err := j.Restore(store); err != nil {
		return err
	}
	if _, err := store.TryUpdate(func() { starts.Add(1) }); err != nil {
		return err // not on the disk, so not in the store either
	}
	fmt.Println("start", starts.Value())
	if j.Due() {
		return j.Snapshot()
	}
	return nil
}

func ExampleJournal() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 3 {
		if err := run(dir); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// start 1
	// start 2
	// start 3
}

func ExampleOptions() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	j, err := journal.Open(dir, journal.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	j.Close()
	// The directory was restored from a backup: its replica may have gone on since.
	k, err := journal.Open(dir, journal.Options{Fresh: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(k.Replica() == j.Replica(), k.Stats().Records)
	k.Close()
	// Output: false 0
}

func ExampleCorruptError() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "snapshot"), []byte("something else"), 0o644); err != nil {
		fmt.Println(err)
		return
	}
	_, err = journal.Open(dir, journal.Options{})
	fmt.Println(err, errors.Is(err, journal.ErrCorrupt))
	// Output: journal: open: journal: snapshot: is no snapshot true
}
