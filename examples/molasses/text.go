package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-calm/calm/examples/internal/accesslog"
)

// text is what is counted, in pieces of whole lines that workers take in turn.
type text struct {
	name   string
	pieces []string
}

// pieceSize is how long a piece is, about.
const pieceSize = 32 << 10

// readText reads a folder, a file (gzip or not) or "-", up to limit bytes. Without a name it takes
// the source of Go, which whoever runs this is likely to have, or makes up a text.
func readText(name string, stdin io.Reader, limit int, seed uint64) (text, error) {
	if name == "" {
		if src := goSource(); src != "" {
			name = src
		} else {
			return cut(fmt.Sprintf("a text made up by seed %d", seed), madeUp(limit, seed))
		}
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		b, err := readFolder(name, limit)
		if err != nil {
			return text{}, err
		}
		return cut(name, b)
	}
	in, err := accesslog.At(name, stdin) // a log is a text as well
	if err != nil {
		return text{}, err
	}
	s, err := in.Open()
	if err != nil {
		return text{}, err
	}
	defer s.Close()
	b, err := io.ReadAll(io.LimitReader(s, int64(limit)))
	if err != nil {
		return text{}, err
	}
	return cut(in.String(), b)
}

func goSource() string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	src := filepath.Join(strings.TrimSpace(string(out)), "src")
	if _, statErr := os.Stat(src); err != nil || statErr != nil {
		return ""
	}
	return src
}

// readFolder reads the texts in a folder and below it, in order of their names.
func readFolder(dir string, limit int) (all []byte, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(b[:min(len(b), 512)], 0) >= 0 { // no text
			return err
		}
		all = append(append(all, b...), '\n')
		if len(all) >= limit {
			return fs.SkipAll
		}
		return nil
	})
	return all[:min(len(all), limit)], err
}

// madeUp makes a text of words drawn as they are in texts: the n-th most frequent one is about 1/n
// as frequent as the first.
func madeUp(size int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	zipf := accesslog.NewZipf(1, 50_000)
	var b []byte
	for len(b) < size {
		word := zipf.Draw(rng) + 1
		for ; word > 0; word /= 20 {
			b = append(b, "etaoinshrdlucmfwypvb"[word%20])
		}
		b = append(b, " \n"[rng.IntN(12)/11])
	}
	return b[:size]
}

// cut cuts a text into pieces of whole lines.
func cut(name string, b []byte) (text, error) {
	t := text{name: name}
	for s := string(b); s != ""; {
		end := min(pieceSize, len(s))
		if i := strings.IndexByte(s[end:], '\n'); i >= 0 {
			end += i + 1
		} else {
			end = len(s)
		}
		t.pieces = append(t.pieces, s[:end])
		s = s[end:]
	}
	if len(t.pieces) == 0 {
		return text{}, errors.New("the text is empty")
	}
	return t, nil
}

func (t text) size() (n int) {
	for _, p := range t.pieces {
		n += len(p)
	}
	return n
}

// first returns one part in n of the text.
func (t text) first(n int) text {
	return text{t.name, t.pieces[:(len(t.pieces)+n-1)/n]}
}

// of returns the share of one of several workers.
func (t text) of(worker, workers int) (share []string) {
	for i := worker; i < len(t.pieces); i += workers {
		share = append(share, t.pieces[i])
	}
	return share
}

// nextWord cuts the first word off s: letters, digits and underscores.
func nextWord(s string) (word, rest string) {
	begin := 0
	for begin < len(s) && !inWord[s[begin]] {
		begin++
	}
	end := begin
	for end < len(s) && inWord[s[end]] {
		end++
	}
	return s[begin:end], s[end:]
}

var inWord = func() (in [256]bool) {
	for c := range in {
		in[c] = c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
	}
	return in
}()
