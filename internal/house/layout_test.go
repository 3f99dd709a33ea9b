package house

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// topLevel is what the root of a checkout holds, besides names that begin with a
// dot. Nothing is added to it lightly.
var topLevel = []string{
	"CHANGELOG.md", "LICENSE", "README.md",
	"backpressure", "clock", "crdt", "doc.go", "examples", "go.mod", "go.sum", "internal", "lattice", "shard",
}

// TestTopLevel compares the root of the checkout with topLevel.
func TestTopLevel(t *testing.T) {
	root := checkoutRoot(t)
	var got []string
	for _, f := range checkoutFiles(t, root) {
		top, _, _ := strings.Cut(f, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(got, top) {
			got = append(got, top)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, topLevel) {
		t.Errorf("the top level holds %q, want %q", got, topLevel)
	}
}

// TestDocumentsHaveTheirPlace finds the pages where the README links them.
func TestDocumentsHaveTheirPlace(t *testing.T) {
	root := checkoutRoot(t)
	for _, f := range []string{
		".ci/run", ".github/CONTRIBUTING.md", ".github/SECURITY.md", ".github/workflows/ci.yml",
		"crdt/FORMAT.md", "internal/VERIFICATION.md",
	} {
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(f))); err != nil {
			t.Error(err)
		}
	}
}

// checkoutFiles lists the files of the checkout, slash-separated: those that git
// knows or would add, without what it ignores. Where git or its folder is missing
// every file counts.
func checkoutFiles(t testing.TB, root string) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return walkFiles(t, root)
	}
	var files []string
	for _, f := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(f))); err == nil {
			files = append(files, f)
		}
	}
	return files
}

func walkFiles(t testing.TB, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, p)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// textFiles are the files of the checkout that people read: no test data, no
// binary, no checksums.
func textFiles(t testing.TB, root string) []string {
	t.Helper()
	var text []string
	for _, f := range checkoutFiles(t, root) {
		if strings.Contains(f, "testdata/") || strings.HasSuffix(f, "go.sum") || f == "LICENSE" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f)))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(b, 0) < 0 {
			text = append(text, f)
		}
	}
	return text
}
