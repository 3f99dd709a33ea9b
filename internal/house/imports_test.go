package house

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// requirements are the modules that the root go.mod requires directly: exactly
// these, so that a user's go.sum stays short.
var requirements = []string{
	"github.com/anishathalye/porcupine",
	"github.com/stretchr/testify",
	"golang.org/x/sync",
	"pgregory.net/rapid",
}

// A floor says where a package stands and what of the module it may import
// besides internal packages, which are on the ground for everyone. Imports only
// go down, and packages on one floor are strangers, so that a program which
// imports shard compiles no CRDT.
type floor struct {
	level int
	below []string
}

// floors holds every importable package of the root module. A new package must
// be given its place here.
var floors = map[string]floor{
	".":                    {0, nil},
	"clock":                {0, nil},
	"lattice":              {0, nil},
	"shard":                {0, nil},
	"backpressure":         {0, nil},
	"clock/clockhttp":      {1, []string{"clock"}},
	"crdt":                 {1, []string{"clock", "lattice"}},
	"lattice/latticetest":  {1, []string{"lattice"}},
	"backpressure/loadsim": {1, []string{"backpressure"}},
	"crdt/journal":         {2, []string{"crdt", "clock", "lattice"}},
	"crdt/antientropy":     {2, []string{"crdt", "clock", "lattice"}},
	"shard/entity":         {2, []string{"shard", "backpressure"}},
	"crdt/crdttest":        {3, []string{"crdt", "crdt/antientropy", "crdt/journal", "clock", "lattice", "lattice/latticetest"}},
}

// platforms are listed one by one: a file for one system may import what the
// files for the others do not.
var platforms = []struct{ goos, goarch string }{
	{"linux", "amd64"}, {"linux", "386"}, {"windows", "amd64"}, {"darwin", "arm64"},
}

func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func inModule(importPath, module string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// TestFloorsGoDown checks the table itself: nothing imports its own floor or a
// higher one.
func TestFloorsGoDown(t *testing.T) {
	for name, f := range floors {
		for _, below := range f.below {
			g, ok := floors[below]
			if !ok {
				t.Errorf("%s may import %s, which has no floor", name, below)
			} else if g.level >= f.level {
				t.Errorf("%s on floor %d may import %s on floor %d", name, f.level, below, g.level)
			}
		}
	}
}

// TestFloors reads what `go list -deps` says of each platform and refuses every
// import that is not on a lower floor, and every module but the standard library
// and golang.org/x/sync outside the kits.
func TestFloors(t *testing.T) {
	for _, pl := range platforms {
		t.Run(pl.goos+"/"+pl.goarch, func(t *testing.T) {
			t.Parallel()
			env := []string{"GOOS=" + pl.goos, "GOARCH=" + pl.goarch, "CGO_ENABLED=0"}
			list, err := goList(env, "-deps", "./...")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				if inModule(p.ImportPath, modulePath) {
					checkImports(t, p)
				}
			}
		})
	}
}

func checkImports(t *testing.T, p *listed) {
	rel := p.rel()
	if _, ok := floors[rel]; !ok && !isInternal(rel) {
		t.Errorf("%s has no floor: give it one in the table", rel)
		return
	}
	for _, imp := range p.Imports {
		if !mayImport(rel, imp) {
			t.Errorf("%s imports %s", rel, imp)
		}
	}
	// What it compiles, however far down: the same rule again, now against a
	// kit or a heavier module that slipped in through an internal package.
	if isKit(rel) {
		return
	}
	for _, dep := range p.Deps {
		r := relPath(dep)
		switch {
		case isStandard(dep), strings.HasPrefix(dep, "vendor/"), inModule(dep, "golang.org/x/sync"):
		case r == "":
			t.Errorf("%s compiles %s", rel, dep)
		case isKit(r):
			t.Errorf("%s compiles the test kit %s", rel, r)
		case !isInternal(r) && !isInternal(rel) && !slices.Contains(floors[rel].below, r):
			t.Errorf("%s compiles %s", rel, r)
		}
	}
}

// mayImport says whether the non-test files of package rel may import imp.
func mayImport(rel, imp string) bool {
	switch r := relPath(imp); {
	case imp == "unsafe" || imp == "C":
		return false
	case isStandard(imp):
		return true
	case r == "":
		return inModule(imp, "golang.org/x/sync") || isKit(rel) && isRequired(imp)
	case isKit(r) && !isKit(rel):
		return false
	case isInternal(r):
		return true
	default:
		return slices.Contains(floors[rel].below, r)
	}
}

