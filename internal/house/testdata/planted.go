// Package planted breaks every rule once; see TestSourceRulesBite.
package planted

import (
	. "bytes" // want NothingRunsOnImport
	"errors"
	"fmt"
	"hash/crc32"
	_ "image/png" // want NothingRunsOnImport
	"io"
	"log"      // want PureCores
	"log/slog" // want PureCores
	"math/rand/v2"
	"os"   // want PureCores
	"sync" // want PureCores
	"time"
	"unsafe" // want NothingRunsOnImport
)

var (
	ErrFine = errors.New("written once")
	table   = crc32.MakeTable(crc32.Castagnoli)
	names   = [...]string{"a", "b"}
	_       = map[string]int{}

	mu     sync.Mutex       // want NoGlobalState
	cache  = map[int]int{}  // want NoGlobalState
	wake   = make(chan int) // want NoGlobalState
	locked struct {         // want NoGlobalState
		n  int
		mu sync.Mutex
	}
	count int
	rows  []int
	buf   Buffer
)

func init() {} // want NothingRunsOnImport

//go:linkname now time.now // want NothingRunsOnImport

func changes() {
	count++               // want NoGlobalState
	count = 1             // want NoGlobalState
	rows[0] = 1           // want NoGlobalState
	locked.n = 1          // want NoGlobalState
	p := &count           // want NoGlobalState
	io.EOF = nil          // want NoGlobalState
	buf.Reset()           // want NoGlobalState
	for count = range 3 { // want NoGlobalState
	}
	count := *p // a local of the same name
	count++
	_ = count + len(names) + int(crc32.Checksum(nil, table)) + int(unsafe.Sizeof(count))
}

func impureCalls() {
	_ = time.Now() // want PureCores
	_ = rand.Int() // want PureCores
	go changes()   // want PureCores
	_ = time.Unix(0, 0)
	_ = rand.New(rand.NewPCG(1, 2)).Int()
}

func talks(l *slog.Logger, w io.Writer) {
	fmt.Println("x")        // want NoLogging
	fmt.Fprintln(os.Stderr) // want NoLogging
	log.Print("x")          // want NoLogging
	slog.Info("x")          // want NoLogging
	println()               // want NoLogging
	fmt.Fprintln(w)
	l.Info("x")
	log.New(w, "", 0).Print("x") // want NoLogging
}
