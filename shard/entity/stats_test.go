package entity_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/shard/entity"
)

func TestStatsInALine(t *testing.T) {
	s := entity.Stats{Lanes: []entity.LaneStats{{Depth: 1, Inner: 2, Keys: 3, Handled: 4}, {Depth: 10, Keys: 30}}, Errors: 5, Panics: 1, Strays: 6}
	require.Equal(t, "33 keys in 2 lanes; 13 messages waiting, 4 handled, 5 errors, 1 panics, 6 strays", s.String())
}
