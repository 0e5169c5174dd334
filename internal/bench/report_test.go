package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

// report collects the figures of one benchmark. What is to be compared is measured in
// turns, one after the other, so that whatever else the machine does meets all alike;
// the figures are medians, and beside them stand the least and the greatest.
type report struct {
	b      *testing.B
	title  string
	series []*series
}

// series are the values of one figure.
type series struct {
	what, unit string
	values     []float64
}

// newReport begins a table, which is printed, and added to the file of all results, when
// the benchmark ends.
func newReport(b *testing.B, title string) *report {
	r := &report{b: b, title: title}
	b.Cleanup(r.print)
	return r
}

// add adds a value, of one turn, to a figure. Figures are printed in the order in which
// they first came.
func (r *report) add(what, unit string, value float64) {
	for _, s := range r.series {
		if s.what == what {
			s.values = append(s.values, value)
			return
		}
	}
	r.series = append(r.series, &series{what, unit, []float64{value}})
}

// result is a figure as it stands in the file.
type result struct {
	Benchmark string  `json:"benchmark"`
	Title     string  `json:"title"`
	What      string  `json:"what"`
	Unit      string  `json:"unit"`
	Median    float64 `json:"median"`
	Least     float64 `json:"least"`
	Greatest  float64 `json:"greatest"`
	Turns     int     `json:"turns"`
}

// results are those of all benchmarks of this process.
var results struct {
	sync.Mutex
	all []result
}

func (r *report) print() {
	fmt.Printf("\n%s\n", r.title)
	for _, s := range r.series {
		slices.Sort(s.values)
		n := len(s.values)
		m := s.values[n/2]
		if n%2 == 0 {
			m = (s.values[n/2-1] + s.values[n/2]) / 2
		}
		spread := ""
		if n > 1 {
			spread = fmt.Sprintf("(%s to %s, %d turns)", figure(s.values[0]), figure(s.values[n-1]), n)
		}
		fmt.Printf("  %-52s %9s %-14s %s\n", s.what, figure(m), s.unit, spread)
		results.Lock()
		results.all = append(results.all, result{r.b.Name(), r.title, s.what, s.unit, m, s.values[0], s.values[n-1], n})
		results.Unlock()
	}
}

// figure is a number with three significant digits.
func figure(v float64) string {
	switch abs := max(v, -v); {
	case abs >= 100 || abs == 0:
		return fmt.Sprintf("%.0f", v)
	case abs >= 10:
		return fmt.Sprintf("%.1f", v)
	case abs >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// writeResults writes the file that BENCH_JSON names: all results, what they were
// measured on, and the versions of what was measured.
func writeResults() error {
	path := os.Getenv("BENCH_JSON")
	if path == "" {
		return nil
	}
	versions := map[string]string{"go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			for _, name := range []string{"nats-server/v2", "nats.go", "pgx/v5", "gorilla/mux", "client_golang", "klauspost/compress"} {
				if strings.HasSuffix(m.Path, name) {
					versions[m.Path] = m.Version
				}
			}
		}
	}
	text, err := json.MarshalIndent(map[string]any{"machine": machine(), "versions": versions, "results": results.all}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// machine says what was measured on.
func machine() map[string]any {
	m := map[string]any{"os": runtime.GOOS, "arch": runtime.GOARCH, "cores": runtime.NumCPU()}
	field := func(path, name string) string {
		text, _ := os.ReadFile(path) // without it the field is empty
		for line := range strings.Lines(string(text)) {
			if before, after, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(before) == name {
				return strings.TrimSpace(after)
			}
		}
		return ""
	}
	m["cpu"], m["memory"] = field("/proc/cpuinfo", "model name"), field("/proc/meminfo", "MemTotal")
	load, _ := os.ReadFile("/proc/loadavg")
	m["load"] = strings.TrimSpace(string(load))
	return m
}
