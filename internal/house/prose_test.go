package house

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/format"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// pages lists the Markdown files of the checkout.
func pages(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range textFiles(t, root) {
		if strings.HasSuffix(f, ".md") {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f)))
			if err != nil {
				t.Fatal(err)
			}
			out[f] = string(b)
		}
	}
	return out
}

var fence = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// TestReadmeProgram builds the first Go block of the README as a program of this
// module, runs it, and compares what it prints with the text block that follows.
func TestReadmeProgram(t *testing.T) {
	root := checkoutRoot(t)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var program, want string
	for _, m := range fence.FindAllStringSubmatch(string(readme), -1) {
		if program == "" && m[1] == "go" {
			program = m[2]
		} else if program != "" && m[1] == "text" {
			want = m[2]
			break
		}
	}
	if n := len(regexp.MustCompile(`(?m)^.*\S`).FindAllString(program, -1)); n > 15 {
		t.Errorf("the README's program has %d lines, 15 are meant", n)
	}
	if f, err := format.Source([]byte(program)); err != nil || string(f) != program {
		t.Errorf("the README's program is not in gofmt's form; it is (%v)\n%s", err, f)
	}
	if program == "" || want == "" {
		t.Fatal("the README has no Go block followed by a text block")
	}
	// The program takes its place in the module through an overlay, so nothing is
	// written into the checkout.
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(root, "internal", "readme", "main.go"): file,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "-overlay", filepath.Join(dir, "overlay.json"), "./internal/readme")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if string(got) != want {
		t.Errorf("the README's program prints\n%s\nand the README says\n%s", got, want)
	}
}

// TestReadmeCommands wants exactly the two commands of a fresh machine in the
// README's first shell block.
func TestReadmeCommands(t *testing.T) {
	root := checkoutRoot(t)
	for _, m := range fence.FindAllStringSubmatch(pages(t, root)["README.md"], -1) {
		if m[1] == "sh" {
			if want := "go -C examples run ./traffic\ngo test ./...\n"; m[2] != want {
				t.Errorf("the README's first shell block is\n%swant\n%s", m[2], want)
			}
			return
		}
	}
	t.Error("the README has no shell block")
}

// TestReadmeFlags finds each flag that a shell block of the README gives to traffic.
func TestReadmeFlags(t *testing.T) {
	root := checkoutRoot(t)
	known := map[string]bool{}
	_, files := sources(t)
	for _, s := range files {
		if s.dir() != "examples/traffic" || s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			// f.StringVar(&v, "name", …)
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if lit, isLit := call.Args[1].(*ast.BasicLit); ok && isLit && strings.HasSuffix(sel.Sel.Name, "Var") {
				known["-"+strings.Trim(lit.Value, `"`)] = true
			}
			return true
		})
	}
	for _, m := range fence.FindAllStringSubmatch(pages(t, root)["README.md"], -1) {
		for line := range strings.Lines(m[2]) {
			_, args, ok := strings.Cut(line, "traffic ")
			if m[1] != "sh" || !ok {
				continue
			}
			for _, arg := range strings.Fields(args) {
				if strings.HasPrefix(arg, "-") && arg != "-" && !known[arg] {
					t.Errorf("traffic has no flag %s", arg)
				}
			}
		}
	}
}

// isTestName matches what go test runs; TestPagesNameTests looks those up.
var isTestName = regexp.MustCompile(`^(Test|Fuzz|Benchmark|Example)([A-Z_]|$)`)

// TestPagesNameTests finds every test, fuzz target, benchmark and example that a
// page names in a code span: `TestX` anywhere in the checkout, or `crdt.TestX` in
// that package.
func TestPagesNameTests(t *testing.T) {
	root := checkoutRoot(t)
	_, files := sources(t)
	known := map[string]bool{}
	for _, s := range files {
		for _, d := range s.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && s.test && fn.Recv == nil {
				known[fn.Name.Name] = true
				known[s.dir()+"."+fn.Name.Name] = true
				known[path.Base(s.dir())+"."+fn.Name.Name] = true
			}
		}
	}
	span := regexp.MustCompile("`((?:[\\w/]+\\.)?(?:Test|Fuzz|Benchmark|Example)[A-Z_]\\w*)(?:/[^`]*)?`")
	for name, text := range pages(t, root) {
		for _, m := range span.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
	}
}

