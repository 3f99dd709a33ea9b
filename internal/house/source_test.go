package house

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

// checked is one package of the root module, without its tests, with its types.
type checked struct {
	rel   string
	fset  *token.FileSet
	files []*ast.File
	info  *types.Info
	pkg   *types.Package
}

// A rule finds what is wrong with a package and calls report for each place.
type rule struct {
	name  string
	check func(c checked, report func(token.Pos, string))
}

var rules = []rule{
	{"NothingRunsOnImport", nothingRunsOnImport},
	{"NoGlobalState", noGlobalState},
	{"PureCores", pureCores},
	{"NoLogging", noLogging},
}

// TestSource applies each rule to each package.
func TestSource(t *testing.T) {
	pkgs, err := typeChecked()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, c := range pkgs {
				r.check(c, func(p token.Pos, msg string) { t.Errorf("%s: %s", c.fset.Position(p), msg) })
			}
		})
	}
}

// TestSourceRulesBite plants what each rule forbids: every line of the planted
// file that ends in `// want Rule` must be reported by that rule, and no other.
func TestSourceRulesBite(t *testing.T) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, filepath.Join("testdata", "planted.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-export"}
	for _, imp := range f.Imports {
		p, _ := strconv.Unquote(imp.Path.Value)
		args = append(args, p)
	}
	list, err := goList(nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := typeCheck(fset, "crdt", []*ast.File{f}, compiled(fset, list))
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]bool{}, map[string]bool{}
	for _, g := range f.Comments {
		for _, cm := range g.List {
			if _, names, ok := strings.Cut(cm.Text, "// want "); ok {
				for _, name := range strings.Fields(names) {
					want[fmt.Sprintf("%d %s", fset.Position(cm.Pos()).Line, name)] = true
				}
			}
		}
	}
	for _, r := range rules {
		r.check(c, func(p token.Pos, _ string) { got[fmt.Sprintf("%d %s", fset.Position(p).Line, r.name)] = true })
	}
	for k := range want {
		if !got[k] {
			t.Errorf("planted.go:%s finds nothing", k)
		}
	}
	for k := range got {
		if !want[k] {
			t.Errorf("planted.go:%s finds something in order", k)
		}
	}
}

// typeChecked type-checks the root module once for this platform, from the
// compiler's export data.
var typeChecked = sync.OnceValues(func() ([]checked, error) {
	var (
		both errgroup.Group // the go command compiles while the files are parsed
		tree sourceTree
		list []*listed
	)
	both.Go(func() (err error) {
		tree, err = parsed()
		return err
	})
	both.Go(func() (err error) {
		list, err = goList(nil, "-export", "-deps", "./...")
		return err
	})
	if err := both.Wait(); err != nil {
		return nil, err
	}
	byPath := make(map[string]*ast.File, len(tree.files))
	for _, s := range tree.files {
		byPath[s.path] = s.file
	}
	imp := compiled(tree.fset, list)
	var out []checked
	for _, p := range list {
		if !inModule(p.ImportPath, modulePath) {
			continue
		}
		var files []*ast.File
		for _, f := range p.GoFiles {
			files = append(files, byPath[path.Join(p.rel(), f)])
		}
		c, err := typeCheck(tree.fset, p.rel(), files, imp)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
})

// compiled imports what go list has compiled.
func compiled(fset *token.FileSet, list []*listed) types.Importer {
	exports := make(map[string]string, len(list))
	for _, p := range list {
		exports[p.ImportPath] = p.Export
	}
	return importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})
}

func typeCheck(fset *token.FileSet, rel string, files []*ast.File, imp types.Importer) (checked, error) {
	c := checked{rel: rel, fset: fset, files: files, info: &types.Info{
		Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}}
	conf := types.Config{Importer: imp, Sizes: types.SizesFor("gc", build.Default.GOARCH)}
	var err error
	c.pkg, err = conf.Check(path.Join(modulePath, rel), fset, files, c.info)
	return c, err
}

// nothingRunsOnImport refuses init functions, package unsafe, cgo, imports for
// effect and linkname directives.
func nothingRunsOnImport(c checked, report func(token.Pos, string)) {
	for _, f := range c.files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				report(fn.Pos(), "init function")
			}
		}
		for _, imp := range f.Imports {
			switch p, _ := strconv.Unquote(imp.Path.Value); {
			case p == "unsafe" || p == "C":
				report(imp.Pos(), "imports "+p)
			case imp.Name != nil && imp.Name.Name == ".":
				report(imp.Pos(), "imports by dot")
			case imp.Name != nil && imp.Name.Name == "_" && p != "embed":
				report(imp.Pos(), "imports for effect")
			}
		}
		for _, g := range f.Comments {
			for _, cm := range g.List {
				if strings.HasPrefix(cm.Text, "//go:linkname") || strings.HasPrefix(cm.Text, "//go:cgo") {
					report(cm.Pos(), cm.Text)
				}
			}
		}
	}
}

