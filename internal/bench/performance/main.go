// Command performance writes the figures of doc/performance.md, from the file of a run of
// make bench, so that none is typed by hand.
//
//	performance [-run bench.json]... doc/performance.md doc/performance.json
//
// With -run it first puts that run into the second file; several of them are the parts of
// one that was made benchmark by benchmark. Where the document asks for a figure that the
// file lacks, or that two parts have, nothing is written.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	var parts []string
	flag.Func("run", "a run whose figures take the place of those that are there; given again, one more part of it", func(path string) error {
		parts = append(parts, path)
		return nil
	})
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "performance needs the document and the file of its figures: performance [-run bench.json]... doc/performance.md doc/performance.json")
		os.Exit(2)
	}
	if err := update(parts, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// update fills the document with the figures of the parts, and keeps them; without parts,
// with those that are kept.
func update(parts []string, document, figures string) error {
	all := &runs{}
	if parts == nil {
		parts = []string{figures}
	}
	for _, path := range parts {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		more, err := parseRuns(text)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		all.Runs = append(all.Runs, more.Runs...)
	}
	if err := all.check(); err != nil {
		return err
	}
	doc, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	filled, err := fill(string(doc), all)
	if err != nil {
		return fmt.Errorf("%s, with the figures of %v: %w", document, parts, err)
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(figures, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(document, []byte(filled), 0o644)
}
