package main

import (
	"strings"
	"testing"

	"github.com/schollz/progressbar/v3"
)

// TestProgressCountsThisRun: a bar that is interrupted stays where it is, and
// counts what this run has done, not what earlier ones had.
func TestProgressCountsThisRun(t *testing.T) {
	for _, done := range []bool{false, true} {
		var out strings.Builder
		p := newProgress(&out)
		p.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(&out), progressbar.OptionShowCount())
		p.at(900, 1000)
		p.at(925, 1000)
		p.end(done)
		last := out.String()[strings.LastIndexByte(out.String(), '\r')+1:]
		if done != strings.Contains(last, "100%") || strings.Contains(out.String(), "92") || !strings.Contains(out.String(), "25%") {
			t.Errorf("done %v: %q", done, out.String())
		}
	}
}