// TestPagesNameSymbols finds every exported symbol that a page names in a code
// span as package.Symbol or package.Type.Method.
func TestPagesNameSymbols(t *testing.T) {
	root := checkoutRoot(t)
	known := symbols(t)
	span := regexp.MustCompile("`[*&]?(\\w+)\\.([A-Z]\\w*(?:\\.[A-Z]\\w*)?)[^`]*`")
	for name, text := range pages(t, root) {
		for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if known[m[1]] && !known[m[1]+"."+m[2]] && !isTestName.MatchString(m[2]) {
				t.Errorf("%s names %s.%s, which is not there", name, m[1], m[2])
			}
		}
	}
	// The map of the library is a page too, without code spans.
	doc, err := os.ReadFile(filepath.Join(root, "doc.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(\w+)\.([A-Z]\w*)`).FindAllStringSubmatch(string(doc), -1) {
		if !known[m[1]+"."+m[2]] {
			t.Errorf("doc.go names %s, which is not there", m[0])
		}
	}
}

// TestDocLinks finds what the comments of a package put in brackets: [Name],
// [Type.Method], and [package.Name] of this module. Where it is missing, go doc shows
// the brackets, and the reader looks for what was never built.
func TestDocLinks(t *testing.T) {
	known := symbols(t)
	link := regexp.MustCompile(`(?:^|[^\w\])])\[\*?(?:(\w+)\.)??([A-Z]\w*(?:\.[A-Z]\w*)?)\]`)
	_, files := sources(t)
	for _, s := range files {
		if moduleOf(s.path) != "." || s.test {
			continue
		}
		own := path.Base(s.dir())
		for _, text := range docComments(s.file) {
			for _, m := range link.FindAllStringSubmatch(text, -1) {
				pkg, name := m[1], m[2]
				if pkg == "" {
					pkg = own
				}
				if known[pkg] && !known[pkg+"."+name] {
					t.Errorf("%s links [%s], which is not there", s.path, strings.TrimPrefix(pkg+"."+name, own+"."))
				}
			}
		}
	}
}

// TestDocTables finds what the tables of a package comment name in their last column, from
// the line that ends in "use" or asks "Which type do I want?" on: go doc makes no links of
// them, so nothing else tells that a name is gone.
func TestDocTables(t *testing.T) {
	known := symbols(t)
	name := regexp.MustCompile(`\b[A-Z]\w*(?:\.[A-Z]\w*)?`)
	rows := 0
	_, files := sources(t)
	for _, s := range files {
		if moduleOf(s.path) != "." || path.Base(s.path) != "doc.go" || s.path == "doc.go" {
			continue
		}
		own, table := path.Base(s.dir()), false
		for line := range strings.Lines(s.file.Doc.Text()) {
			line = strings.TrimRight(line, "\n")
			switch row := strings.HasPrefix(line, "\t"); {
			case strings.HasPrefix(line, "# Which") || row && strings.HasSuffix(line, " use"):
				table = true
			case line != "" && !row:
				table = false
			case row && table:
				cell := line[strings.LastIndex(line, "  ")+1:]
				for _, n := range name.FindAllString(cell, -1) {
					rows++
					if !known[own+"."+n] {
						t.Errorf("%s names %s in a table, which is not there", s.path, n)
					}
				}
			}
		}
	}
	if rows < 100 {
		t.Errorf("the tables of the packages name %d symbols; there are some hundred and fifty", rows)
	}
}

// docComments are the comments that go doc shows, of exported names or not, without
// the lines that are code.
func docComments(f *ast.File) (texts []string) {
	add := func(g *ast.CommentGroup) {
		var prose []string
		for line := range strings.Lines(g.Text()) {
			if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, "    ") {
				prose = append(prose, line)
			}
		}
		texts = append(texts, strings.Join(prose, ""))
	}
	add(f.Doc)
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			add(d.Doc)
		case *ast.GenDecl:
			add(d.Doc)
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Doc)
				case *ast.ValueSpec:
					add(spec.Doc)
				}
			}
		}
	}
	return texts
}

