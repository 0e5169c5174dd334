package bench

import (
	"fmt"
	"slices"
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

// result is the median of the values, with the least and the greatest.
func (s *series) result(benchmark, title string) result {
	sorted := slices.Sorted(slices.Values(s.values))
	n := len(sorted)
	median := sorted[n/2]
	if n%2 == 0 {
		median = (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return result{benchmark, title, s.what, s.unit, median, sorted[0], sorted[n-1], n}
}

func (r *report) print() {
	fmt.Printf("\n%s\n", r.title)
	for _, s := range r.series {
		is := s.result(r.b.Name(), r.title)
		spread := ""
		if is.Turns > 1 {
			spread = fmt.Sprintf("(%s to %s, %d turns)", figure(is.Least), figure(is.Greatest), is.Turns)
		}
		fmt.Printf("  %-58s %9s %-14s %s\n", s.what, figure(is.Median), s.unit, spread)
		taken.add(is)
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
