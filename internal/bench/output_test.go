package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// size is a number for `make bench`, or for its short form `make bench-short`, which shows what is
// broken and roughly what is slow.
func size(whole, short int) int {
	if testing.Short() {
		return short
	}
	return whole
}

// row prints a row of the table. The benchmark's own line has the ratio as well.
func row(b *testing.B, what string, figures ...string) {
	b.Helper()
	fmt.Printf("%-34s %s\n", what, strings.Join(figures, "  "))
}

func percentile(d []time.Duration, p float64) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[min(len(d)-1, int(float64(len(d))*p))]
}

func rate(n int, d time.Duration) string {
	return fmt.Sprintf("%8.1f thousand/s", float64(n)/d.Seconds()/1000)
}

func percent(part, whole time.Duration) string {
	return fmt.Sprintf("%.0f %%", 100*part.Seconds()/whole.Seconds())
}

func mebibytes(n int64) string { return fmt.Sprintf("%8.0f MiB", float64(n)/(1<<20)) }

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
