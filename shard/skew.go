package shard

import (
	"cmp"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// Skew finds out, over a stream, how evenly a key could ever spread load: its heavy hitters, the
// number of distinct keys and what follows for shards. Make one with [NewSkew].
//
// It counts by Space-Saving (Metwally, Agrawal and El Abbadi 2005): of N events, each key with more
// than N/capacity is found, and no count is off by more than N/capacity. Distinct keys are counted
// by HyperLogLog (Flajolet et al. 2007), to about 2 %.
//
// Each Skew counts one source, and Merge joins the counts of several: it is commutative,
// associative and, because every source counts once, idempotent. To carry a Skew to where it is
// merged, it has a binary form; a new(Skew) may be decoded into, and nothing else.
// It is not safe for concurrent use.
type Skew struct {
	source  string
	own     *sketch
	sources map[string]*sketch // own among them
}

// Heavy is a frequent key. Its true count is in [Count-Error, Count].
type Heavy struct {
	Key          string
	Count, Error uint64
}

// KeyReport says what a key is worth as a shard key.
type KeyReport struct {
	Name      string  // as given to [Rank]
	Events    uint64  // counted
	Distinct  uint64  // keys among them, estimated
	Top       []Heavy // at most 10, heaviest first
	MaxShare  float64 // of the heaviest key; no shard that has it can carry less
	Effective float64 // number of equally frequent keys that would be as uneven: 1/Σp²
	Shards    int
	Peak      float64 // expected load of the fullest shard relative to the mean, under the best of hashes
	Ceiling   float64 // 1/MaxShare: more shards than this can never be busy
}

// NewSkew returns a Skew for a source, which must be named differently from all others that are
// merged. It keeps capacity keys, 1024 if it is 0; it panics if that is negative or above 1<<24.
func NewSkew(source string, capacity int) *Skew {
	if capacity < 0 || capacity > maxCapacity {
		panic("shard: the capacity of a skew must be from 0 to 1<<24")
	}
	capacity = cmp.Or(capacity, 1024)
	own := newSketch(capacity, capacity)
	return &Skew{source: source, own: own, sources: map[string]*sketch{source: own}}
}

// Add counts one event of a key, in constant expected time. It keeps the key. It allocates nothing,
// save 4 KiB once, when there are more keys than its capacity; a decoded Skew also grows to its capacity.
func (s *Skew) Add(key string) { s.own.add(key) }

// Merge joins what o has seen, from all its sources, and reports whether that was news. Of two
// states of one source the later one counts, save for s's own source, of which s knows best.
// o is neither changed nor kept.
func (s *Skew) Merge(o *Skew) (changed bool) {
	for source, theirs := range o.sources {
		if source == s.source {
			continue
		}
		if ours := s.sources[source]; ours == nil || ours.events < theirs.events {
			s.sources[source] = theirs.clone()
			changed = true
		}
	}
	return changed
}

// Report says what the key is worth for a number of shards, at a cost that grows with it. It panics if
// shards < 1 or shards > 1<<20.
func (s *Skew) Report(shards int) KeyReport {
	if shards < 1 || shards > 1<<20 {
		panic("shard: a report needs from 1 to 1<<20 shards")
	}
	r := KeyReport{Shards: shards}
	counts := map[string]Heavy{}
	var floor uint64 // what a key that no sketch knows may have at most
	var hll registers
	for _, source := range slices.Sorted(maps.Keys(s.sources)) {
		k := s.sources[source]
		r.Events += k.events
		k.addTo(&hll)
		least := k.least()
		for i, c := range k.counters {
			h, ok := counts[c.key]
			if !ok {
				h = Heavy{c.key, floor, floor}
			}
			counts[c.key] = Heavy{c.key, h.Count + k.count(i), h.Error + c.excess}
		}
		for key, h := range counts {
			if !k.has(key) {
				counts[key] = Heavy{key, h.Count + least, h.Error + least}
			}
		}
		floor += least
	}
	r.Distinct = min(max(hll.estimate(), uint64(len(counts))), r.Events)
	if floor == 0 {
		r.Distinct = uint64(len(counts)) // nothing was ever left out
	}
	heavy := slices.SortedFunc(maps.Values(counts), func(a, b Heavy) int {
		return cmp.Or(cmp.Compare(b.Count-b.Error/2, a.Count-a.Error/2), cmp.Compare(a.Key, b.Key))
	})
	r.Top = slices.Clone(heavy[:min(len(heavy), 10)])
	r.measure(heavy)
	return r
}

// measure derives the figures from the heavy keys; the rest is taken to be even, with fluctuations.
func (r *KeyReport) measure(heavy []Heavy) {
	if r.Events == 0 {
		return
	}
	all := float64(r.Events)
	var shares []float64
	rest, squares := 1.0, 0.0
	for _, h := range heavy {
		// A key that is mostly error is one of the many; which one is chance.
		if h.Error > h.Count/4 {
			continue
		}
		p := (float64(h.Count) - float64(h.Error)/2) / all
		shares = append(shares, p)
		rest -= p
		squares += p * p
	}
	rest = max(rest, 0)
	many := max(float64(r.Distinct)-float64(len(shares)), 1)
	if rest > 0 {
		squares += rest * rest / many
	}
	r.Effective = 1 / squares
	r.MaxShare = rest / many
	if len(shares) > 0 {
		r.MaxShare = max(r.MaxShare, slices.Max(shares))
	}
	r.Ceiling = 1 / r.MaxShare
	r.Peak = expectedPeak(shares, rest, many, r.Shards)
}

// expectedPeak is the mean, over random assignments of keys to shards, of the fullest shard's
// load relative to the mean. The many light keys come as their normal approximation. It is the
// same at every call.
func expectedPeak(shares []float64, rest, many float64, shards int) float64 {
	rnd := rand.New(rand.NewPCG(1, 2))
	n := float64(shards)
	sigma := rest * math.Sqrt((1-1/n)/n/many)
	rounds := min(max(200_000/(len(shares)+shards), 4), 200)
	load, sum := make([]float64, shards), 0.0
	for range rounds {
		for i := range load {
			load[i] = max(rest/n+sigma*rnd.NormFloat64(), 0)
		}
		for _, p := range shares {
			load[rnd.IntN(shards)] += p
		}
		sum += slices.Max(load) * n
	}
	return sum / float64(rounds)
}

// Verdict is "good" up to a peak of 1.25, "fair" up to 2, and "bad" above; "unknown" without events.
func (r KeyReport) Verdict() string {
	switch {
	case r.Peak == 0:
		return "unknown"
	case r.Peak <= 1.25:
		return "good"
	case r.Peak <= 2:
		return "fair"
	}
	return "bad"
}

// String is the report in one line.
func (r KeyReport) String() string {
	name := r.Name
	if name != "" {
		name += ": "
	}
	ceiling := fmt.Sprintf("%.3g", r.Ceiling)
	if r.Ceiling >= 100 {
		ceiling = fmt.Sprintf("%.0f", r.Ceiling)
	}
	return fmt.Sprintf("%s%d keys, the top one %.3g %%; at most %s shards can ever be busy; peak/avg over %d shards %.2f: %s",
		name, r.Distinct, 100*r.MaxShare, ceiling, r.Shards, r.Peak, r.Verdict())
}

// LogValue logs the figures of the report and its verdict.
func (r KeyReport) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", r.Name), slog.Uint64("events", r.Events), slog.Uint64("distinct", r.Distinct),
		slog.Float64("share", r.MaxShare), slog.Float64("ceiling", r.Ceiling), slog.Int("shards", r.Shards),
		slog.Float64("peak", r.Peak), slog.String("verdict", r.Verdict()))
}