// noGlobalState allows a package variable that is written once, where it is
// declared. An assignment, a ++, an address taken, a method that takes its
// address, or a type that is there to be changed (a lock, an atomic, a map, a
// channel) makes it state.
func noGlobalState(c checked, report func(token.Pos, string)) {
	for id, obj := range c.info.Defs {
		v, ok := obj.(*types.Var)
		if ok && v.Parent() == c.pkg.Scope() && id.Name != "_" && isStateful(v.Type()) {
			report(id.Pos(), fmt.Sprintf("package variable %s of type %s", id.Name, v.Type()))
		}
	}
	for _, f := range c.files {
		ast.Inspect(f, func(n ast.Node) bool {
			for _, e := range c.written(n) {
				if v := c.variable(e); v != nil {
					report(e.Pos(), fmt.Sprintf("package variable %s may change here", v.Name()))
				}
			}
			return true
		})
	}
}

// written lists the operands that a node may change.
func (c checked) written(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.SelectorExpr:
		sel := c.info.Selections[n]
		if sel == nil || sel.Kind() != types.MethodVal {
			return nil
		}
		_, byPointer := sel.Obj().(*types.Func).Signature().Recv().Type().(*types.Pointer)
		if _, isPointer := sel.Recv().Underlying().(*types.Pointer); byPointer && !isPointer {
			return []ast.Expr{n.X}
		}
	}
	return nil
}

// variable is the package variable that an operand is, or is part of, if any.
func (c checked) variable(e ast.Expr) *types.Var {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
			if id, ok := x.X.(*ast.Ident); ok {
				if _, ok := c.info.Uses[id].(*types.PkgName); ok {
					e = x.Sel
				}
			}
		case *ast.Ident:
			v, ok := c.info.Uses[x].(*types.Var)
			if ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
				return v
			}
			return nil
		default:
			return nil
		}
	}
}

// isStateful reports whether a variable of the type is there to be changed.
func isStateful(typ types.Type) bool {
	if named, ok := types.Unalias(typ).(*types.Named); ok {
		if p := named.Obj().Pkg(); p != nil && (p.Path() == "sync" || p.Path() == "sync/atomic") {
			return true
		}
	}
	switch u := typ.Underlying().(type) {
	case *types.Map, *types.Chan:
		return true
	case *types.Array:
		return isStateful(u.Elem())
	case *types.Struct:
		for f := range u.Fields() {
			if isStateful(f.Type()) {
				return true
			}
		}
	}
	return false
}

// pure are the packages whose every file is a deterministic core: no clock, no
// randomness of their own, no goroutine, no lock, no file, no network. The values
// are what a file may import nevertheless, with the reason.
var pure = map[string]map[string]string{
	"crdt":              {"crypto/rand": "NewReplicaID draws an identity; nothing else is random"},
	"crdt/antientropy":  {},
	"internal/wire":     {},
	"internal/interval": {},
	"internal/front":    {},
}

// impure names the packages that a pure core has no business with, and impureTime
// the functions of package time.
var (
	impure = []string{
		"crypto/rand", "log", "log/slog", "math/rand", "net", "net/http", "os", "os/exec", "os/signal",
		"runtime", "sync", "sync/atomic", "syscall",
	}
	impureTime = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
)

// pureCores checks that the same input gives the same output: time and
// randomness come in as arguments.
func pureCores(c checked, report func(token.Pos, string)) {
	allowed, ok := pure[c.rel]
	if !ok {
		return
	}
	for _, f := range c.files {
		for _, imp := range f.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			if slices.Contains(impure, p) && allowed[p] == "" {
				report(imp.Pos(), "a pure core imports "+p)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				report(g.Pos(), "a pure core starts a goroutine")
			}
			return true
		})
	}
	for id, obj := range c.info.Uses {
		fn, ok := obj.(*types.Func)
		if !ok || fn.Pkg() == nil || fn.Signature().Recv() != nil {
			continue
		}
		switch p := fn.Pkg().Path(); {
		case p == "time" && slices.Contains(impureTime, fn.Name()):
			report(id.Pos(), "a pure core reads the clock: "+fn.FullName())
		case p == "math/rand/v2" && !strings.HasPrefix(fn.Name(), "New"):
			report(id.Pos(), "a pure core draws from the global generator: "+fn.FullName())
		}
	}
}

