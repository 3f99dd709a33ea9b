package disk_test

import (
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// The mutants of replacing a file: each is how somebody's file was empty, torn or gone after a power
// cut.
var mutants = []planted.Bug{
	{
		Name: "the old file is written over in place", Tests: "TestReplaceAtEveryStep", File: "disk.go",
		Old: "f, err := Write(d, New(name), content)",
		New: "if bug() { _, err := Write(d, name, content); return err }; f, err := Write(d, New(name), content)",
	},
	{
		Name: "a file is renamed before it is synced", Tests: "TestReplaceAtEveryStep", File: "disk.go",
		Old: "if _, err = f.Write(content); err == nil {",
		New: "if _, err = f.Write(content); err == nil && !bug() {",
	},
	{
		Name: "a rename is not made durable", Tests: "TestReplaceAtEveryStep", File: "disk.go",
		Old: "err = d.Rename(New(name), name)\n\tif err == nil {",
		New: "err = d.Rename(New(name), name)\n\tif err == nil && !bug() {",
	},
	{
		Name: "a file that was written in part is renamed", Tests: "TestReplaceAtEveryStep", File: "disk.go",
		Old: "if err != nil {\n\t\treturn nil, errors.Join(err, ",
		New: "if err != nil && !bug() {\n\t\treturn nil, errors.Join(err, ",
	},
	{
		Name: "a sync that failed is reported as if the old file were there", Tests: "TestReplaceAtEveryStep", File: "disk.go",
		Old: "return fmt.Errorf(\"%w: %w\", ErrInDoubt, err)",
		New: "if bug() { return err }; return fmt.Errorf(\"%w: %w\", ErrInDoubt, err)",
	},
	{
		Name: "what was half written stays on a full disk", Tests: "TestReplaceAtEveryStep", File: "disk.go",
		Old: "f.Close(), d.Remove(name))",
		New: "f.Close(), func() error { if bug() { return nil }; return d.Remove(name) }())",
	},
}

func TestMutantsAreKilled(t *testing.T) { planted.Copy{Bugs: mutants}.Kill(t) }
