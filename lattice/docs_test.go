package lattice_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// packageDoc is the documentation of this package as go doc shows it.
func packageDoc(t *testing.T) *doc.Package {
	t.Helper()
	names, err := os.ReadDir(".")
	require.NoError(t, err)
	var files []*ast.File
	fset := token.NewFileSet()
	for _, n := range names {
		if strings.HasSuffix(n.Name(), ".go") && !strings.HasSuffix(n.Name(), "_test.go") {
			f, err := parser.ParseFile(fset, n.Name(), nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, f)
		}
	}
	p, err := doc.NewFromFiles(fset, files, "github.com/go-calm/calm/lattice")
	require.NoError(t, err)
	return p
}

// isLattice reports whether a type has the methods of one.
func isLattice(t *doc.Type) bool {
	return slices.ContainsFunc(t.Methods, func(m *doc.Func) bool { return m.Name == "Join" })
}

// Whoever acts on what a method says has to know whether more merging may revoke it.
func TestEachReadSaysWhetherItIsMonotone(t *testing.T) {
	// What grows, copies, compares or writes down a state is no read.
	other := []string{
		"Add", "AddHash", "AddString", "AddUint64", "AppendBinary", "Append", "Clone", "Decompose", "Delta", "Grow",
		"Handle", "Is", "Join", "LessEq", "LogValue", "MarshalBinary", "MarshalJSON", "Merge", "MergeEntries", "Put",
		"Remove", "String", "Union", "UnmarshalBinary", "UnmarshalJSON",
	}
	said := regexp.MustCompile(`monotone|snapshot|\[Bloom\.Has\]`)
	reads := 0
	for _, typ := range packageDoc(t).Types {
		if typ.Name != "Cell" && !isLattice(typ) {
			continue
		}
		for _, m := range typ.Methods {
			if slices.Contains(other, m.Name) {
				continue
			}
			reads++
			if !said.MatchString(m.Doc) {
				t.Errorf("%s.%s is neither called monotone nor a snapshot", typ.Name, m.Name)
			}
		}
	}
	t.Logf("%d reads", reads)
}

// The package comment's table leads to every type, and the types say what they are made of.
func TestEachLatticeIsInTheTable(t *testing.T) {
	p := packageDoc(t)
	_, table, ok := strings.Cut(p.Doc, "# Which lattice do I want?")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "# Reads")
	words := regexp.MustCompile(`\w+`).FindAllString(table, -1)
	for _, typ := range p.Types {
		if isLattice(typ) {
			require.Contains(t, words, typ.Name)
			require.Contains(t, strings.ReplaceAll(typ.Doc, "\n", " "), "zero value", "what %s is when nothing was put in", typ.Name)
		}
	}
}
