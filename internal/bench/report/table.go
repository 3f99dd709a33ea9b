package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// row is one benchmark with the values of all its runs, by unit.
type row struct {
	name   string   // without "Benchmark" and the number of processors
	parts  []string // of the name
	units  []string // in the order of their first appearance
	values map[string][]float64
}

// parse reads benchmark lines, and the configuration above them.
func parse(r io.Reader) (rows []*row, config map[string]string, err error) {
	config = map[string]string{}
	byName := map[string]*row{}
	reader := benchfmt.NewReader(r, "results")
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok { // a line that is no benchmark
			continue
		}
		for _, c := range result.Config {
			config[c.Key] = string(c.Value)
		}
		base, parts := result.Name.Parts()
		name := string(base)
		for _, p := range parts {
			if !bytes.HasPrefix(p, []byte("-")) { // -2: processors
				name += string(p)
			}
		}
		r := byName[name]
		if r == nil {
			r = &row{name: name, parts: strings.Split(name, "/"), values: map[string][]float64{}}
			byName[name] = r
			rows = append(rows, r)
		}
		for _, v := range result.Values {
			unit, value := v.OrigUnit, v.OrigValue
			if unit == "" {
				unit, value = v.Unit, v.Value
			}
			if r.values[unit] == nil {
				r.units = append(r.units, unit)
			}
			r.values[unit] = append(r.values[unit], value)
		}
	}
	return rows, config, reader.Err()
}

// median returns the median of a unit's values, how far they spread around it as benchstat
// prints it, and how many they are.
func (r *row) median(unit string) (center float64, spread string, n int) {
	values := r.values[unit]
	if len(values) == 0 {
		return 0, "", 0
	}
	s := benchmath.AssumeNothing.Summary(benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds), 0.95)
	return s.Center, strings.TrimSpace(s.PctRangeString()), len(values)
}

// subject returns which part of the name says that calm is measured, or -1.
func (r *row) subject() int {
	return slices.IndexFunc(r.parts[1:], func(p string) bool { return strings.HasPrefix(p, "calm") })
}

// beside returns the rows that measure the same as r with something else in calm's place.
func (r *row) beside(rows []*row) (peers []*row) {
	at := r.subject()
	if at < 0 {
		return nil
	}
	at++
	rest := slices.Delete(slices.Clone(r.parts), at, at+1)
	for _, p := range rows {
		if p.parts[0] != r.parts[0] || len(p.parts) != len(r.parts) || p.subject() >= 0 {
			continue
		}
		for i := 1; i < len(p.parts); i++ {
			if slices.Equal(slices.Delete(slices.Clone(p.parts), i, i+1), rest) {
				peers = append(peers, p)
				break
			}
		}
	}
	return peers
}

// metric prints what r's benchmark reports in a unit of its own, with what the same is at its peers.
func (r *row) metric(unit string, peers []*row) string {
	v, _, _ := r.median(unit)
	var theirs []string
	for _, p := range peers {
		if t, _, n := p.median(unit); n > 0 {
			theirs = append(theirs, fmt.Sprintf("%s: %.4g", p.instead(r), t))
		}
	}
	s := fmt.Sprintf("%.4g %s", v, unit)
	if len(theirs) > 0 {
		s += " (" + strings.Join(theirs, ", ") + ")"
	}
	return s
}

// render returns the table of one package as Markdown.
func render(pkg string, raw io.Reader) ([]byte, error) {
	rows, config, err := parse(raw)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# %s, %s\n\n", pkg, config["date"])
	fmt.Fprintf(&out, "%s, %s processors, %s/%s, %s, commit %s. Medians and how far the runs spread around them; in brackets\nwhat calm took of the peer's time in the same run.\n\n",
		config["cpu"], config["cpus"], config["goos"], config["goarch"], config["go"], config["commit"])
	fmt.Fprintf(&out, "```sh\n%s\n```\n\n", config["command"])
	fmt.Fprintln(&out, "| benchmark | time | spread | allocations | bytes | beside it | more | n |")
	fmt.Fprintln(&out, "|---|---:|---:|---:|---:|---|---|---:|")
	means := &shares{}
	told := map[*row]bool{} // peers that stand beside a row of calm
	for _, r := range rows {
		for _, p := range r.beside(rows) {
			told[p] = true
		}
	}
	for _, r := range rows {
		if told[r] {
			continue
		}
		took, spread, n := r.median("ns/op")
		var peers, more []string
		beside := r.beside(rows)
		for _, p := range beside {
			theirs, _, _ := p.median("ns/op")
			peers = append(peers, fmt.Sprintf("%s %s (%.2f)", p.instead(r), duration(theirs), took/theirs))
			means.add(r.parts[0], p.instead(r), took/theirs)
		}
		for _, u := range r.units {
			if u != "ns/op" && u != "B/op" && u != "allocs/op" {
				more = append(more, r.metric(u, beside))
			}
		}
		allocs, _, _ := r.median("allocs/op")
		size, _, _ := r.median("B/op")
		fmt.Fprintf(&out, "| %s | %s | %s | %.0f | %.0f | %s | %s | %d |\n", strings.ReplaceAll(r.name, "|", "\\|"),
			duration(took), spread, allocs, size, strings.Join(peers, ", "), strings.Join(more, ", "), n)
	}
	means.write(&out)
	return out.Bytes(), nil
}

// several sizes are so many that their mean says something.
const several = 12

// shares are what calm took of a peer's time, by benchmark and peer.
type shares struct {
	names  []string // in the order of their first appearance
	values map[string][]float64
}

func (s *shares) add(benchmark, peer string, share float64) {
	name := benchmark + ", " + peer
	if s.values == nil {
		s.values = map[string][]float64{}
	}
	if s.values[name] == nil {
		s.names = append(s.names, name)
	}
	s.values[name] = append(s.values[name], share)
}

// write writes the geometric mean of what was measured in several sizes.
func (s *shares) write(out io.Writer) {
	for i, name := range slices.DeleteFunc(s.names, func(name string) bool { return len(s.values[name]) < several }) {
		if i == 0 {
			fmt.Fprint(out, "\nWhat calm took of a peer's time, over all sizes:\n\n| benchmark, peer | geometric mean | least | most | sizes |\n|---|---:|---:|---:|---:|\n")
		}
		values, sum := s.values[name], 0.0
		for _, v := range values {
			sum += math.Log(v)
		}
		fmt.Fprintf(out, "| %s | %.2f | %.2f | %.2f | %d |\n", name, math.Exp(sum/float64(len(values))), slices.Min(values), slices.Max(values), len(values))
	}
}

// instead returns the part of r's name that stands where that of the other says calm.
func (r *row) instead(calm *row) string {
	for _, part := range r.parts {
		if !slices.Contains(calm.parts, part) {
			return part
		}
	}
	return r.name
}

// duration prints nanoseconds with three digits.
func duration(ns float64) string {
	switch {
	case ns < 1e3:
		return fmt.Sprintf("%.3g ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.3g µs", ns/1e3)
	case ns < 1e9:
		return fmt.Sprintf("%.3g ms", ns/1e6)
	}
	return fmt.Sprintf("%.3g s", ns/1e9)
}
