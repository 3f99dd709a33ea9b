package backpressure

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// WriteMetrics writes stats in the text format of Prometheus (version 0.0.4), each under the name that
// it is given as the label "name". It knows [QueueStats], [LimiterStats], [ThrottleStats], [BudgetStats],
// [BreakerStats] and [GateStats]; of others, it returns an error before it writes anything. Times are in seconds.
//
//	http.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) {
//		backpressure.WriteMetrics(w,
//			backpressure.Metric{Name: "db", Stats: lim.Stats()},
//			backpressure.Metric{Name: "jobs", Stats: q.Stats()})
//	})
func WriteMetrics(w io.Writer, stats ...Metric) error {
	var order []string
	lines, kinds := map[string][]string{}, map[string]string{}
	for _, m := range stats {
		err := m.each(func(name, kind string, value float64) {
			name = "backpressure_" + name
			if kinds[name] == "" {
				kinds[name] = kind
				order = append(order, name)
			}
			lines[name] = append(lines[name], name+"{name="+quoteLabel(m.Name)+"} "+strconv.FormatFloat(value, 'g', -1, 64)+"\n")
		})
		if err != nil {
			return err
		}
	}
	var b strings.Builder
	for _, name := range order {
		fmt.Fprintf(&b, "# TYPE %s %s\n%s", name, kinds[name], strings.Join(lines[name], ""))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Metric is the Stats of something, and the name to write them under.
type Metric struct {
	Name  string
	Stats any // QueueStats, LimiterStats, ThrottleStats, BudgetStats, BreakerStats or GateStats
}

func (m Metric) each(emit func(name, kind string, value float64)) error {
	prefix := ""
	gauge := func(name string, v float64) { emit(prefix+name, "gauge", v) }
	counter := func(name string, v uint64) { emit(prefix+name+"_total", "counter", float64(v)) }
	seconds := func(name string, d time.Duration) { gauge(name+"_seconds", d.Seconds()) }
	switch s := m.Stats.(type) {
	case QueueStats:
		prefix = "queue_"
		gauge("length", float64(s.Len))
		gauge("capacity", float64(s.Cap))
		counter("put", s.Put)
		counter("got", s.Got)
		counter("rejected", s.Rejected)
		counter("dropped", s.Dropped)
		counter("shed", s.Shed)
		counter("late", s.Late)
		gauge("cost", float64(s.Cost))
	case LimiterStats:
		prefix = "limiter_"
		gauge("limit", float64(s.Limit))
		gauge("in_flight", float64(s.InFlight))
		gauge("waiting", float64(s.Waiting))
		counter("admitted", s.Admitted)
		counter("rejected", s.Rejected)
		counter("shed", s.Shed)
		counter("late", s.Late)
		seconds("rtt", s.RTT)
		seconds("baseline", s.Baseline)
		seconds("queue_delay", s.QueueDelay)
	case ThrottleStats:
		prefix = "throttle_"
		counter("done", s.Done)
		counter("refused", s.Refused)
		counter("throttled", s.Throttled)
	case BudgetStats:
		prefix = "budget_"
		counter("attempts", s.Attempts)
		counter("retries", s.Retries)
		counter("refused", s.Refused)
	case BreakerStats:
		prefix = "breaker_"
		gauge("known", float64(s.Known))
		gauge("open", float64(s.Open))
		counter("done", s.Done)
		counter("failed", s.Failed)
		counter("refused", s.Refused)
	case GateStats:
		prefix = "gate_"
		gauge("share", s.Share)
		counter("dark", s.Dark)
		counter("skipped", s.Skipped)
		counter("panicked", s.Panicked)
	default:
		return fmt.Errorf("backpressure: WriteMetrics: no metrics are known of a %T", m.Stats)
	}
	return nil
}

// quoteLabel quotes as the format wants it.
func quoteLabel(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(s, "?")) + `"`
}
