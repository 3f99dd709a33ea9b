// Command importtest does what a user does on the day of a release, without one:
// it packs the module at HEAD as a version, serves it from a file tree as a Go
// module proxy, gets it in an empty module, and builds and runs a program that
// uses each package and a test that uses each kit.
//
//	importtest [-root dir] [-rev HEAD]
//
// It fails if the program compiles a package of any module but calm and
// golang.org/x/sync, or if the user's go.mod or go.sum names a module that calm's
// own go.mod does not. Nothing is written outside a temporary folder: the module
// cache is a new one, filled from the machine's cache and the machine's proxy.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/go-calm/calm/internal/tools/modproxy"
)

const (
	path    = modproxy.Module
	version = "v0.1.0" // known to nobody but this program
)

//go:embed testdata/user.go.txt
var program []byte

//go:embed testdata/user_test.go.txt
var tests []byte

//go:embed testdata/want.txt
var want string

func main() {
	log.SetFlags(0)
	log.SetPrefix("importtest: ")
	root := flag.String("root", ".", "the root of the checkout")
	rev := flag.String("rev", "HEAD", "the revision to pack")
	flag.Parse()
	if err := run(*root, *rev); err != nil {
		log.Fatal(err)
	}
}

func run(root, rev string) (err error) {
	root, err = filepath.Abs(root)
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "importtest")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()

	proxy, err := modproxy.New(tmp)
	if err != nil {
		return err
	}
	size, err := proxy.Add(root, rev, version)
	if err != nil {
		return err
	}
	fmt.Printf("packed %s at %s: %d bytes\n", modproxy.Module, rev, size)

	user, err := newUser(proxy, filepath.Join(tmp, "module"))
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"mod", "init", "example.com/user"},
		{"get", path},
		{"mod", "tidy"},
		{"vet", "."},
		{"test", "."},
		{"build", "-o", filepath.Join(tmp, "user"+exe()), "."},
	} {
		if _, err := user.run("go", args...); err != nil {
			return err
		}
	}
	got, err := user.run(filepath.Join(tmp, "user"+exe()))
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the program prints\n%s\nwant\n%s", got, want)
	}
	fmt.Print(got)
	if err := user.checkCompiled(); err != nil {
		return err
	}
	return user.checkModules(root)
}

func exe() string {
	if out, _ := exec.Command("go", "env", "GOEXE").Output(); len(out) > 0 {
		return strings.TrimSpace(string(out))
	}
	return ""
}

// A user is an empty module with an environment of its own.
type user struct {
	dir string
	env []string
}

func newUser(proxy *modproxy.Proxy, dir string) (*user, error) {
	if err := os.Mkdir(dir, 0o777); err != nil {
		return nil, err
	}
	for name, src := range map[string][]byte{"main.go": program, "main_test.go": tests} {
		if err := os.WriteFile(filepath.Join(dir, name), src, 0o666); err != nil {
			return nil, err
		}
	}
	env, err := proxy.Env()
	return &user{dir, append(env, "PWD="+dir)}, err
}

func (u *user) run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = u.dir, u.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String(), nil
}

// checkCompiled compares the modules that the program is built from with the two
// that it may be.
func (u *user) checkCompiled() error {
	out, err := u.run("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	if err != nil {
		return err
	}
	built := map[string]bool{}
	for _, m := range strings.Fields(out) {
		built[m] = true
	}
	fmt.Println("the program is built from:", strings.Join(slices.Sorted(maps.Keys(built)), " "))
	for m := range built {
		if m != "example.com/user" && m != path && m != "golang.org/x/sync" {
			return fmt.Errorf("the program is built from %s", m)
		}
	}
	return nil
}

// checkModules compares the modules that the user's go.mod and go.sum name with
// those of calm's go.mod.
func (u *user) checkModules(root string) error {
	parse := func(dir string) (*modfile.File, error) {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err != nil {
			return nil, err
		}
		return modfile.Parse(filepath.Join(dir, "go.mod"), b, nil)
	}
	own, err := parse(root)
	if err != nil {
		return err
	}
	known := map[string]bool{path: true}
	for _, r := range own.Require {
		known[r.Mod.Path] = true
	}
	mod, err := parse(u.dir)
	if err != nil {
		return err
	}
	fmt.Println("the user's go.mod requires:")
	for _, r := range mod.Require {
		fmt.Println("\t" + r.Mod.String())
		if !known[r.Mod.Path] {
			return fmt.Errorf("the user's go.mod requires %s", r.Mod)
		}
	}
	sum, err := os.ReadFile(filepath.Join(u.dir, "go.sum"))
	if err != nil {
		return err
	}
	fmt.Println("the user's go.sum holds:")
	for line := range strings.Lines(string(sum)) {
		name, rest, _ := strings.Cut(line, " ")
		version, _, _ := strings.Cut(rest, " ")
		fmt.Println("\t" + name + " " + version)
		if !known[name] && !strings.HasSuffix(version, "/go.mod") {
			return fmt.Errorf("the user's go.sum holds the code of %s", name)
		}
	}
	return nil
}
