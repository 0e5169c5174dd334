package main

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	document = "../../../doc/performance.md"
	figures  = "../../../doc/performance.json"
)

func readRun(t *testing.T) *runs {
	t.Helper()
	r, err := parseRuns([]byte(read(t, figures)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentHasTheFiguresOfItsRun: all tables and results in the document are those
// that doc/performance.json gives.
func TestDocumentHasTheFiguresOfItsRun(t *testing.T) {
	doc := read(t, document)
	want, err := fill(doc, readRun(t))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Errorf("`make performance BENCH_JSON=doc/performance.json` mends it (- the run's, + the document's):\n%s", diff)
	}
}

// formulaRow is a row of the document's tables of sizing.
var (
	givenRow   = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]* \\| ([0-9.,]+) \\|$")
	formulaRow = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| [^|]* \\| `([^`]*)` \\| ([0-9.,e+-]+)[^|]*\\|$")
	figureName = regexp.MustCompile(`"([^"]+) / ([^"]+)"`)
)

// TestFormulasCanBeRedone does what a reader does: it takes what is given, the formulas
// and the figures as they are printed in the document's tables, computes, and compares
// with what is printed, within what rounding to three digits may do.
func TestFormulasCanBeRedone(t *testing.T) {
	doc, known := read(t, document), map[string]float64{}
	r := readRun(t)
	for _, m := range givenRow.FindAllStringSubmatch(doc, -1) {
		known[m[1]] = parse(t, m[2])
	}
	formulas := formulaRow.FindAllStringSubmatch(doc, -1)
	if len(known) != len(given) || len(formulas) != len(sizing) {
		t.Fatalf("the document gives %d values, want %d, and has %d formulas, want %d", len(known), len(given), len(formulas), len(sizing))
	}
	for _, m := range formulas {
		for _, f := range figureName.FindAllStringSubmatch(m[2], -1) {
			if !strings.Contains(doc, "| "+f[2]+" |") && !strings.Contains(doc, "| "+f[2][strings.Index(f[2], ": ")+2:]+" |") {
				t.Errorf("the formula of %s names %q, which no table has", m[1], f[0])
			}
		}
		got, err := evaluate(m[2], known, func(name string) (float64, error) {
			v, err := r.median(name)
			if err != nil {
				return 0, err
			}
			return parse(t, number(v)), nil // as it is printed
		})
		if err != nil {
			t.Error(err)
			continue
		}
		printed := parse(t, m[3])
		off := 0.02*math.Abs(printed) + 1e-9
		if strings.Contains(m[2], "ceil") {
			off++ // where what is rounded up is near a whole number
		}
		if math.Abs(got-printed) > off {
			t.Errorf("%s: %s is %v, and %v is printed", m[1], m[2], got, printed)
		}
		known[m[1]] = printed
	}
}

func parse(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFormulas(t *testing.T) {
	figure := func(name string) (float64, error) {
		r := &runs{Runs: []*run{{Results: []result{{Title: "A, b", What: "c: d", Median: 8}}}}}
		return r.median(name)
	}
	given := map[string]float64{"x": 3}
	for formula, want := range map[string]float64{
		`2 + x * 4`:                    14,
		`(2 + x) * 4 - 1e1 / 4`:        17.5,
		`max(x, ceil(2.1)) + min(1,x)`: 4,
		`x * "A, b / c: d"`:            24,
	} {
		if got, err := evaluate(formula, given, figure); err != nil || got != want {
			t.Errorf("%s = %v, %v; want %v", formula, got, err, want)
		}
	}
	for formula, says := range map[string]string{
		`y + 1`:       "nothing is called y",
		`"A, b / e"`:  `no figure is called "A, b / e"`,
		`x / 0`:       "+Inf",
		`len(x)`:      "a formula has",
		`x % 2`:       "a formula has",
		`x +`:         "expected operand",
		`x.y`:         "a formula has",
		`max(x)`:      "a formula has",
		`x * 'a' + 1`: "invalid syntax",
	} {
		if _, err := evaluate(formula, given, figure); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want %q", formula, err, says)
		}
	}
}

// TestNothingIsWrittenWithoutAFigure: a run that lacks what the document asks for leaves
// both files as they are, and the error says what is missing.
func TestNothingIsWrittenWithoutAFigure(t *testing.T) {
	dir := t.TempDir()
	doc, json, bench := filepath.Join(dir, "p.md"), filepath.Join(dir, "p.json"), filepath.Join(dir, "bench.json")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const table = "<!-- figures T -->\nold\n<!-- end -->\n"
	write(doc, "a\n\n"+table+"b\n<!-- columns U -->\n<!-- end -->\n")
	write(json, "old")
	write(bench, `{"results":[{"title":"T","what":"w","unit":"ms","median":1234.5,"least":0.5,"greatest":20.25,"turns":3}]}`)
	if err := update([]string{bench}, doc, json); err == nil || !strings.Contains(err.Error(), `no table is called "U"`) {
		t.Errorf("%v", err)
	}
	if read(t, json) != "old" || !strings.Contains(read(t, doc), "\nold\n") {
		t.Error("something was written")
	}
	write(doc, "a\n\n"+table+"b\n<!-- columns U -->\n<!-- end -->\n")
	write(bench, `{"results":[{"title":"T","what":"w","unit":"ms","median":1234.5,"least":0.5,"greatest":20.25,"turns":3},
{"title":"U","what":"ours: rate","unit":"%","median":1,"turns":1},{"title":"U","what":"theirs: rate","unit":"%","median":2,"least":1,"greatest":3,"turns":2}]}`)
	if err := update([]string{bench}, doc, json); err != nil {
		t.Fatal(err)
	}
	want := `a

<!-- figures T -->
| | median | least to greatest | turns |
| --- | ---: | ---: | ---: |
| w | 1,234 ms | 0.5 to 20.2 | 3 |
<!-- end -->
b
<!-- columns U -->
| | ours | theirs |
| --- | ---: | ---: |
| rate | 1 % | 2 % (1 to 3) |
<!-- end -->
`
	if diff := cmp.Diff(want, read(t, doc)); diff != "" {
		t.Errorf("(- want, + got):\n%s", diff)
	}
	kept := read(t, json)
	if err := update(nil, doc, json); err != nil || read(t, json) != kept || read(t, doc) != want {
		t.Errorf("what was kept gives another document: %v", err)
	}
	write(doc, "<!-- figures T -->\nno end\n")
	if err := update([]string{bench}, doc, json); err == nil {
		t.Error("a place without an end is taken")
	}
}

// TestPartsOfARun: a run may be of several parts, each with tables of its own, and what was
// short in it is marked as such.
func TestPartsOfARun(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const figures = `"results":[{"title":"%s","what":"w","unit":"ms","median":1,"least":1,"greatest":1,"turns":1}]}`
	part := func(begin, title string) string { return begin + strings.Replace(figures, "%s", title, 1) }
	whole := file("whole.json", part(`{"commit":"c1","versions":{"Go":"1"},`, "T"))
	short := file("short.json", part(`{"commit":"c2","short":true,"versions":{"PostgreSQL":"2"},`, "U"))
	doc := file("p.md", "<!-- machine -->\n<!-- end -->\n<!-- figures T -->\n<!-- end -->\n<!-- figures U -->\n<!-- end -->\n")
	kept := filepath.Join(dir, "p.json")
	if err := update([]string{whole, short}, doc, kept); err != nil {
		t.Fatal(err)
	}
	text := read(t, doc)
	for _, says := range []string{"`c1` |  |  |\n", "`c2` |  | short", "| Go | 1 |", "| PostgreSQL | 2 |",
		"figures T -->\n| | median", "figures U -->\nOf a short run, with less of everything:\n\n| | median"} {
		if !strings.Contains(text, says) {
			t.Errorf("the document lacks %q:\n%s", says, text)
		}
	}
	again := file("again.json", part(`{"commit":"c3",`, "T"))
	if err := update([]string{whole, short, again}, doc, kept); err == nil || !strings.Contains(err.Error(), `two runs have the table "T"`) {
		t.Errorf("two parts with one table: %v", err)
	}
	if read(t, doc) != text {
		t.Error("something was written")
	}
}
