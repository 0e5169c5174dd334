package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/clipperhouse/displaywidth"

	"accountexport/internal/cli"
)

// table prints lines that fit a terminal, whatever is in them: a text that is too
// long for its column is cut, and ends in …. Numbers and times are never cut.
type table struct {
	out     io.Writer
	width   int // of a line
	columns []column
	begun   bool
}

// column is one of them; the last has what is left of the line.
type column struct {
	title string
	width int // characters
}

func newTable(out io.Writer, columns ...column) *table {
	return &table{out: out, width: cli.Width(out), columns: columns}
}

// line prints a line, with the titles above the first one.
func (t *table) line(cells ...string) error {
	if !t.begun {
		t.begun = true
		titles := make([]string, len(t.columns))
		for i, c := range t.columns {
			titles[i] = c.title
		}
		if err := t.line(titles...); err != nil {
			return err
		}
	}
	var b strings.Builder
	for i, cell := range cells {
		width := t.columns[i].width
		if i == len(cells)-1 { // a number before it may have been too long for its column
			width = max(10, t.width-displaywidth.String(b.String()))
		}
		cell = cut(cli.Printable(cell), width)
		if b.WriteString(cell); i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", max(0, width-displaywidth.String(cell))+2))
		}
	}
	_, err := fmt.Fprintln(t.out, strings.TrimRight(b.String(), " "))
	return err
}

// cut is a text in at most so many characters of a terminal's. A whole number is
// left as it is.
func cut(s string, width int) string {
	if strings.Trim(s, "0123456789") == "" {
		return s
	}
	return displaywidth.TruncateString(s, width, "…")
}