// symbols holds the name of each package of the root module, and package.Symbol,
// package.Type.Method and package.Type.Field for all that it declares or, from a
// struct it embeds, promotes.
func symbols(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	embeds := map[string][]string{} // type → embedded types of its package
	_, files := sources(t)
	for _, s := range files {
		if moduleOf(s.path) != "." || s.test {
			continue
		}
		base := path.Base(s.dir())
		known[base] = true
		add := func(parts ...string) { known[base+"."+strings.Join(parts, ".")] = true }
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(d.Name.Name)
				} else {
					add(typeName(d.Recv.List[0].Type), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						add(spec.Name.Name)
						for _, f := range fields(spec.Type) {
							for _, id := range f.Names {
								add(spec.Name.Name, id.Name)
							}
							if len(f.Names) == 0 {
								full := base + "." + spec.Name.Name
								embeds[full] = append(embeds[full], base+"."+typeName(f.Type))
							}
						}
					case *ast.ValueSpec:
						for _, id := range spec.Names {
							add(id.Name)
						}
					}
				}
			}
		}
	}
	for outer, inner := range embeds {
		for name := range maps.Clone(known) {
			for _, e := range inner {
				if rest, ok := strings.CutPrefix(name, e+"."); ok {
					known[outer+"."+rest] = true
				}
			}
		}
	}
	return known
}

// fields are those of a struct, or the methods of an interface.
func fields(e ast.Expr) []*ast.Field {
	switch x := e.(type) {
	case *ast.StructType:
		return x.Fields.List
	case *ast.InterfaceType:
		return x.Methods.List
	}
	return nil
}

// typeName is T in T, *T, T[A] and *T[A, B].
func typeName(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.SelectorExpr:
			return x.Sel.Name
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// TestPagesLink follows every relative link of every page.
func TestPagesLink(t *testing.T) {
	root := checkoutRoot(t)
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	for name, text := range pages(t, root) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			to := path.Join(path.Dir(name), m[1])
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
				t.Errorf("%s links %s, which is not there", name, m[1])
			}
		}
	}
}

// TestMutantsAreListed compares the tables of VERIFICATION.md with the bugs that the
// tests plant: constants of a type named bug, and what a table of a type named mutant,
// or with a field named bug, spells out.
func TestMutantsAreListed(t *testing.T) {
	root := checkoutRoot(t)
	planted := map[string]bool{}
	add := func(e ast.Expr) {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			e = pair.Value
		}
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && s != "" {
				planted[s] = true
			}
		}
	}
	_, files := sources(t)
	for _, s := range files {
		if moduleOf(s.path) != "." || !s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "bug" {
					for _, v := range n.Values {
						add(v)
					}
				}
			case *ast.CompositeLit:
				if list, ok := n.Type.(*ast.ArrayType); ok && isMutant(list.Elt) {
					for _, e := range n.Elts {
						if c, ok := e.(*ast.CompositeLit); ok && len(c.Elts) > 0 {
							add(c.Elts[0])
						}
					}
				}
			}
			return true
		})
	}
	_, section, ok := strings.Cut(pages(t, root)["internal/VERIFICATION.md"], "\n## The mutants\n")
	if !ok {
		t.Fatal("VERIFICATION.md has no section of mutants")
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (.+?) \|`).FindAllStringSubmatch(section, -1) {
		if m[1] != "mutant" {
			listed[m[1]] = true
		}
	}
	for name := range planted {
		if !listed[name] {
			t.Errorf("VERIFICATION.md does not list the mutant %q", name)
		}
	}
	for name := range listed {
		if !planted[name] {
			t.Errorf("VERIFICATION.md lists the mutant %q, which no test plants", name)
		}
	}
}

func isMutant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "mutant"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Bug"
	}
	f := fields(e)
	return len(f) > 0 && len(f[0].Names) > 0 && f[0].Names[0].Name == "bug"
}
