package accesslog

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
)

// Input is where the lines come from: a file, standard input, or a made-up log.
type Input struct {
	Name string    // the file's whole path; "-" is standard input
	Once io.Reader // what can be read only once: standard input, or a pipe that has a name
	UpTo int64     // of a file: how much of it counts, for it may grow meanwhile; 0 is all
	Made *Made
}

// At returns what path stands for: stdin if it is "-", and otherwise a file with the length that
// it has now.
func At(path string, stdin io.Reader) (Input, error) {
	if path == "-" {
		return Input{Name: "-", Once: stdin}, nil
	}
	// The whole path, so that it means the same file from wherever the program is started.
	path, err := filepath.Abs(path)
	if err != nil {
		return Input{}, err
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Input{}, err
	case info.IsDir():
		return Input{}, fmt.Errorf("%s is a directory", path)
	case !info.Mode().IsRegular(): // a pipe
		f, err := os.Open(path)
		return Input{Name: path, Once: f}, err
	}
	return Input{Name: path, UpTo: info.Size()}, nil
}

func (in Input) String() string {
	switch {
	case in.Made != nil:
		return in.Made.String()
	case in.Name == "-":
		return "standard input"
	}
	return in.Name
}

// Again reports whether the input can be read a second time.
func (in Input) Again() bool { return in.Once == nil }

// Open returns the input from its first byte, unpacked if it is gzip by its first two bytes.
func (in Input) Open() (*Stream, error) {
	if in.Made != nil {
		r := in.Made.reader()
		return &Stream{Reader: r, fraction: r.fraction}, nil
	}
	s := &Stream{fraction: func() float64 { return -1 }}
	raw := in.Once
	if in.Again() {
		f, err := os.Open(in.Name)
		if err != nil {
			return nil, err
		}
		s.close = f.Close
		info, err := f.Stat()
		if err != nil {
			s.Close()
			return nil, err
		}
		size := info.Size()
		counted := &countingReader{r: f}
		raw = counted
		if in.UpTo > 0 {
			size = min(size, in.UpTo)
			raw = io.LimitReader(counted, size)
		}
		s.fraction = func() float64 { return float64(counted.n.Load()) / float64(max(size, 1)) }
	}
	// A small buffer, so that the fraction stays true of a small file as well.
	b := bufio.NewReaderSize(raw, 4<<10)
	s.Reader = b
	magic, err := b.Peek(2)
	if err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(b)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("%s: %w", in, err)
		}
		s.Reader = unpacked
	}
	return s, nil
}

// Stream is an input being read.
type Stream struct {
	io.Reader
	fraction func() float64
	close    func() error
}

// Fraction is how much has been read, 0 to 1, or -1 if nobody knows. It may be called meanwhile.
func (s *Stream) Fraction() float64 { return s.fraction() }

// Close closes the file, if there is one.
func (s *Stream) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
