package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rivo/uniseg"
)

// TestLinesFit: whatever is in it, a line has at most so many characters of a
// terminal's, numbers are whole, and what is cut says so.
func TestLinesFit(t *testing.T) {
	for _, width := range []int{80, 120} {
		var out bytes.Buffer
		l := &table{out: &out, width: width, columns: []column{{"POSITION", 9}, {"TYPE", 20}, {"REASON", 0}}}
		for _, text := range []string{"", "short", strings.Repeat("long ", 50), strings.Repeat("長い", 60), strings.Repeat("e\u0301", 90),
			strings.Repeat("👩🏽\u200d🚀", 40), "\x1b[2J\n\u202e" + strings.Repeat("x", 100)} {
			if err := l.line("1234567890123456789", text, text); err != nil {
				t.Fatal(err)
			}
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 8 || !strings.HasPrefix(lines[0], "POSITION") {
			t.Fatalf("%d lines:\n%s", len(lines), &out)
		}
		for i, line := range lines {
			if n := uniseg.StringWidth(line); n > width || i > 0 && !strings.HasPrefix(line, "1234567890123456789") || i > 2 && !strings.HasSuffix(line, "…") {
				t.Errorf("%d of %d characters: %s", n, width, line)
			}
		}
	}
}
