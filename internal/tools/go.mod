module github.com/go-calm/calm/internal/tools

go 1.26
