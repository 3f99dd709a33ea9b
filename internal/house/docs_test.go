package house

import (
	"fmt"
	"go/ast"
	"go/doc"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A documented package is one folder of the root module as go doc sees it.
type documented struct {
	rel      string
	files    []source
	comments map[string]string // file → its package comment
	doc      *doc.Package
}

var documentation = sync.OnceValues(func() (map[string]*documented, error) {
	tree, err := parseTree() // its own: go/doc takes from the files what it does not show
	if err != nil {
		return nil, err
	}
	pkgs := map[string]*documented{}
	for _, s := range tree.files {
		if moduleOf(s.path) == "." {
			d := s.dir()
			if pkgs[d] == nil {
				pkgs[d] = &documented{rel: d, comments: map[string]string{}}
			}
			pkgs[d].files = append(pkgs[d].files, s)
			pkgs[d].comments[s.path] = s.file.Doc.Text()
		}
	}
	for rel, p := range pkgs {
		var files []*ast.File
		for _, s := range p.files {
			files = append(files, s.file)
		}
		if p.doc, err = doc.NewFromFiles(tree.fset, files, modulePath+"/"+rel); err != nil {
			return nil, fmt.Errorf("%s: %w", rel, err)
		}
	}
	return pkgs, nil
})

// allDocs lists the packages of the root module in order.
func allDocs(t *testing.T) []*documented {
	t.Helper()
	pkgs, err := documentation()
	if err != nil {
		t.Fatal(err)
	}
	var out []*documented
	for _, rel := range slices.Sorted(maps.Keys(pkgs)) {
		out = append(out, pkgs[rel])
	}
	return out
}

// TestPackageDocs wants one package comment in each package. Where users import it,
// the comment is in doc.go, and it is a page, not a line.
func TestPackageDocs(t *testing.T) {
	for _, p := range allDocs(t) {
		var commented []string
		for _, s := range p.files {
			text := p.comments[s.path]
			if text == "" || s.test {
				continue
			}
			commented = append(commented, s.path)
			if !isInternal(p.rel) && (path.Base(s.path) != "doc.go" || strings.Count(text, "\n") < 10) {
				t.Errorf("%s: want a page of package comment, in doc.go", s.path)
			}
			if strings.Contains("\n"+text, "\n|") {
				t.Errorf("%s: go doc knows no tables; indent it", s.path)
			}
		}
		if len(commented) != 1 {
			t.Errorf("%s has package comments in %q, want one", p.rel, commented)
		}
	}
}

// TestExportedHaveDocs wants a comment on every exported constant, variable,
// function, type and method that go doc shows. A group of constants or variables
// may share one, and Error, the method of an error, needs none.
func TestExportedHaveDocs(t *testing.T) {
	for _, p := range allDocs(t) {
		missing := func(kind, name, text string) {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s %s has no comment", p.rel, kind, name)
			}
		}
		values := func(vs []*doc.Value) {
			for _, v := range vs {
				for _, spec := range v.Decl.Specs {
					s := spec.(*ast.ValueSpec)
					for _, n := range s.Names {
						if n.IsExported() {
							missing(v.Decl.Tok.String(), n.Name, v.Doc+s.Doc.Text()+s.Comment.Text())
						}
					}
				}
			}
		}
		values(p.doc.Consts)
		values(p.doc.Vars)
		for _, f := range p.doc.Funcs {
			missing("func", f.Name, f.Doc)
		}
		for _, typ := range p.doc.Types {
			if !ast.IsExported(typ.Name) {
				continue
			}
			missing("type", typ.Name, typ.Doc)
			values(typ.Consts)
			values(typ.Vars)
			for _, f := range typ.Funcs {
				missing("func", f.Name, f.Doc)
			}
			for _, m := range typ.Methods {
				if m.Name == "Error" {
					continue
				}
				missing("method", typ.Name+"."+m.Name, m.Doc)
			}
		}
	}
}

