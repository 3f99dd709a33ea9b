package lattice_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-calm/calm/lattice"
)

// rms returns the root of the mean square of the relative error of so many estimates of n.
func rms(trials, n int, estimate func(seed uint64) float64) (rms, bias float64) {
	for trial := range trials {
		e := estimate(uint64(trial))/float64(n) - 1
		rms += e * e
		bias += e
	}
	return math.Sqrt(rms / float64(trials)), bias / float64(trials)
}

func TestHyperLogLogKeepsItsStatedError(t *testing.T) {
	const trials = 200
	for _, p := range []int{6, 10, 12} {
		m := 1 << p
		for _, n := range []int{m / 2, m, 2 * m, 5 * m, 20 * m, 100 * m} {
			t.Run(fmt.Sprintf("p=%d n=%d", p, n), func(t *testing.T) {
				s := lattice.NewHyperLogLog(p)
				got, bias := rms(trials, n, func(seed uint64) float64 {
					s = lattice.NewHyperLogLog(p)
					for i := range n {
						s.AddUint64(seed<<32 | uint64(i))
					}
					return s.Estimate()
				})
				t.Logf("error %.4f, bias %+.4f, stated %.4f", got, bias, s.StdError())
				// The error of 200 trials is itself known to 5 %: 1.1 is the claim, and twice that
				// is the margin.
				require.LessOrEqual(t, got, 1.1*1.1*s.StdError())
				require.Less(t, math.Abs(bias), 4*s.StdError()/math.Sqrt(trials)+0.002)
			})
		}
	}
}

func TestHyperLogLogCountsFewAllButExactly(t *testing.T) {
	var s lattice.HyperLogLog
	for i := range 2000 {
		s.AddString(fmt.Sprint("visitor ", i))
	}
	require.InDelta(t, 2000, s.Estimate(), 2)
	require.Equal(t, lattice.DefaultPrecision, s.Precision())
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	require.Less(t, len(b), 2000*7/2)
	require.Zero(t, (*lattice.HyperLogLog)(nil).Estimate())
	require.Zero(t, new(lattice.HyperLogLog).Estimate())
}

func TestHyperLogLogOfManyIsTheJoinOfParts(t *testing.T) {
	for _, n := range []int{100, 3000, 200_000} {
		var whole lattice.HyperLogLog
		parts := make([]*lattice.HyperLogLog, 5)
		for i := range parts {
			parts[i] = &lattice.HyperLogLog{}
		}
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		for range n {
			x := rng.Uint64N(uint64(n))
			whole.AddUint64(x)
			parts[rng.IntN(5)].AddUint64(x)
		}
		sum := &lattice.HyperLogLog{}
		for _, i := range rng.Perm(5) {
			_, err := sum.Merge(parts[i])
			require.NoError(t, err)
		}
		require.True(t, lattice.Equal(sum, &whole))
		a, err := sum.MarshalBinary()
		require.NoError(t, err)
		b, err := whole.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, a, b)
	}
}

// What a sketch of lower precision would have seen is what one of higher precision reduces to.
func TestHyperLogLogReducesExactly(t *testing.T) {
	for _, n := range []int{10, 300, 5000, 100_000} {
		high, low := lattice.NewHyperLogLog(14), lattice.NewHyperLogLog(10)
		for i := range n {
			high.AddUint64(uint64(i))
			low.AddUint64(uint64(i))
		}
		high.Join(lattice.NewHyperLogLog(10))
		require.True(t, lattice.Equal(high, low), n)
	}
}

func TestSketchesRefuseOtherParameters(t *testing.T) {
	var mismatch *lattice.MismatchError
	h, other := lattice.NewHyperLogLog(10), lattice.NewHyperLogLog(11)
	h.AddUint64(1)
	other.AddUint64(2)
	before, _ := h.MarshalBinary()
	_, err := h.Merge(other)
	require.ErrorIs(t, err, lattice.ErrMismatch)
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, lattice.MismatchError{Parameter: "precision", Have: 10, Got: 11}, *mismatch)
	after, _ := h.MarshalBinary()
	require.Equal(t, before, after)

	k := lattice.NewKMV(10)
	_, err = k.Merge(lattice.NewKMV(11))
	require.ErrorIs(t, err, lattice.ErrMismatch)
	require.Equal(t, 10, k.K())

	b := lattice.NewBloom(1000, 0.01)
	b.AddUint64(1)
	_, err = b.Merge(lattice.NewBloom(2000, 0.01))
	require.ErrorIs(t, err, lattice.ErrMismatch)
	require.False(t, b.IsFull())
	require.True(t, b.HasUint64(1))
	require.False(t, b.HasUint64(2))
	b.Join(lattice.NewBloom(2000, 0.01))
	require.True(t, b.IsFull() && b.HasUint64(2), "the top takes everyone")

	require.Panics(t, func() { lattice.NewHyperLogLog(3) })
	require.Panics(t, func() { lattice.NewHyperLogLog(19) })
	require.Panics(t, func() { lattice.NewKMV(2) })
	require.Panics(t, func() { lattice.NewBloom(0, 0.1) })
	require.Panics(t, func() { lattice.NewBloom(1, math.NaN()) })
}

