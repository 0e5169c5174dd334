package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A place for figures is between two comments. The first says which: `figures TITLE` is a
// table with a row a figure; `columns TITLE` has a column for each word that is before a
// colon in what a figure is, and `rows TITLE` a row for each; `machine` says what was measured on; `sizing` has the
// formulas.
var place = regexp.MustCompile(`(?s)<!-- (figures|columns|rows|machine|sizing)(?: ([^>]*?))? -->\n.*?<!-- end -->`)

// fill gives the document with the figures of a run in all places.
func fill(document string, r *runs) (string, error) {
	var first error
	filled := place.ReplaceAllStringFunc(document, func(at string) string {
		m := place.FindStringSubmatch(at)
		text, err := render(m[1], m[2], r)
		if err != nil && first == nil {
			first = err
		}
		begin, _, _ := strings.Cut(at, "\n")
		return begin + "\n" + text + "<!-- end -->"
	})
	if places, begun := len(place.FindAllString(document, -1)), strings.Count(document, "<!-- end -->"); places != begun || places == 0 {
		return "", fmt.Errorf("%d places for figures begin, and %d end", places, begun)
	}
	return filled, first
}

func render(kind, title string, r *runs) (string, error) {
	switch kind {
	case "machine":
		return r.describe(), nil
	case "sizing":
		return renderSizing(r)
	}
	rows, of, err := r.table(title)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if of.Short {
		b.WriteString("Of a short run, with less of everything:\n\n")
	}
	if kind == "columns" || kind == "rows" {
		b.WriteString(grid(rows, kind == "rows"))
		return b.String(), nil
	}
	b.WriteString("| | median | least to greatest | turns |\n| --- | ---: | ---: | ---: |\n")
	for _, is := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %d |\n", is.What, withUnit(is), spread(is), is.Turns)
	}
	return b.String(), nil
}

// grid has a row for what is after the colon, and a column for what is before it, or the
// other way round.
func grid(rows []result, turned bool) string {
	var across, down []string
	cells := map[[2]string]string{}
	for _, is := range rows {
		column, row, ok := strings.Cut(is.What, ": ")
		if !ok {
			column, row = "", is.What
		}
		column, row = strings.TrimSpace(column), strings.TrimSpace(row)
		if turned {
			column, row = row, column
		}
		if !slices.Contains(across, column) {
			across = append(across, column)
		}
		if !slices.Contains(down, row) {
			down = append(down, row)
		}
		cells[[2]string{column, row}] = withUnit(is)
		if is.Turns > 1 && is.Least != is.Greatest {
			cells[[2]string{column, row}] += " (" + spread(is) + ")"
		}
	}
	var b strings.Builder
	b.WriteString("| |")
	for _, c := range across {
		b.WriteString(" " + c + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" ---: |", len(across)) + "\n")
	for _, row := range down {
		b.WriteString("| " + row + " |")
		for _, c := range across {
			b.WriteString(" " + cells[[2]string{c, row}] + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

func withUnit(is result) string { return strings.TrimSpace(number(is.Median) + " " + is.Unit) }

func spread(is result) string { return number(is.Least) + " to " + number(is.Greatest) }

// describe says what was measured on, and when.
func (all *runs) describe() string {
	var b strings.Builder
	m, versions := all.Runs[0].Machine, map[string]string{}
	fmt.Fprintf(&b, "Taken on %d cores (%s), with %s of memory, %s %s (%s):\n\n| part | commit | load at its end | |\n| --- | --- | --- | --- |\n",
		m.Cores, m.CPU, m.Memory, m.OS, m.Kernel, m.Arch)
	for _, r := range all.Runs {
		maps.Copy(versions, r.Versions)
		length := ""
		if r.Short {
			length = "short: it shows the form, and what is broken, and not the speed"
		}
		fmt.Fprintf(&b, "| %s, %v | `%s` | %s | %s |\n", r.Began.UTC().Format("2006-01-02 15:04"), time.Duration(r.Seconds)*time.Second, r.Commit, r.Machine.Load, length)
	}
	b.WriteString("\n| | version |\n| --- | --- |\n")
	for _, of := range slices.Sorted(maps.Keys(versions)) {
		fmt.Fprintf(&b, "| %s | %s |\n", of, versions[of])
	}
	return b.String()
}