// TestExportedTypesHaveExamples wants, in each package that users import, a
// runnable example for every exported type: its own, a constructor's or a
// method's, or for a type that is only ever met through another one (an option,
// an error, a report) an example whose text names it or a method that returns it, or
// an example of the struct that it is a part of. An interface or an alias is shown by
// what stands for it. A kit's examples need a *testing.T, so they are compiled and not
// run.
func TestExportedTypesHaveExamples(t *testing.T) {
	for _, p := range allDocs(t) {
		if isInternal(p.rel) || p.rel == "." {
			continue
		}
		shown := map[string]bool{}
		runnable := func(exs []*doc.Example) bool {
			return slices.ContainsFunc(exs, func(e *doc.Example) bool { return isKit(p.rel) || e.Output != "" || e.EmptyOutput })
		}
		all := p.doc.Examples
		for _, f := range p.doc.Funcs {
			all = append(all, f.Examples...)
		}
		for _, typ := range p.doc.Types {
			own := slices.Clone(typ.Examples)
			for _, f := range slices.Concat(typ.Funcs, typ.Methods) {
				own = append(own, f.Examples...)
			}
			shown[typ.Name] = runnable(own)
			all = append(all, own...)
		}
		all = slices.DeleteFunc(all, func(e *doc.Example) bool { return !runnable([]*doc.Example{e}) })
		for _, name := range namedIn(p, all) {
			shown[name] = true
		}
		for range p.doc.Types { // as often as parts can have parts
			for _, typ := range p.doc.Types {
				spec := typ.Decl.Specs[0].(*ast.TypeSpec)
				if _, ok := spec.Type.(*ast.InterfaceType); ok || spec.Assign.IsValid() {
					shown[typ.Name] = true
				}
				for _, f := range fields(spec.Type) {
					ast.Inspect(f.Type, func(n ast.Node) bool {
						if id, ok := n.(*ast.Ident); ok && shown[typ.Name] {
							shown[id.Name] = true
						}
						return true
					})
				}
			}
		}
		for _, typ := range p.doc.Types {
			if ast.IsExported(typ.Name) && !shown[typ.Name] {
				t.Errorf("%s.%s has no runnable example", p.rel, typ.Name)
			}
		}
	}
}

// namedIn lists the types that the examples name, or get from a function or
// method that they name.
func namedIn(p *documented, examples []*doc.Example) (names []string) {
	used := map[string]bool{}
	for _, e := range examples {
		ast.Inspect(e.Code, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				used[id.Name] = true
			}
			return true
		})
	}
	returned := func(f *doc.Func) {
		if !used[f.Name] || f.Decl.Type.Results == nil {
			return
		}
		ast.Inspect(f.Decl.Type.Results, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				names = append(names, id.Name)
			}
			return true
		})
	}
	for _, f := range p.doc.Funcs {
		returned(f)
	}
	for _, typ := range p.doc.Types {
		if used[typ.Name] {
			names = append(names, typ.Name)
		}
		for _, f := range slices.Concat(typ.Funcs, typ.Methods) {
			returned(f)
		}
	}
	return names
}

// TestDecodersAreFuzzed wants a fuzz target in every package that decodes bytes
// from outside, with a committed corpus for each target.
func TestDecodersAreFuzzed(t *testing.T) {
	root := moduleRoot(t)
	for _, p := range allDocs(t) {
		targets, decodes := 0, ""
		for _, s := range p.files {
			for _, d := range s.file.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				name := fn.Name.Name
				switch {
				case s.test && fn.Recv == nil && strings.HasPrefix(name, "Fuzz"):
					targets++
					seeds, _ := os.ReadDir(filepath.Join(root, filepath.FromSlash(p.rel), "testdata", "fuzz", name))
					if len(seeds) == 0 {
						t.Errorf("%s: %s has no committed corpus", s.path, name)
					}
				case !s.test && (name == "UnmarshalBinary" || name == "UnmarshalText" || name == "UnmarshalJSON" || strings.HasPrefix(name, "Parse") && fn.Recv == nil):
					decodes = name
				}
			}
		}
		if decodes != "" && targets == 0 && !isKit(p.rel) {
			t.Errorf("%s has %s and no fuzz target", p.rel, decodes)
		}
	}
}
