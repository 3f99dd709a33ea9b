module github.com/go-calm/calm/internal/bench

go 1.26.0

require github.com/go-calm/calm v0.0.0

require github.com/puzpuzpuz/xsync/v4 v4.5.0 // indirect

replace github.com/go-calm/calm => ../../
