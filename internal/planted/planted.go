// Package planted shows that a package's tests find bugs: it compiles the package once more
// with bugs in it, and runs the tests with one of them switched on at a time.
//
// In the copy, the code that is planted may call bug(), which tells whether its bug is on, and
// jitter(), which now and then lets other goroutines run.
package planted

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Bug is one to plant: in File, Old, which occurs there once, is replaced by New.
type Bug struct {
	Name  string
	Tests string // a pattern of the tests that claim to find it
	File  string
	Old   string
	New   string
}

// switched is the environment variable that names the bug which is on.
const switched = "CALM_MUTANT"

const source = `package %s

import (
	"math/rand/v2"
	"os"
	"runtime"
)

var plantedBug = os.Getenv("` + switched + `")

func bugIs(name string) bool { return plantedBug == name }

func jitter() {
	if rand.Uint32()&7 == 0 {
		runtime.Gosched()
	}
}
`

var killer = regexp.MustCompile(`--- FAIL: (\S+)|panic: (.*)`)

// Copy is the package in the working directory with bugs in it.
type Copy struct {
	Bugs  []Bug
	Steps *regexp.Regexp // before lines that match, a jitter is put; nil: before none
	Tests []string       // the test files that are needed, where compiling the others takes long; nil: all
	Args  []string       // more arguments of the tests, such as -rapid.nofailfile
}

// Kill compiles the copy. With all bugs off, the tests that claim to find any must pass; with
// any one on, its own must fail.
//
// What a schedule finds it finds by chance: a bug that a busy machine lets slip is tried again
// with more checks (CALM_CHECKS), up to ten times as many. Without a go command, in -short, and
// in the copy itself, the test is skipped.
func (c Copy) Kill(t *testing.T) {
	t.Helper()
	if testing.Short() || os.Getenv(switched) != "" {
		t.Skip("not in -short, nor in itself")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command")
	}
	binary := c.build(t, goTool)
	run := func(name, tests, checks string) (string, error) {
		args := append([]string{"-test.run=" + tests, "-test.failfast", "-test.timeout=60s"}, c.Args...)
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), switched+"="+name, "CALM_CHECKS="+checks)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var all []string
	for _, b := range c.Bugs {
		all = append(all, b.Tests)
	}
	if out, err := run("none", strings.Join(all, "|"), "0.3"); err != nil {
		t.Fatalf("the copy fails with all bugs off: %v\n%s", err, out)
	}
	for _, b := range c.Bugs {
		var out string
		var err error
		for _, checks := range []string{"0.3", "1", "3", "10"} {
			if out, err = run(b.Name, b.Tests, checks); err != nil {
				break
			}
		}
		if err == nil {
			t.Errorf("survived: %s", b.Name)
			continue
		}
		t.Logf("%-60s %s", b.Name, killer.FindString(out))
	}
}

// build compiles the tests of the package with all bugs in it and returns the binary.
func (c Copy) build(t *testing.T, goTool string) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	here, err := os.Getwd()
	must(err)
	sources := map[string]string{}
	for _, b := range c.Bugs {
		if sources[b.File] == "" {
			text, err := os.ReadFile(b.File)
			must(err)
			sources[b.File] = string(text)
		}
		if n := strings.Count(sources[b.File], b.Old); n != 1 {
			t.Fatalf("%s: %s contains this %d times:\n%s", b.Name, b.File, n, b.Old)
		}
		on := strings.ReplaceAll(b.New, "bug()", fmt.Sprintf("bugIs(%q)", b.Name))
		sources[b.File] = strings.Replace(sources[b.File], b.Old, on, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	write := func(file, text string) {
		path := filepath.Join(dir, file)
		must(os.WriteFile(path, []byte(text), 0o644))
		overlay.Replace[filepath.Join(here, file)] = path
	}
	for file, text := range sources {
		if c.Steps != nil {
			text = c.Steps.ReplaceAllString(text, "jitter()\n$0")
		}
		write(file, text)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), c.Bugs[0].File, nil, parser.PackageClauseOnly)
	must(err)
	write("planted.go", fmt.Sprintf(source, parsed.Name.Name))
	if c.Tests != nil {
		tests, err := filepath.Glob("*_test.go")
		must(err)
		for _, file := range tests {
			if !slices.Contains(c.Tests, file) {
				overlay.Replace[filepath.Join(here, file)] = "" // as if it were not there
			}
		}
	}
	list, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "planted.test")
	b, err := json.Marshal(overlay)
	must(err)
	must(os.WriteFile(list, b, 0o644))
	if out, err := exec.Command(goTool, "test", "-c", "-vet=off", "-ldflags=-w", "-overlay", list, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("the copy does not compile: %v\n%s", err, out)
	}
	return binary
}
