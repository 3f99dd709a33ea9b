package clock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/go-calm/calm/internal/disk"
)

// Store keeps one timestamp durably: the bound below which a clock issues everything. A
// clock calls one method at a time.
type Store interface {
	// Load returns what was saved last. If nothing ever was, its error matches
	// [fs.ErrNotExist]; a store that lost what it had must say something else, for on this
	// one the clock starts from the physical time.
	Load(ctx context.Context) (Timestamp, error)
	// Save replaces the timestamp. When it returns nil, a crash can no longer undo it; when
	// it fails, Load may return the old one or the new one.
	Save(ctx context.Context, bound Timestamp) error
}

// ErrCorrupt is what every [*CorruptError] matches.
var ErrCorrupt = errors.New("clock: the stored bound is damaged")

// CorruptError says that a file of [File] holds something else than a clock's bound. What
// the clock has issued is then not known, and starting from the physical time could issue
// it again. The way on is to find a timestamp that is certainly later, such as the greatest
// in the data that the clock stamped or the physical time plus [Clock]'s maximal drift if
// no wall clock has been set back, and to [FileStore.Save] it.
type CorruptError struct {
	Path   string
	Reason string
}

// Error names the file and what is wrong with it.
func (e *CorruptError) Error() string { return fmt.Sprintf("clock: %s: %s", e.Path, e.Reason) }

// Is reports whether target is [ErrCorrupt].
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// FileStore is a [Store] in a file of 20 bytes: a mark, the bound, and a CRC-32C of both.
// Save writes a new file beside it, syncs it, renames it over the old one and syncs the
// directory, so that a crash at any moment leaves the old bound or the new one. The file
// belongs to one process at a time, and one call runs at a time. Create one with [File].
type FileStore struct{ path string }

// File returns a store in the file at path, in a directory that exists. It does not touch
// the file.
func File(path string) *FileStore { return &FileStore{path} }

const (
	fileMark = "calmclk1"
	fileSize = len(fileMark) + 8 + 4
)

func encodeFile(bound Timestamp) []byte {
	b := append(make([]byte, 0, fileSize), fileMark...)
	b = binary.BigEndian.AppendUint64(b, uint64(bound))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// decodeFile returns the bound, or what is wrong.
func decodeFile(b []byte) (bound Timestamp, wrong string) {
	switch {
	case len(b) != fileSize:
		return 0, fmt.Sprintf("%d bytes instead of %d", len(b), fileSize)
	case string(b[:len(fileMark)]) != fileMark:
		return 0, "not the file of a clock"
	case crc32.Checksum(b[:fileSize-4], crc32.MakeTable(crc32.Castagnoli)) != binary.BigEndian.Uint32(b[fileSize-4:]):
		return 0, "wrong checksum"
	}
	return Timestamp(binary.BigEndian.Uint64(b[len(fileMark):])), ""
}

// Load implements [Store]. It fails with a [*CorruptError] for a file that Save did not
// write.
func (s *FileStore) Load(ctx context.Context) (Timestamp, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f, err := os.Open(s.path)
	if err != nil {
		return 0, fmt.Errorf("clock: load bound: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(fileSize)+1))
	if err != nil {
		return 0, fmt.Errorf("clock: load bound: %w", err)
	}
	bound, wrong := decodeFile(b)
	if wrong != "" {
		return 0, &CorruptError{s.path, wrong}
	}
	return bound, nil
}

// Save implements [Store].
func (s *FileStore) Save(ctx context.Context, bound Timestamp) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := disk.ReplaceFile(s.path, encodeFile(bound)); err != nil {
		return fmt.Errorf("clock: save bound: %w", err)
	}
	return nil
}

// isNew reports whether a store says that it has never been written.
func isNew(err error) bool { return errors.Is(err, fs.ErrNotExist) }
