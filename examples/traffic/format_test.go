package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1 000", 123456: "123 456", 1234567: "1 234 567",
		-1: "-1", -999: "-999", -1000: "-1 000", -123456: "-123 456",
	} {
		require.Equal(t, want, thousands(n))
	}
}

func TestFormats(t *testing.T) {
	require.Equal(t, "512 B", size(512))
	require.Equal(t, "2 KiB", size(2048))
	require.Equal(t, "1.5 MiB", size(3<<19))
	require.Equal(t, "123ms", took(123456*time.Microsecond))
	require.Equal(t, "1.23s", took(1234*time.Millisecond))
	require.Equal(t, "2 000", perSecond(1000, 500*time.Millisecond))
	require.Equal(t, "a�[31mb", printable("a\x1b[31mb"))
}
