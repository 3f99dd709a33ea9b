package clock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOrder(t *testing.T) {
	for _, c := range []struct {
		o, inverse Order
		name       string
	}{
		{Equal, Equal, "equal"},
		{Before, After, "before"},
		{After, Before, "after"},
		{Concurrent, Concurrent, "concurrent"},
		{7, Concurrent, "Order(7)"},
	} {
		require.Equal(t, c.name, c.o.String())
		require.Equal(t, c.inverse, c.o.Invert())
	}
}
