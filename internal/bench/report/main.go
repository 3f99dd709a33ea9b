// Command report runs calm's benchmarks beside its peers and writes what they took to
// results/, one dated table for each package:
//
//	go -C internal/bench run ./report clock lattice
//	go -C internal/bench run ./report -render clock
//	go -C internal/bench run ./report -allocs
//
// The first form measures: give it a machine that does nothing else. Beside each table it
// leaves the raw lines, which benchstat reads. The second writes the table anew from those
// lines. The third measures no time and so runs anywhere, CI included: it compares what
// calm's own operations allocate with results/allocs.txt and fails when one allocates more.
// With -rewrite it writes that file.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	count := flags.Int("count", 6, "how often each benchmark runs; the table holds medians")
	benchtime := flags.String("benchtime", "100ms", "how long each run takes")
	only := flags.String("bench", ".", "the benchmarks to run, as for go test -bench")
	again := flags.Bool("render", false, "write the tables anew from the raw lines, and measure nothing")
	allocs := flags.Bool("allocs", false, "compare allocations with results/allocs.txt instead")
	rewrite := flags.Bool("rewrite", false, "with -allocs: write that file anew")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: report [flags] PACKAGE…, in the folder internal/bench")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := os.Stat("results"); err != nil {
		return errors.New("there is no folder results here: run it in internal/bench (go -C internal/bench run ./report)")
	}
	if *allocs {
		return checkAllocs(out, *rewrite)
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return errors.New("name at least one package")
	}
	for _, pkg := range flags.Args() {
		pkg = filepath.Base(pkg)
		if *again {
			if err := renderAgain(pkg); err != nil {
				return err
			}
			continue
		}
		if err := measure(out, pkg, *only, *benchtime, *count); err != nil {
			return err
		}
	}
	return nil
}

// measure writes results/pkg.txt and results/pkg.md. It runs all benchmarks once, then all once more,
// and so on: whatever else the machine does then slows down calm and its peers alike.
func measure(out io.Writer, pkg, only, benchtime string, count int) error {
	command := "go -C internal/bench run ./report " + strings.Join(quoted([]string{"-bench", only, "-benchtime", benchtime, "-count", fmt.Sprint(count), pkg}), " ")
	fmt.Fprintln(out, command)
	dir, err := os.MkdirTemp("", "report")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, pkg+".test")
	if _, err := goCommand("test", "-c", "-o", binary, "./"+pkg); err != nil {
		return err
	}
	var raw []byte
	for range count {
		pass, err := output(exec.Command(binary, "-test.run", "^$", "-test.bench", only, "-test.benchtime", benchtime, "-test.benchmem", "-test.timeout", "2h"), pkg)
		if err != nil {
			return err
		}
		raw = append(raw, pass...)
	}
	head := fmt.Sprintf("date: %s\ncommit: %s\ngo: %s\ncpus: %d\ncommand: %s\n",
		time.Now().UTC().Format(time.DateOnly), commit(), runtime.Version(), runtime.NumCPU(), command)
	raw = append([]byte(head), raw...)
	table, err := render(pkg, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{pkg + ".txt": raw, pkg + ".md": table} {
		if err := os.WriteFile(filepath.Join("results", name), content, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "wrote results/%s.md and results/%s.txt\n", pkg, pkg)
	return nil
}

// renderAgain writes results/pkg.md from results/pkg.txt.
func renderAgain(pkg string) error {
	raw, err := os.ReadFile(filepath.Join("results", pkg+".txt"))
	if err != nil {
		return err
	}
	table, err := render(pkg, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("results", pkg+".md"), table, 0o644)
}

// goCommand returns what a go command prints, or its last lines as an error.
func goCommand(args ...string) ([]byte, error) { return output(exec.Command("go", args...), ".") }

// output returns what a command prints in a folder, or its last lines as an error.
func output(c *exec.Cmd, dir string) ([]byte, error) {
	c.Dir = dir
	raw, err := c.CombinedOutput()
	if err != nil {
		lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(c.Args[:min(2, len(c.Args))], " "), err, bytes.Join(lines[max(0, len(lines)-20):], []byte("\n")))
	}
	return raw, nil
}

// commit returns the short name of the commit that is measured, with a mark if the checkout
// differs from it.
func commit() string {
	name, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	if changed, _ := exec.Command("git", "status", "--porcelain", "--untracked-files=no").Output(); len(changed) > 0 {
		return string(bytes.TrimSpace(name)) + " with changes"
	}
	return string(bytes.TrimSpace(name))
}

// quoted returns args as a shell takes them.
func quoted(args []string) []string {
	var q []string
	for _, a := range args {
		if strings.ContainsAny(a, "^$*|() ") {
			a = "'" + a + "'"
		}
		q = append(q, a)
	}
	return q
}
