package lattice

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A few digits must not take gigabytes, however they are spaced out or repeated.
func TestBitsRefuseLargeNumbersAmongFew(t *testing.T) {
	var b Bits
	b.Add(7)
	for _, text := range []string{
		"[4294967295]", "[263168]", "[" + strings.Repeat(" ", 1<<16) + "263168]", "[" + strings.Repeat("1,", 1<<16) + "526336]",
	} {
		require.ErrorIs(t, json.Unmarshal([]byte(text), &b), ErrMalformed)
		require.True(t, b.Has(7) && b.Len() == 1)
	}
	require.NoError(t, json.Unmarshal([]byte("[263167]"), &b))
	require.True(t, b.Has(263167) && b.Len() == 1)

	many := new(Bits)
	for i := range uint(10_000) {
		many.Add(i * 800) // seven words apart
	}
	text, err := json.Marshal(many)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &b))
	require.Equal(t, many.String(), b.String())
}
