package house

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
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
	known, tops := map[string]bool{}, map[string]bool{}
	for _, p := range allDocs(t) {
		base := path.Base(p.rel)
		tops[base] = true
		for _, s := range p.files {
			for _, d := range s.file.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					name := d.Name.Name
					if d.Recv != nil {
						name = receiver(d.Recv.List[0].Type) + "." + name
					}
					known[base+"."+name] = true
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						switch spec := spec.(type) {
						case *ast.TypeSpec:
							known[base+"."+spec.Name.Name] = true
							ast.Inspect(spec.Type, func(n ast.Node) bool {
								if f, ok := n.(*ast.Field); ok {
									for _, id := range f.Names {
										known[base+"."+spec.Name.Name+"."+id.Name] = true
									}
								}
								return true
							})
						case *ast.ValueSpec:
							for _, id := range spec.Names {
								known[base+"."+id.Name] = true
							}
						}
					}
				}
			}
		}
	}
	span := regexp.MustCompile("`[*&]?(\\w+)\\.([A-Z]\\w*(?:\\.\\w+)?)[^`]*`")
	for name, text := range pages(t, root) {
		for _, m := range span.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			if tops[m[1]] && !known[m[1]+"."+m[2]] {
				t.Errorf("%s names %s.%s, which is not there", name, m[1], m[2])
			}
		}
	}
}

func receiver(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
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
