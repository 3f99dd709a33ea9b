package main

import (
	"testing"
	"time"

	"github.com/go-calm/calm/examples/internal/accesslog"
	"github.com/stretchr/testify/require"
)

func TestRecount(t *testing.T) {
	r := newRecount()
	r.add(`a - - [17/May/2015:10:05:03 +0000] "GET /x HTTP/1.1" 200 10
b - - [17/May/2015:10:05:01 +0000] "GET /x HTTP/1.1" 404 5
what is this?
a - - [17/May/2015:10:05:09 +0000] "GET /y HTTP/1.1" 304 -
`, everything)
	r.add(`a - - [17/May/2015:10:05:02 +0000] "GET /x HTTP/1.1" 200 1
beyond the limit`, 1)
	at := time.Date(2015, time.May, 17, 10, 5, 0, 0, time.UTC).Unix()
	one := struct{}{}
	require.EqualValues(t, 5, r.lines)
	require.Equal(t, malformed{1, []badLine{{"what is this?", accesslog.ErrTime}}}, r.bad)
	require.Equal(t, map[string]*pageCount{
		"/x": {3, 16, map[string]struct{}{"a": one, "b": one}},
		"/y": {1, 0, map[string]struct{}{"a": one}},
	}, r.pages)
	require.Len(t, r.visitors, 2)
	require.Equal(t, [10]int64{2: 2, 3: 1, 4: 1}, r.classes)
	require.Equal(t, []int64{at + 1, at + 9}, []int64{r.first, r.last})
}

func TestTopPages(t *testing.T) {
	require.Equal(t, []rank{{"/c", 9}, {"/a", 5}, {"/b", 5}},
		topPages(map[string]int64{"/b": 5, "/z": 1, "/a": 5, "/c": 9}, 3))
	require.Len(t, topPages(map[string]int64{"/": 1}, 10), 1)
}

func TestMalformedKeepsTheFirstFew(t *testing.T) {
	var m malformed
	for i := range 10 {
		m.add(string(make([]byte, 100*i)), accesslog.ErrEmpty)
	}
	require.EqualValues(t, 10, m.count)
	require.Len(t, m.first, keepBad)
	require.Len(t, m.first[2].text, keepBadLen)
}
