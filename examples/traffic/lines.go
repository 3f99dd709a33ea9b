package main

import (
	"bytes"
	"context"
	"errors"
	"hash/crc32"
	"io"
	"strings"

	"github.com/go-calm/calm/examples/internal/accesslog"
)

// chunkSize is how much of the input is handed on at a time: large enough that the handing costs
// nothing beside the counting, small enough that a small log reaches every node.
const chunkSize = 32 << 10

// chunk is a run of whole lines.
type chunk struct {
	text string // each line ends in a newline, the input's last one perhaps not
	end  int64  // offset into the unpacked input of the first byte behind it
	head uint32 // what tells this input from another one, see resume
}

// lines cuts a stream into chunks.
type lines struct {
	r       io.Reader
	buf     []byte
	n       int // bytes of buf that are filled
	offset  int64
	err     error
	discard bool   // inside a line that is too long, of which the first part was handed on
	head    []byte // the input's first bytes, at most headSize
}

func newLines(r io.Reader) *lines {
	return &lines{r: r, buf: make([]byte, chunkSize)}
}

// next returns the next chunk, or [io.EOF] after the last. It returns as soon as there is a whole
// line, so that lines that arrive slowly are seen when they arrive. Of a line longer than the
// longest that is looked at it returns the beginning, one byte too long.
func (l *lines) next() (chunk, error) {
	for {
		if c, ok := l.take(); ok {
			return c, nil
		}
		if l.err != nil {
			return chunk{}, l.err
		}
		var n int
		n, l.err = l.r.Read(l.buf[l.n:])
		if room := headSize - len(l.head); room > 0 {
			l.head = append(l.head, l.buf[l.n:l.n+min(n, room)]...)
		}
		l.n += n
	}
}

// take cuts a chunk off what is buffered.
func (l *lines) take() (chunk, bool) {
	if l.discard {
		end := bytes.IndexByte(l.buf[:l.n], '\n') + 1
		l.discard = end == 0 && l.err == nil
		if end == 0 {
			end = l.n
		}
		l.drop(end)
	}
	end := bytes.LastIndexByte(l.buf[:l.n], '\n') + 1
	switch {
	case end > 0:
	case errors.Is(l.err, io.EOF) && l.n > 0:
		end = l.n // the last line lacks its newline
	case l.n == len(l.buf):
		text := string(l.buf[:accesslog.MaxLine+1])
		l.discard = true
		l.drop(l.n)
		return chunk{text, l.offset, l.headSum(l.offset)}, true
	default:
		return chunk{}, false
	}
	text := string(l.buf[:end])
	l.drop(end)
	return chunk{text, l.offset, l.headSum(l.offset)}, true
}

func (l *lines) drop(n int) {
	l.n = copy(l.buf, l.buf[n:l.n])
	l.offset += int64(n)
}

// nextLine cuts the first line off text.
func nextLine(text string) (line, rest string) {
	line, rest, _ = strings.Cut(text, "\n")
	return line, rest
}

// read hands the chunks of l to a channel, which is closed after the last one. It ends when ctx does,
// except while it waits for a line that is yet to be written, which nothing interrupts. Ask err
// once the channel is closed.
func (l *lines) read(ctx context.Context) (chunks <-chan chunk, err func() error) {
	out := make(chan chunk)
	failed := make(chan error, 1)
	go func() {
		defer close(out)
		for {
			c, err := l.next()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				failed <- err
				return
			}
			select {
			case out <- c:
			case <-ctx.Done():
				failed <- nil
				return
			}
		}
	}()
	return out, func() error { return <-failed }
}

// headSize is how much of an input's beginning tells it from another of the same name.
const headSize = 4 << 10

// resume skips to offset, where a journal says that counting stopped, and reports whether the
// input is the one that was counted: it is that long, and begins with the same bytes.
// If not (the log was rotated), the stream must be opened again and read from its beginning.
func (l *lines) resume(ctx context.Context, offset int64, head uint32) (bool, error) {
	l.head = make([]byte, min(offset, headSize))
	if _, err := io.ReadFull(l.r, l.head); err != nil {
		return false, notTheInput(err)
	}
	if l.headSum(offset) != head {
		return false, nil
	}
	for l.offset = int64(len(l.head)); l.offset < offset; {
		n, err := io.CopyN(io.Discard, l.r, min(offset-l.offset, 1<<20))
		l.offset += n
		if err != nil {
			return false, notTheInput(err)
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return true, nil
}

// notTheInput turns the end of an input that is too short into no error.
func notTheInput(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// headSum is what resume compares when it is asked to skip to offset.
func (l *lines) headSum(offset int64) uint32 {
	return crc32.Checksum(l.head[:min(int64(len(l.head)), offset)], crc32.MakeTable(crc32.Castagnoli))
}