func isRequired(imp string) bool {
	return slices.ContainsFunc(requirements, func(m string) bool { return inModule(imp, m) })
}

// TestTestImports holds the tests to the same floors. They may use the kits and
// the required modules besides, and what a kit built for the package stands on.
func TestTestImports(t *testing.T) {
	list, err := goList(nil, "./...")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		rel := p.rel()
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			r := relPath(imp)
			switch {
			case isStandard(imp), isRequired(imp), r == rel, r != "" && isKit(r), mayImport(rel, imp):
			case r != "" && slices.Contains(floors[kitOf(rel)].below, r):
			default:
				t.Errorf("the tests of %s import %s", rel, imp)
			}
		}
	}
}

// kitOf names the kit that tests what stands under a top package: crdt/crdttest
// for crdt and crdt/antientropy.
func kitOf(rel string) string {
	top, _, _ := strings.Cut(rel, "/")
	return top + "/" + top + "test"
}

// TestRequirements compares the root go.mod with the four modules it may
// require directly.
func TestRequirements(t *testing.T) {
	var mod struct {
		Module  struct{ Path string }
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace, Exclude []struct{}
		Tool             []struct{ Path string }
	}
	out, err := goCommand(nil, "mod", "edit", "-json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	slices.Sort(direct)
	if !slices.Equal(direct, requirements) {
		t.Errorf("go.mod requires directly %q, want %q", direct, requirements)
	}
	if mod.Module.Path != modulePath || len(mod.Replace) > 0 || len(mod.Exclude) > 0 || len(mod.Tool) > 0 {
		t.Errorf("go.mod holds a replace, exclude or tool directive, which no user inherits: %+v", mod)
	}
}

// TestNestedModulesAreListed finds each go.mod below the root and compares with
// the table that the other rules use.
func TestNestedModulesAreListed(t *testing.T) {
	root := checkoutRoot(t)
	out, err := exec.Command("git", "-C", root, "ls-files", "*/go.mod").Output()
	if err != nil {
		t.Skipf("git is needed to tell files of the checkout from others: %v", err)
	}
	var found []string
	for _, f := range strings.Fields(string(out)) {
		if !strings.Contains(f, "testdata/") {
			found = append(found, strings.TrimSuffix(f, "/go.mod"))
		}
	}
	slices.Sort(found)
	if !slices.Equal(found, nested) {
		t.Errorf("nested modules %q, want %q", found, nested)
	}
}

// TestFloorsBite plants imports and asks whether the rule allows them.
func TestFloorsBite(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"clock", "time", true},
		{"clock", modulePath + "/internal/wire", true},
		{"clock", "golang.org/x/sync/errgroup", true},
		{"clock", "golang.org/x/sync2", false},
		{"clock", "unsafe", false},
		{"clock", "pgregory.net/rapid", false},
		{"clock", "github.com/google/uuid", false},
		{"clock", modulePath + "/lattice", false},
		{"clock", modulePath + "/internal/lincheck", false},
		{"shard", modulePath + "/crdt", false},
		{"crdt", modulePath + "/clock", true},
		{"crdt", modulePath + "/shard", false},
		{"crdt", modulePath + "/crdt/antientropy", false},
		{"crdt", modulePath + "/crdt/crdttest", false},
		{"crdt/antientropy", modulePath + "/crdt", true},
		{"crdt/crdttest", modulePath + "/crdt/antientropy", true},
		{"crdt/crdttest", "pgregory.net/rapid", true},
		{"crdt/crdttest", "github.com/google/uuid", false},
		{"internal/wire", modulePath + "/clock", false},
		{"internal/lincheck", "github.com/anishathalye/porcupine", true},
	} {
		if got := mayImport(c.from, c.to); got != c.want {
			t.Errorf("%s imports %s: allowed %t, want %t", c.from, c.to, got, c.want)
		}
	}
}

// TestImportTestUsesEachPackage reads the program and the test that CI builds as a
// user's, and wants an import of every package that a user can import.
func TestImportTestUsesEachPackage(t *testing.T) {
	root := checkoutRoot(t)
	used := map[string]bool{}
	for _, name := range []string{"user.go.txt", "user_test.go.txt"} {
		file := filepath.Join(root, "internal", "tools", "cmd", "importtest", "testdata", name)
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			p, _ := strconv.Unquote(imp.Path.Value)
			used[relPath(p)] = true
		}
	}
	list, err := goList(nil, "./...")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if rel := p.rel(); rel != "." && !isInternal(rel) && !used[rel] {
			t.Errorf("the import test does not import %s", rel)
		}
	}
}