// noLogging refuses the log package, the default slog logger and the standard
// streams: what the library has to say it returns, or hands to a hook.
func noLogging(c checked, report func(token.Pos, string)) {
	if isKit(c.rel) {
		return
	}
	for id, obj := range c.info.Uses {
		if b, ok := obj.(*types.Builtin); ok && strings.HasPrefix(b.Name(), "print") {
			report(id.Pos(), "built-in "+b.Name())
			continue
		}
		if obj.Pkg() == nil || obj.Parent() != obj.Pkg().Scope() {
			continue
		}
		switch name := obj.Pkg().Path() + "." + obj.Name(); name {
		case "fmt.Print", "fmt.Printf", "fmt.Println", "os.Stdout", "os.Stderr",
			"log/slog.Debug", "log/slog.Info", "log/slog.Warn", "log/slog.Error", "log/slog.Log", "log/slog.Default":
			report(id.Pos(), name)
		default:
			if _, ok := obj.(*types.Func); ok && obj.Pkg().Path() == "log" {
				report(id.Pos(), name)
			}
		}
	}
}

// sleepers are the files that may sleep, each with the reason.
var sleepers = map[string]string{
	"clock/saver.go": "Now takes no context, and waits for a store that failed",
	"internal/bench/backpressure/idle_unix_test.go": "what is measured is the time in which nothing happens",
	"internal/bench/backpressure/latency_test.go":   "the pace at which items come is part of what is measured",
}

// TestNoSleep refuses time.Sleep outside a synctest bubble, in tests and in the
// library alike: what waits must be stoppable, and a test that waits for real is
// slow on a good day and flaky on a bad one.
func TestNoSleep(t *testing.T) {
	fset, files := sources(t)
	for _, s := range files {
		if moduleOf(s.path) != "." && !s.test {
			continue // a program may wait
		}
		found := sleeps(s.file)
		if sleepers[s.path] != "" {
			if len(found) == 0 {
				t.Errorf("%s sleeps no more: take it from the table", s.path)
			}
			continue
		}
		for _, p := range found {
			t.Errorf("%s: time.Sleep outside synctest.Test", fset.Position(p))
		}
	}
}

// sleeps finds the calls of time.Sleep that are not written inside a call of
// synctest.Test. A helper of a test file that has such calls is taken to be called
// from one.
func sleeps(f *ast.File) (found []token.Pos) {
	bubbles := false
	for _, imp := range f.Imports {
		bubbles = bubbles || imp.Path.Value == `"testing/synctest"`
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && bubbles && !isTestName.MatchString(fn.Name.Name) {
			continue
		}
		var end token.Pos // of the bubble that the walk is in
		ast.Inspect(d, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if isSelector(call.Fun, "synctest", "Test") {
					end = max(end, call.End())
				}
				if isSelector(call.Fun, "time", "Sleep") && call.Pos() >= end {
					found = append(found, call.Pos())
				}
			}
			return true
		})
	}
	return found
}

func isSelector(e ast.Expr, pkg, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	id, ok := sel.X.(*ast.Ident)
	return ok && id.Name == pkg
}

// TestNoSleepBites tells a sleep inside a bubble from one after it.
func TestNoSleepBites(t *testing.T) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "planted.go", `package p
import "testing/synctest"
func helper() { time.Sleep(0) }
func TestF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { time.Sleep(1) })
	time.Sleep(2)
}`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := sleeps(f); len(got) != 1 || fset.Position(got[0]).Line != 6 {
		t.Errorf("found %d sleeps, want the one on line 6", len(got))
	}
}

// unfinished and private are what no file may say. They are spelled in halves, so
// that this file does not say it either.
var (
	unfinished = regexp.MustCompile(`\b(` + "TO" + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b|not ` + `implemented|un` + `implemented`)
	private    = regexp.MustCompile(`(^|[^\w.*])/(wo` + `rk|ho` + `me/\w+|ro` + `ot|Us` + `ers/\w+)/|[A-Z]:\\Us` + `ers\\`)
)

// TestNothingLeftUndone reads every text file of the checkout for work put off
// and for paths of somebody's machine.
func TestNothingLeftUndone(t *testing.T) {
	root := checkoutRoot(t)
	for _, name := range textFiles(t, root) {
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			line = strings.ReplaceAll(line, "context.TO"+"DO", "")
			for _, re := range []*regexp.Regexp{unfinished, private} {
				if m := re.FindString(line); m != "" {
					t.Errorf("%s:%d: %q", name, i+1, m)
				}
			}
		}
	}
}
