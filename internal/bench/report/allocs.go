package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const allocsFile = "results/allocs.txt"

// operations is how many operations are counted: so many that what only the first one
// allocates does not show, and always the same, as tables grow with the number.
const operations = 2000

// quick is the time in ns that a first operation may take to be counted that often.
const quick = 500_000

// allocs is what an operation allocates.
type allocs struct{ count, bytes int }

// more reports whether a is more than b, but for the few bytes that the runtime allocates
// meanwhile.
func (a allocs) more(b allocs) bool { return a.count > b.count || a.bytes > b.bytes+b.bytes/20+16 }

func (a allocs) String() string { return fmt.Sprintf("%d allocations, %d bytes", a.count, a.bytes) }

// checkAllocs compares what calm's operations allocate with what allocsFile says, or writes
// that file. It then holds the operations that allocate as good as the same in each of five runs.
func checkAllocs(out io.Writer, rewrite bool) error {
	dir, err := os.MkdirTemp("", "calm-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if rewrite {
		return rewriteAllocs(out, dir)
	}
	want, err := readAllocs()
	if err != nil {
		return err
	}
	var worse []string
	built := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		pkg, benchmark, _ := strings.Cut(name, ".")
		if built[pkg] == "" {
			if built[pkg], err = build(dir, pkg); err != nil {
				return err
			}
		}
		got, err := countAllocs(built[pkg], pkg, benchmark, 1)
		switch {
		case err != nil:
			return err
		case len(got) == 0:
			worse = append(worse, name+": does not exist any more")
		case got[0].more(want[name]):
			worse = append(worse, fmt.Sprintf("%s: %s; it was %s", name, got[0], want[name]))
		}
	}
	if len(worse) > 0 {
		return fmt.Errorf("more than %s says (if it must be so: report -allocs -rewrite):\n%s", allocsFile, strings.Join(worse, "\n"))
	}
	fmt.Fprintf(out, "%d operations allocate no more than %s says\n", len(want), allocsFile)
	return nil
}

func rewriteAllocs(out io.Writer, dir string) error {
	listed, err := exec.Command("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.Name}}{{end}}", "./...").Output()
	if err != nil {
		return err
	}
	var lines []string
	for _, pkg := range strings.Fields(string(listed)) {
		if pkg == "main" {
			continue
		}
		binary, err := build(dir, pkg)
		if err != nil {
			return err
		}
		rows, err := benchmarks(binary, pkg, ".", 1, 1)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if took, _, _ := r.median("ns/op"); r.subject() < 0 || took > quick {
				continue
			}
			a, err := countAllocs(binary, pkg, r.name, 5)
			if err != nil {
				return err
			}
			least := slices.MinFunc(a, func(x, y allocs) int { return x.bytes - y.bytes })
			if !slices.ContainsFunc(a, func(x allocs) bool { return x.count > least.count || x.bytes > least.bytes+least.bytes/50+2 }) {
				lines = append(lines, fmt.Sprintf("%s.%s %d %d\n", pkg, r.name, least.count, least.bytes))
			}
		}
	}
	slices.Sort(lines)
	head := fmt.Sprintf("# What one operation allocates, over %d of them: benchmark, allocations, bytes.\n"+
		"# Written by: go -C internal/bench run ./report -allocs -rewrite\n", operations)
	fmt.Fprintf(out, "%d operations\n", len(lines))
	return os.WriteFile(allocsFile, []byte(head+strings.Join(lines, "")), 0o644)
}

// build compiles the benchmarks of pkg.
func build(dir, pkg string) (binary string, err error) {
	binary = filepath.Join(dir, pkg+".test")
	_, err = goCommand("test", "-c", "-o", binary, "./"+pkg)
	return binary, err
}

// benchmarks runs those benchmarks of a package that match.
func benchmarks(binary, pkg, match string, times, count int) ([]*row, error) {
	cmd := exec.Command(binary, "-test.run", "^$", "-test.bench", match, "-test.benchmem",
		"-test.benchtime", fmt.Sprint(times, "x"), "-test.count", fmt.Sprint(count))
	cmd.Dir = pkg
	raw, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			raw = append(raw, exit.Stderr...)
		}
		return nil, fmt.Errorf("benchmarks %s of %s: %w\n%s", match, pkg, err, raw)
	}
	rows, _, err := parse(bytes.NewReader(raw))
	return rows, err
}

// countAllocs returns what one benchmark allocates for each operation, a value for each run.
func countAllocs(binary, pkg, name string, runs int) (got []allocs, err error) {
	rows, err := benchmarks(binary, pkg, exactly(name), operations, runs)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.name == name {
			for i, c := range r.values["allocs/op"] {
				got = append(got, allocs{int(c), int(r.values["B/op"][i])})
			}
		}
	}
	return got, nil
}

// exactly returns the pattern that matches one benchmark.
func exactly(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		if i == 0 {
			p = "Benchmark" + p
		}
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

func readAllocs() (map[string]allocs, error) {
	raw, err := os.ReadFile(allocsFile)
	if err != nil {
		return nil, err
	}
	want := map[string]allocs{}
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var name string
		var a allocs
		if _, err := fmt.Sscan(line, &name, &a.count, &a.bytes); err != nil {
			return nil, fmt.Errorf("%s: line %q: %w", allocsFile, line, err)
		}
		want[name] = a
	}
	if len(want) == 0 {
		return nil, fmt.Errorf("%s names no operation", allocsFile)
	}
	return want, nil
}