func TestKMVKeepsItsStatedError(t *testing.T) {
	const trials, k = 200, 256
	for _, n := range []int{100, 255, 1000, 50_000} {
		s := lattice.NewKMV(k)
		got, bias := rms(trials, n, func(seed uint64) float64 {
			s = lattice.NewKMV(k)
			for i := range n {
				s.AddUint64(seed<<32 | uint64(i))
			}
			return s.Estimate()
		})
		t.Logf("n=%d: error %.4f, bias %+.4f, stated %.4f", n, got, bias, s.StdError())
		if n < k {
			require.Zero(t, got)
			continue
		}
		require.LessOrEqual(t, got, 1.1*1.1*s.StdError())
		require.Less(t, math.Abs(bias), 4*s.StdError()/math.Sqrt(trials))
	}
}

func TestKMVBoundsHold(t *testing.T) {
	const trials, k, n = 400, 128, 5000
	inside := 0
	for seed := range uint64(trials) {
		s := lattice.NewKMV(k)
		for i := range uint64(n) {
			s.AddUint64(seed<<32 | i)
		}
		if low, high := s.Bounds(2); low <= n && n <= high {
			inside++
		}
	}
	require.Greater(t, inside, trials*92/100, "two standard errors hold 95 %%")
}

func TestKMVIntersection(t *testing.T) {
	const trials, k, n, common = 200, 512, 10_000, 3000
	var square, claim, jaccard float64
	for seed := range uint64(trials) {
		a, b := lattice.NewKMV(k), lattice.NewKMV(k)
		for i := range uint64(n) {
			a.AddUint64(seed<<32 | i)
			b.AddUint64(seed<<32 | (i + n - common))
		}
		got, stdError := a.Intersection(b)
		square += (got - common) * (got - common)
		claim += stdError
		jaccard += a.Similarity(b)
	}
	real, claimed := math.Sqrt(square/trials), claim/trials
	t.Logf("error %.0f of %d, claimed %.0f", real, common, claimed)
	require.InEpsilon(t, claimed, real, 0.25)
	require.InDelta(t, float64(common)/(2*n-common), jaccard/trials, 0.01)

	small, same := lattice.NewKMV(k), lattice.NewKMV(k)
	small.AddString("x")
	same.AddString("x")
	got, stdError := small.Intersection(same)
	require.Equal(t, []float64{1, 0}, []float64{got, stdError}, "few elements are counted exactly")
	require.Equal(t, 1.0, small.Similarity(same))
	require.Zero(t, small.Similarity(nil))
}

func TestBloomKeepsItsStatedError(t *testing.T) {
	for _, part := range []float64{0.1, 0.01, 0.001} {
		const n, probes = 20_000, 200_000
		b := lattice.NewBloom(n, part)
		for i := range uint64(n) {
			b.AddUint64(i)
		}
		for i := range uint64(n) {
			require.True(t, b.HasUint64(i))
		}
		wrong := 0
		for i := range uint64(probes) {
			if b.HasUint64(n + i) {
				wrong++
			}
		}
		got := float64(wrong) / probes
		t.Logf("stated %v, measured %v, its own estimate %v", part, got, b.Error())
		require.Less(t, got, 1.1*part+4*math.Sqrt(part/probes))
		require.InEpsilon(t, n, b.Estimate(), 0.02)
		require.InDelta(t, part, b.Error(), part/10)
	}
}

func TestSketchesHashBytesAndStringsAlike(t *testing.T) {
	a, b := lattice.NewKMV(1000), lattice.NewKMV(1000)
	text := make([]byte, 400)
	for i := range text {
		text[i] = byte(i * 7)
		a.Add(text[:i])
		b.AddString(string(text[:i]))
	}
	require.True(t, lattice.Equal(a, b))
	require.Equal(t, 400.0, a.Estimate(), "prefixes of each length hash differently")
}

// Inputs of each length that differ in little are spread as if they were random.
func TestHashesAreEvenlyDistributed(t *testing.T) {
	for length := 3; length < 60; length += 4 {
		s, n := lattice.NewKMV(1024), 20_000
		text := make([]byte, length)
		for i := range n {
			text[0], text[length/2], text[length-1] = byte(i), byte(i>>8), byte(i>>16)
			s.Add(text)
		}
		require.InEpsilon(t, n, s.Estimate(), 4*s.StdError(), "length %d", length)
	}
}
