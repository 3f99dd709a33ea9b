package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
)

// modulePath is the module these rules are about.
const modulePath = "github.com/go-calm/calm"

// nested are the modules below the root that have a go.mod of their own.
var nested = []string{"examples", "internal/bench", "internal/tools"}

// moduleRoot is the folder that holds the root go.mod: tests run in their
// package's folder, two below it.
func moduleRoot(t testing.TB) string {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func findRoot() (string, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err == nil && !strings.HasPrefix(string(b), "module "+modulePath) {
		err = fmt.Errorf("%s is not the module %s", root, modulePath)
	}
	return root, err
}

// checkoutRoot is moduleRoot for rules about files that only a checkout has: a
// module downloaded by the go command comes without its nested modules.
func checkoutRoot(t testing.TB) string {
	t.Helper()
	root := moduleRoot(t)
	if _, err := os.Stat(filepath.Join(root, "examples", "go.mod")); err != nil {
		t.Skip("not a checkout: the nested modules are not here")
	}
	return root
}

// goCommand runs the go command in the module's root and returns what it wrote
// to standard output.
func goCommand(env []string, args ...string) ([]byte, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s go %s: %w\n%s", strings.Join(env, " "), strings.Join(args, " "), err, stderr.String())
	}
	return out, err
}

// A listed package is what these rules read of `go list -json`.
type listed struct {
	ImportPath   string
	Dir          string
	Name         string
	Export       string
	Standard     bool
	GoFiles      []string
	CgoFiles     []string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
	Error        *struct{ Err string }
}

// rel is the package's import path below the module's, "." for the root.
func (p *listed) rel() string { return relPath(p.ImportPath) }

func relPath(importPath string) string {
	if importPath == modulePath {
		return "."
	}
	if r, ok := strings.CutPrefix(importPath, modulePath+"/"); ok {
		return r
	}
	return ""
}

// goList decodes the stream of JSON objects that `go list -json` prints. A
// package that does not compile is an error, not an omission.
func goList(env []string, args ...string) ([]*listed, error) {
	const fields = "-json=ImportPath,Dir,Name,Export,Standard,GoFiles,Imports,Deps,TestImports,XTestImports,Error"
	out, err := goCommand(env, append([]string{"list", fields}, args...)...)
	if err != nil {
		return nil, err
	}
	var pkgs []*listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		if p.Error != nil {
			return nil, fmt.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		pkgs = append(pkgs, p)
	}
}

// A source is one parsed Go file of the root module or a nested one.
type source struct {
	path string // slash-separated, from the root
	file *ast.File
	test bool // its name ends in _test.go
}

func (s source) dir() string { return path.Dir(s.path) }

type sourceTree struct {
	fset  *token.FileSet
	files []source
}

// sources parses every Go file of the checkout, once, whatever its build tags:
// a rule that holds only on the machine that runs the test is no rule.
func sources(t testing.TB) (*token.FileSet, []source) {
	t.Helper()
	tree, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	return tree.fset, tree.files
}

var parsed = sync.OnceValues(parseTree)

func parseTree() (sourceTree, error) {
	tree := sourceTree{fset: token.NewFileSet()}
	root, err := findRoot()
	if err != nil {
		return tree, err
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		src, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		slash := filepath.ToSlash(rel)
		f, err := parser.ParseFile(tree.fset, slash, src, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		tree.files = append(tree.files, source{slash, f, strings.HasSuffix(name, "_test.go")})
		return nil
	})
	sort.Slice(tree.files, func(i, j int) bool { return tree.files[i].path < tree.files[j].path })
	return tree, err
}

// moduleOf names the module that a file belongs to: "." or one of nested.
func moduleOf(slashPath string) string {
	for _, n := range nested {
		if strings.HasPrefix(slashPath, n+"/") {
			return n
		}
	}
	return "."
}

// isKit reports whether a package of the root module is a test kit: imported by
// tests alone, so it may use the test libraries.
func isKit(rel string) bool {
	return strings.HasSuffix(rel, "test") || rel == "internal/lincheck"
}

// isInternal reports whether no user can import the package.
func isInternal(rel string) bool {
	return rel == "internal" || strings.HasPrefix(rel, "internal/") || strings.Contains(rel, "/internal/")
}
