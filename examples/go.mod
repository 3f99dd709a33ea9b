module github.com/go-calm/calm/examples

go 1.26

require github.com/go-calm/calm v0.0.0

replace github.com/go-calm/calm => ../
