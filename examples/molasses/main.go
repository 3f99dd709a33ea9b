// Command molasses measures why a program can get slower when it is given more machines.
//
//	go run ./molasses                  the Go source tree, on this machine
//	go run ./molasses -in ~/library    any folder, file (gzip or not) or - for standard input
//
// The job is to count the words of a text and to name the most frequent ones. It is done in turn by
//
//	a single thread              what all others have to beat
//	one lock                     goroutines that share a map behind a mutex
//	sharded locks                … behind 64 of them, by word
//	a channel to an owner        … that send each word to the only one that counts
//	own state, merged last       … that count by themselves; a lattice joins what they have
//	own state, merged as it goes … and tell each other all the time
//	processes that ask           processes that have a coordinator count each word
//	processes that tell          processes that count by themselves and send CRDT deltas
//
// with more and more workers, and all come to the same counts. What they cost is shown as words per
// second, as the wait for one word (99th percentile), as the share of the machine that was lost, by
// Gunther's Universal Scalability Law, and as COST: how many workers it takes to beat the single
// thread (McSherry, Isard and Murray, "Scalability! But at what COST?", HotOS 2015). "Never" is an
// answer.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/go-calm/calm/examples/internal/plot"
	"github.com/go-calm/calm/examples/internal/program"
	"github.com/go-calm/calm/examples/internal/term"
)

const about = `Count the words of a text in eight ways, with more and more workers, and measure why some get slower. Writes
a report with charts.

  molasses                 the Go source tree, on this machine
  molasses -in ~/library   any folder, file (packed with gzip or not) or - for standard input`

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerArg { // one of the processes, started by processes.run
		if err := work(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "molasses worker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(program.Exit("molasses", command(os.Args[1:], os.Stdin, os.Stdout, os.Stderr), os.Stderr))
}

func command(args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("molasses", flag.ContinueOnError)
	in := f.String("in", "", "count the words of this `folder, file or -` (default: the source of Go)")
	megabytes := f.Int("mb", 24, "how much text to count, at most, in `MiB`")
	seed := f.Uint64("seed", 1, "what the text is made up by if there is no source of Go")
	most := f.Int("workers", max(4, runtime.NumCPU()), "up to how many workers")
	top := f.Int("top", 5, "how many of the most frequent words to name")
	budget := f.Duration("for", 10*time.Second, "about how long to measure; each is measured once at least")
	out := f.String("o", filepath.Join(os.TempDir(), "molasses.html"), "the `file` that the report goes to")
	if err := program.Parse(f, args, about, stdout); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return program.Usagef("unexpected %q; the text is given by -in", f.Arg(0))
	case *megabytes < 1 || *megabytes > 1024:
		return program.Usagef("-mb is from 1 to 1024, not %d", *megabytes)
	case *most < 1 || *most > 256:
		return program.Usagef("-workers is from 1 to 256, not %d", *most)
	case *top < 1:
		return program.Usagef("-top is at least 1, not %d", *top)
	case *budget <= 0:
		return program.Usagef("-for must be more than nothing")
	}
	if err := plot.Check(*out); err != nil {
		return program.Usagef("-o: %w", err)
	}

	text, err := readText(*in, stdin, *megabytes<<20, *seed)
	if err != nil {
		return program.Usage(err)
	}
	fmt.Fprintf(stdout, "counting the words of %s: %s, on %d cores\n\n", text.name, term.Size(int64(text.size())), runtime.NumCPU())

	bench := bench{text: text, counts: workerCounts(*most), budget: *budget, progress: term.NewProgress(stderr)}
	results, err := bench.run()
	if err != nil {
		return err
	}
	printTop(stdout, results[0].counted, *top)
	printTables(stdout, results)
	path, err := page(text, results).WriteFile(*out)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nreport: %s\n", path)
	return nil
}

// workerCounts is 1, 2, 3, 4, and then on in doubles, up to most.
func workerCounts(most int) (counts []int) {
	for n := 1; n < most; {
		counts = append(counts, n)
		if n < 4 {
			n++
		} else {
			n *= 2
		}
	}
	return append(counts, most)
}
