// Command performance writes the figures of doc/performance.md, from the file of a run of
// make bench, so that none is typed by hand.
//
//	performance [-run bench.json] doc/performance.md doc/performance.json
//
// With -run it first copies that file to the second. Where the document asks for a figure
// that the file lacks, nothing is written.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	from := flag.String("run", "", "the file of the run whose figures take the place of those that are there")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "performance needs the document and the file of its figures: performance [-run bench.json] doc/performance.md doc/performance.json")
		os.Exit(2)
	}
	if err := update(*from, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func update(from, document, figures string) error {
	if from == "" {
		from = figures
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	r, err := parseRun(text)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	doc, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	filled, err := fill(string(doc), r)
	if err != nil {
		return fmt.Errorf("%s, with the figures of %s: %w", document, from, err)
	}
	if err := os.WriteFile(figures, text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(document, []byte(filled), 0o644)
}
