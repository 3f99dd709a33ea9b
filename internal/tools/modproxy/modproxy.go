// Package modproxy packs revisions of a checkout as versions of its module and
// serves them from a file tree, as a Go module proxy would.
package modproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Module is the module that is packed.
const Module = "github.com/go-calm/calm"

// A Proxy is a file tree below a folder, and a module cache of its own, so that no
// version packed here is ever seen by another command.
type Proxy struct {
	dir string
}

// New makes an empty proxy below dir, which must exist and be empty.
func New(dir string) (*Proxy, error) {
	p := &Proxy{dir}
	if err := os.MkdirAll(p.versions(), 0o777); err != nil {
		return nil, err
	}
	return p, os.WriteFile(filepath.Join(p.versions(), "list"), nil, 0o666)
}

func (p *Proxy) versions() string {
	return filepath.Join(p.dir, "proxy", filepath.FromSlash(Module), "@v")
}

// Add packs the module at a revision of the checkout in root, without its nested
// modules, and returns the size of the archive in bytes. Where root is no git
// checkout, what lies there is packed.
func (p *Proxy) Add(root, rev, version string) (size int64, err error) {
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC()})
	if err != nil {
		return 0, err
	}
	m := module.Version{Path: Module, Version: version}
	pack := func(w io.Writer) error { return zip.CreateFromVCS(w, m, root, rev, "") }
	mod, err := exec.Command("git", "-C", root, "show", rev+":go.mod").Output()
	if err != nil {
		pack = func(w io.Writer) error { return zip.CreateFromDir(w, m, root) }
		if mod, err = os.ReadFile(filepath.Join(root, "go.mod")); err != nil {
			return 0, err
		}
	}
	file := func(name string) string { return filepath.Join(p.versions(), name) }
	list, err := os.OpenFile(file("list"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintln(list, version)
	archive, err2 := os.Create(file(version + ".zip"))
	if err := errors.Join(err, list.Close(), err2); err != nil {
		return 0, err
	}
	err = pack(archive)
	if err == nil {
		size, err = archive.Seek(0, io.SeekEnd)
	}
	return size, errors.Join(err, archive.Close(),
		os.WriteFile(file(version+".info"), info, 0o666), os.WriteFile(file(version+".mod"), mod, 0o666))
}

// Env is an environment for the go command in which the proxy is asked first, then
// what this machine has downloaded before, then the machine's own proxy.
func (p *Proxy) Env() ([]string, error) {
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	cache, proxy, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return append(os.Environ(),
		"GOPROXY="+fileURL(filepath.Join(p.dir, "proxy"))+","+fileURL(filepath.Join(cache, "cache", "download"))+","+proxy,
		"GOMODCACHE="+filepath.Join(p.dir, "cache"),
		"GONOSUMDB="+Module, "GONOPROXY=", "GOPRIVATE=", "GOWORK=off",
		"GOFLAGS=-mod=mod -modcacherw"), nil // writable, so that the cache can be removed
}

func fileURL(dir string) string {
	dir = filepath.ToSlash(dir)
	if !strings.HasPrefix(dir, "/") {
		dir = "/" + dir // before a drive letter
	}
	return "file://" + dir
}
