// Command importtest does what a user does on the day of a release, without one:
// it packs the module at HEAD as a version, serves it from a file tree as a Go
// module proxy, gets it in an empty module, and builds and runs a program that
// uses each package.
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
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

const (
	path    = "github.com/go-calm/calm"
	version = "v0.1.0" // known to nobody but a temporary cache
)

//go:embed testdata/user.go.txt
var program []byte

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

	size, err := pack(root, rev, filepath.Join(tmp, "proxy"))
	if err != nil {
		return err
	}
	fmt.Printf("packed %s at %s as %s: %d bytes\n", path, rev, version, size)

	user, err := newUser(root, tmp)
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"mod", "init", "example.com/user"},
		{"get", path},
		{"mod", "tidy"},
		{"vet", "."},
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

// pack writes the four files of one version below dir, as a module proxy serves
// them, and returns the size of the zip.
func pack(root, rev, dir string) (int64, error) {
	dir = filepath.Join(dir, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC()})
	if err != nil {
		return 0, err
	}
	mod, err := exec.Command("git", "-C", root, "show", rev+":go.mod").Output()
	if err != nil {
		return 0, fmt.Errorf("git show %s:go.mod: %w", rev, err)
	}
	for name, b := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			return 0, err
		}
	}
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	// CreateFromVCS leaves the nested modules out, as the go command does.
	if err := zip.CreateFromVCS(f, module.Version{Path: path, Version: version}, root, rev, ""); err != nil {
		return 0, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	return size, errors.Join(err, f.Close())
}

// A user is an empty module with an environment of its own.
type user struct {
	dir string
	env []string
}

func newUser(root, tmp string) (*user, error) {
	u := &user{dir: filepath.Join(tmp, "module")}
	if err := os.Mkdir(u.dir, 0o777); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(u.dir, "main.go"), program, 0o666); err != nil {
		return nil, err
	}
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	cache, proxy, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	// -modcacherw lets the temporary cache be removed.
	u.env = append(os.Environ(),
		"GOPROXY="+fileURL(filepath.Join(tmp, "proxy"))+","+fileURL(filepath.Join(cache, "cache", "download"))+","+proxy,
		"GOMODCACHE="+filepath.Join(tmp, "cache"), "GONOSUMDB="+path, "GOFLAGS=-mod=mod -modcacherw",
		"GOWORK=off", "GOPRIVATE=", "GONOPROXY=", "PWD="+u.dir)
	return u, nil
}

func fileURL(dir string) string {
	dir = filepath.ToSlash(dir)
	if !strings.HasPrefix(dir, "/") {
		dir = "/" + dir // a drive letter
	}
	return "file://" + dir
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
