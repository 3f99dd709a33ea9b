package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const raw = `date: 2026-11-21
commit: abc
go: go1.26
cpus: 2
command: go test
goos: linux
goarch: amd64
pkg: example
cpu: Some CPU
BenchmarkNow/time.Now/1-2   	 100	 50.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkNow/calm/1-2       	 100	 20.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkNow/calm/2-2       	 100	 25.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkNow/time.Now/1-2   	 100	 40.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkNow/calm/1-2       	 100	 24.0 ns/op	 8 B/op	 1 allocs/op
BenchmarkNow/calm/2-2       	 100	 26.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkSize/1M-2          	   1	 2500000 ns/op	 1.05 B/element
BenchmarkPace/calm-2        	   1	 100 ns/op	 0.5 p50-µs	 16 p99-µs
BenchmarkPace/chan-2        	   1	 100 ns/op	 2 p50-µs	 17 p99-µs
BenchmarkPace/pipe-2        	   1	 100 ns/op	 18.5 p99-µs
PASS
`

func TestTableSetsCalmBesideItsPeers(t *testing.T) {
	got, err := render("clock", strings.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"# clock, 2026-11-21\n", "Some CPU, 2 processors, linux/amd64, go1.26, commit abc",
		"| Now/calm/1 | 22 ns |", "time.Now 45 ns (0.49)", // the same goroutines
		"| Now/calm/2 | 25.5 ns |",
		"| Size/1M | 2.5 ms |", "1.05 B/element |",
		"| 0.5 p50-µs (chan: 2), 16 p99-µs (chan: 17, pipe: 18.5) |",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if n := strings.Count(string(got), "time.Now"); n != 1 {
		t.Errorf("the peer stands in %d rows, want 1:\n%s", n, got)
	}
}

func TestTableEndsWithTheMeansOfManySizes(t *testing.T) {
	lines := "date: 2026-11-21\n"
	for i := range several {
		lines += fmt.Sprintf("BenchmarkA/calm/%d 1 %d ns/op\nBenchmarkA/chan/%d 1 100 ns/op\n", i, []int{20, 80}[i%2], i)
	}
	got, err := render("x", strings.NewReader(lines+"BenchmarkB/calm/1 1 5 ns/op\nBenchmarkB/chan/1 1 5 ns/op\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "| A, chan | 0.40 | 0.20 | 0.80 | 12 |\n"; !strings.HasSuffix(string(got), want) {
		t.Errorf("no %q at the end of\n%s", want, got)
	}
}

func TestPatternMatchesOneBenchmark(t *testing.T) {
	if got, want := exactly("Now/calm.Now/n=1"), `^BenchmarkNow$/^calm\.Now$/^n=1$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestCommittedTablesAreTheRawLines renders each committed table again.
func TestCommittedTablesAreTheRawLines(t *testing.T) {
	t.Chdir("..")
	files, err := os.ReadDir("results")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		pkg, ok := strings.CutSuffix(f.Name(), ".txt")
		if !ok || pkg == "allocs" {
			continue
		}
		raw, err := os.Open("results/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		want, err := render(pkg, raw)
		raw.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile("results/" + pkg + ".md"); string(got) != string(want) {
			t.Errorf("results/%[1]s.md is not what results/%[1]s.txt holds; write it with: go -C internal/bench run ./report -render %[1]s", pkg)
		}
	}
}

func TestFewBytesAreNoise(t *testing.T) {
	for _, c := range []struct {
		a, b allocs
		more bool
	}{
		{allocs{0, 16}, allocs{0, 0}, false},
		{allocs{0, 17}, allocs{0, 0}, true},
		{allocs{1, 0}, allocs{0, 0}, true},
		{allocs{1, 1066}, allocs{1, 1000}, false},
		{allocs{1, 1067}, allocs{1, 1000}, true},
	} {
		if got := c.a.more(c.b); got != c.more {
			t.Errorf("%v more than %v: %v", c.a, c.b, got)
		}
	}
}
