package clock

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestInjectAndExtract(t *testing.T) {
	a := New(WithSource(NewFake(noon.Add(200 * time.Millisecond))))
	b := New(WithSource(NewFake(noon)))
	h := http.Header{}
	sent := a.Inject(h)
	require.Equal(t, sent.String(), h.Get("calm-timestamp"))
	got, err := b.Extract(h)
	require.NoError(t, err)
	require.Equal(t, sent+1, got)
	got, err = b.Extract(http.Header{})
	require.NoError(t, err)
	require.Equal(t, sent+2, got)

	h.Set(Key, "yesterday")
	_, err = b.Extract(h)
	require.ErrorIs(t, err, ErrMalformed)
	h.Set(Key, noon.Add(time.Hour).String())
	_, err = b.Extract(h)
	require.ErrorIs(t, err, ErrDrift)
	require.Equal(t, sent+2, b.Last())
}

func TestSessionTokenNeverGoesBack(t *testing.T) {
	ctx := t.Context()
	_, ok := FromContext(ctx)
	require.False(t, ok)
	ctx = NewContext(ctx, 5)
	ctx = NewContext(ctx, 3)
	got, ok := FromContext(ctx)
	require.True(t, ok)
	require.Equal(t, Timestamp(5), got)
	got, _ = FromContext(NewContext(ctx, 9))
	require.Equal(t, Timestamp(9), got)
}
