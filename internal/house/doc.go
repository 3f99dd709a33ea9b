// Package house holds the rules that the whole module keeps. It has no code of
// its own, only tests, so that `go test ./...` says which rule was broken and
// where:
//
//	imports   who may import whom: the floors, and the four requirements
//	source    what no file may contain: init, unsafe, linkname, mutable globals,
//	          clocks and goroutines in pure cores, tests that sleep
//	docs      a doc.go per package, a comment on each exported symbol, a runnable
//	          example for each exported type
//	layout    what the top level and the nested modules hold
//	prose     the README's program compiles and prints what it says; every test,
//	          symbol and link that a Markdown file names exists
//
// A rule that has an exception names it, with the reason, in a table beside the
// test.
package house
