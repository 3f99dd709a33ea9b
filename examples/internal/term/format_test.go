package term

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
		require.Equal(t, want, Thousands(n))
	}
}

func TestFormats(t *testing.T) {
	require.Equal(t, "512 B", Size(512))
	require.Equal(t, "2 KiB", Size(2048))
	require.Equal(t, "1.5 MiB", Size(3<<19))
	require.Equal(t, "123ms", Took(123456*time.Microsecond))
	require.Equal(t, "1.23s", Took(1234*time.Millisecond))
	require.Equal(t, "231ns", Took(231))
	require.Equal(t, "230µs", Took(230349))
	require.Equal(t, "1ms", Took(999999))
	require.Equal(t, "2 000", PerSecond(1000, 500*time.Millisecond))
	require.Equal(t, "a�[31mb", Printable("a\x1b[31mb"))
}
