package clock

import (
	"cmp"
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func anyTimestamp() *rapid.Generator[Timestamp] {
	return rapid.Map(rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(math.MinInt64, math.MinInt64+3),
		rapid.Int64Range(math.MaxInt64-3, math.MaxInt64),
		rapid.Int64Range(1.7e18, 1.9e18),
	), func(n int64) Timestamp { return Timestamp(n) })
}

func TestTimestampIsATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ts := anyTimestamp().Draw(t, "ts")
		require.Equal(t, ts, At(ts.Time()))
		require.Equal(t, ts, ts.Physical()+Timestamp(ts.Logical()))
		require.Zero(t, ts.Physical().Logical())
		require.LessOrEqual(t, ts.Physical(), ts)

		// Texts are the standard library's, sort as the numbers do and lose nothing.
		text := ts.String()
		require.Len(t, text, 30)
		require.Equal(t, ts.Time().Format("2006-01-02T15:04:05.000000000Z"), text)
		back, err := ParseTimestamp(text)
		require.NoError(t, err)
		require.Equal(t, ts, back)
		other := anyTimestamp().Draw(t, "other")
		require.Equal(t, cmp.Compare(ts, other), strings.Compare(text, other.String()))

		b, err := ts.MarshalBinary()
		require.NoError(t, err)
		require.Len(t, b, 8)
		require.NoError(t, back.UnmarshalBinary(b))
		require.Equal(t, ts, back)

		j, err := json.Marshal(map[Timestamp]Timestamp{ts: other})
		require.NoError(t, err)
		require.JSONEq(t, `{"`+text+`":"`+other.String()+`"}`, string(j))
		var m map[Timestamp]Timestamp
		require.NoError(t, json.Unmarshal(j, &m))
		require.Equal(t, map[Timestamp]Timestamp{ts: other}, m)
	})
}

func TestTimestampArithmeticSaturates(t *testing.T) {
	require.Equal(t, Timestamp(8), Timestamp(7).Next())
	require.Equal(t, MaxTimestamp, MaxTimestamp.Next())
	require.Equal(t, time.Duration(5), Timestamp(7).Sub(2))
	require.Equal(t, time.Duration(-5), Timestamp(2).Sub(7))
	require.Equal(t, time.Duration(math.MaxInt64), MaxTimestamp.Sub(-1))
	require.Equal(t, time.Duration(math.MinInt64), MinTimestamp.Sub(1))
	require.Equal(t, time.Duration(math.MinInt64), MinTimestamp.Sub(0))
	require.Equal(t, time.Duration(math.MaxInt64), Timestamp(0).Sub(MinTimestamp))
	require.Equal(t, MaxTimestamp, (MaxTimestamp - 1).Add(2))
	require.Equal(t, MinTimestamp, (MinTimestamp + 1).Add(-2))
	require.Equal(t, Timestamp(3), Timestamp(1).Add(2))
	require.Equal(t, MaxTimestamp, At(time.Date(2262, 4, 12, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, MaxTimestamp, At(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, MinTimestamp, At(time.Date(1677, 9, 21, 0, 0, 0, 0, time.UTC)))
	require.Equal(t, MinTimestamp, At(time.Time{}))
}

func TestTimestampTextRefusesWhatItCannotHold(t *testing.T) {
	for _, s := range []string{
		"", "x", "2026-11-21", "2026-11-21T07:46:30", "2026-11-21 07:46:30Z", "2026-13-21T07:46:30Z", "2026-02-30T07:46:30Z",
		"2026-11-21T07:46:60Z", "2026-11-21T7:46:30Z", "2026-11-21T07:46:30+24:00", "2026-11-21T07:46:30-01:60", "2026-11-21T07:46:30-0100", "2026-11-21T07:46:30+0a:00", "2026-11-21T24:00:00Z", "2026-11-21T07:46:30,5Z", "2026-11-21T07:46:30.Z",
		"2026-11-21T07:46:30.9963668131Z", "2026-11-21T07:46:30.996366813+01:000", "2026-11-21T07:46:30.996366813ZZ",
		"2262-04-11T23:47:16.854775808Z", "1677-09-21T00:12:43.145224191Z", "9999-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
		"+262-04-11T23:47:16.854775807Z", strings.Repeat("9", 1000),
	} {
		ts := Timestamp(42)
		err := ts.UnmarshalText([]byte(s))
		require.ErrorIs(t, err, ErrMalformed, "%q", s)
		require.Less(t, len(err.Error()), 200)
		require.Equal(t, Timestamp(42), ts, "changed by %q", s)
	}
	for s, want := range map[string]string{
		"2026-11-21T07:46:30Z":                "2026-11-21T07:46:30.000000000Z",
		"2026-11-21T07:46:30.5+01:00":         "2026-11-21T06:46:30.500000000Z",
		"2026-11-21T07:46:30.123456789-08:30": "2026-11-21T16:16:30.123456789Z",
		"2262-04-11T23:47:16.854775807Z":      MaxTimestamp.String(),
		"1677-09-21T00:12:43.145224192Z":      MinTimestamp.String(),
	} {
		ts, err := ParseTimestamp(s)
		require.NoError(t, err)
		require.Equal(t, want, ts.String())
	}
	var ts Timestamp
	for _, n := range []int{0, 7, 9} {
		require.ErrorIs(t, ts.UnmarshalBinary(make([]byte, n)), ErrMalformed)
	}
	require.Error(t, json.Unmarshal([]byte("5"), &ts), "a JSON number loses digits")
}

func TestTimestampInSQL(t *testing.T) {
	ts := Timestamp(1795247190996366813)
	v, err := ts.Value()
	require.NoError(t, err)
	require.Equal(t, int64(ts), v)
	for _, src := range []any{
		int64(ts), "1795247190996366813", []byte("1795247190996366813"), ts.String(), []byte(ts.String()), ts.Time(),
	} {
		var got Timestamp
		require.NoError(t, got.Scan(src), "%T", src)
		require.Equal(t, ts, got)
	}
	for _, src := range []any{nil, 1.5, true, "", "soon", []byte("1e9"), "99999999999999999999", time.Time{}} {
		got := ts
		require.Error(t, got.Scan(src), "%v", src)
		require.Equal(t, ts, got)
	}
}

func TestTimestampInLogsKeepsItsDigits(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("x", "at", Timestamp(1))
	require.Equal(t, "level=INFO msg=x at=1970-01-01T00:00:00.000000001Z\n", b.String())
}

func TestTimestampAllocations(t *testing.T) {
	ts, buf := At(time.Unix(1795247190, 5)), make([]byte, 0, 64)
	text := []byte(ts.String())
	noAllocs(t, "AppendText", func() { buf, _ = ts.AppendText(buf[:0]) })
	noAllocs(t, "AppendBinary", func() { buf, _ = ts.AppendBinary(buf[:0]) })
	noAllocs(t, "UnmarshalText", func() { _ = ts.UnmarshalText(text) })
}

func FuzzTimestampText(f *testing.F) {
	f.Add(Timestamp(1).String())
	f.Add("2026-11-21T07:46:30.5+01:00")
	f.Fuzz(func(t *testing.T, s string) {
		ts, err := ParseTimestamp(s)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		want, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		require.True(t, want.Equal(ts.Time()))
		again, err := ParseTimestamp(ts.String())
		require.NoError(t, err)
		require.Equal(t, ts, again)
	})
}
