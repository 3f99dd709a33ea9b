package journal

import (
	"testing"

	"github.com/go-calm/calm/internal/planted"
)

// The mutants of a journal: how logs and snapshots lose what was acknowledged, or make something up.
var mutants = []planted.Bug{
	{
		Name: "a change counts before it is synced", Tests: "TestCrashAtEveryByte", File: "journal.go",
		Old: "if local {",
		New: "if local && !bug() {",
	},
	{
		Name: "a snapshot counts on a log whose name may be lost", Tests: "TestCrashAtEveryByte", File: "journal.go",
		Old: "if err = j.dir.Sync(); err == nil {\n\t\terr = disk.Replace",
		New: "if !bug() { err = j.dir.Sync() }\n\tif err == nil {\n\t\terr = disk.Replace",
	},
	{
		Name: "a torn record is not cut off", Tests: "TestCrashAtEveryByte", File: "journal.go",
		Old: "if j.stats.Cut > 0 {",
		New: "if j.stats.Cut > 0 && !bug() {",
	},
	{
		Name: "what a crash left in memory is taken for synced", Tests: "TestCrashAfterACrash", File: "journal.go",
		Old: "if err := j.log.Sync(); err != nil {\n\t\treturn errors.Join(err, j.log.Close())",
		New: "if bug() {\n\t} else if err := j.log.Sync(); err != nil {\n\t\treturn errors.Join(err, j.log.Close())",
	},
	{
		Name: "what a full disk took of a record stays in the log", Tests: "TestFullDiskAtEveryByte", File: "journal.go",
		Old: "if cut := j.log.Truncate(j.stats.Log); cut != nil {",
		New: "if bug() { return errors.Join(err) }; if cut := j.log.Truncate(j.stats.Log); cut != nil {",
	},
	{
		Name: "a change that was not written is in the store", Tests: "TestFullDiskAtEveryByte", File: "journal.go",
		Old: "return fmt.Errorf(\"journal: append: %w\", err)",
		New: "if bug() { return nil }; return fmt.Errorf(\"journal: append: %w\", err)",
	},
	{
		Name: "a sync that failed is tried again", Tests: "TestBrokenLogIsMendedByASnapshot", File: "journal.go",
		Old: "proves nothing.\n\t\tj.fail(err)",
		New: "proves nothing.\n\t\tif !bug() { j.fail(err) }",
	},
	{
		Name: "the old log goes on while a snapshot is in doubt", Tests: "TestFullDiskAtEveryByte", File: "journal.go",
		Old: "if errors.Is(err, disk.ErrInDoubt) {",
		New: "if errors.Is(err, disk.ErrInDoubt) && !bug() {",
	},
	{
		Name: "the checksum of a record is not checked", Tests: "TestDamageIsNoticed", File: "format.go",
		Old: "sum(delta) == binary.BigEndian.Uint32(b[16:])",
		New: "(sum(delta) == binary.BigEndian.Uint32(b[16:]) || bug())",
	},
	{
		Name: "the checksum of a snapshot is not checked", Tests: "TestDamageIsNoticed", File: "format.go",
		Old: "rest) != total:",
		New: "rest) != total && !bug():",
	},
	{
		Name: "damage to what was synced is taken for a torn record", Tests: "TestDamageIsNoticed", File: "format.go",
		Old: "if at, ok := syncedAfter(rest, uint64(good)); ok {",
		New: "if at, ok := syncedAfter(rest, uint64(good)); ok && !bug() {",
	},
	{
		Name: "reading goes on behind a record that is damaged", Tests: "TestDamageIsNoticed", File: "format.go",
		Old: "raw, _, ok := readRecord(rest)\n",
		New: "raw, _, ok := readRecord(rest)\n\t\tfor bug() && !ok && len(rest) > recordLen { rest = rest[1:]; good++; raw, _, ok = readRecord(rest) }\n",
	},
	{
		Name: "a log is read beside another one's snapshot", Tests: "TestDamageIsNoticed", File: "journal.go",
		Old: "if h != j.head {",
		New: "if h != j.head && !bug() {",
	},
	{
		Name: "a lost snapshot is taken for an empty directory", Tests: "TestDamageIsNoticed", File: "journal.go",
		Old: "err == nil && len(b) > headLen {",
		New: "err == nil && len(b) > headLen && !bug() {",
	},
	{
		Name: "a directory that is in use is opened", Tests: "TestADirectoryIsOpenOnce", File: "journal.go",
		Old: "case errors.Is(err, disk.ErrLocked):",
		New: "case bug(): lock = io.NopCloser(nil)\n\tcase errors.Is(err, disk.ErrLocked):",
	},
	{
		Name: "a directory is not given back", Tests: "TestADirectoryIsOpenOnce", File: "journal.go",
		Old: "if j.lock != nil {",
		New: "if j.lock != nil && !bug() {",
	},
	{
		Name: "a fresh name is forgotten at the next start", Tests: "TestFreshNameForACopy", File: "journal.go",
		Old: "err = j.begin(whole)",
		New: "if !bug() { err = j.begin(whole) }",
	},
}

func TestMutantsAreKilled(t *testing.T) { planted.Copy{Bugs: mutants}.Kill(t) }