// Rank judges candidate shard keys, by name, on one pass over a sample, best first.
// It panics where [Skew.Report] does.
func Rank[T any](sample iter.Seq[T], shards int, keys map[string]func(T) string) []KeyReport {
	names := slices.Sorted(maps.Keys(keys))
	skews := make([]*Skew, len(names))
	for i := range skews {
		skews[i] = NewSkew("", 0)
	}
	for v := range sample {
		for i, name := range names {
			skews[i].Add(keys[name](v))
		}
	}
	reports := make([]KeyReport, len(names))
	for i, s := range skews {
		reports[i] = s.Report(shards)
		reports[i].Name = names[i]
	}
	slices.SortStableFunc(reports, func(a, b KeyReport) int { return cmp.Compare(a.Peak, b.Peak) })
	return reports
}

// registers is a HyperLogLog of 2^12 registers.
type registers [1 << 12]uint8

const maxRegister = 53 // as 52 bits of a hash are left

func (r *registers) add(h uint64) {
	i, zeros := h>>52, uint8(bits.LeadingZeros64(h<<12|1<<11))+1
	if zeros > r[i] {
		r[i] = zeros
	}
}

func (r *registers) merge(o *registers) {
	for i, v := range o {
		r[i] = max(r[i], v)
	}
}

func (r *registers) estimate() uint64 {
	sum, zeros := 0.0, 0
	for _, v := range r {
		sum += math.Ldexp(1, -int(v))
		if v == 0 {
			zeros++
		}
	}
	m := float64(len(r))
	e := 0.7213 / (1 + 1.079/m) * m * m / sum
	if e <= 2.5*m && zeros > 0 {
		e = m * math.Log(m/float64(zeros)) // linear counting
	}
	return uint64(e + 0.5)
}
