package acts

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestFoldFactorIsAsMeasured: by how much a rebuild is expected to take longer than reading alone is
// what doc/performance.md has measured, but for the half or twice that is said beside it.
func TestFoldFactorIsAsMeasured(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../doc/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rebuild, _ := strings.Cut(string(text), "\n## Rebuild\n")
	rebuild, _, _ = strings.Cut(rebuild, "\n## ")
	found := regexp.MustCompile(`\| share of raw reading \| ([0-9.]+) % \|`).FindAllStringSubmatch(rebuild, -1)
	if len(found) != 2 {
		t.Fatalf("%d shares of raw reading are in doc/performance.md's figures of rebuilds, want 2", len(found))
	}
	var least, greatest float64
	for _, f := range found {
		share, err := strconv.ParseFloat(f[1], 64)
		if err != nil || share <= 0 {
			t.Fatalf("a share of %q %%: %v", f[1], err)
		}
		if factor := 100 / share; least == 0 {
			least, greatest = factor, factor
		} else {
			least, greatest = min(least, factor), max(greatest, factor)
		}
	}
	if foldFactor < least/2 || foldFactor > 2*greatest {
		t.Errorf("a rebuild is expected to take %d times as long as reading alone, and by doc/performance.md it takes %.1f to %.1f times as long", foldFactor, least, greatest)
	}
}

// TestMaxRateIsOfAllProcesses: 12,000 messages by two processes in 8 passes each, at 6,000 a second
// together, took 7 s: each reads all at half of that, and its share once more.
func TestMaxRateIsOfAllProcesses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		Expectation
		rate int
		want float64
	}{
		{Expectation{Messages: 12_000, Workers: 1, Passes: 1}, 6000, 2},
		{Expectation{Messages: 12_000, Workers: 2, Passes: 1}, 6000, 4},
		{Expectation{Messages: 12_000, Workers: 2, Passes: 8}, 6000, 5.75},
		{Expectation{Messages: 12_000, Workers: 2, Passes: 8}, 0, 0},
	} {
		if got := c.limited(c.rate); got != c.want {
			t.Errorf("%d processes, %d passes, --max-rate %d: %v s, want %v", c.Workers, c.Passes, c.rate, got, c.want)
		}
	}
}
