package accountexport_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"accountexport/internal/local/documents"
	"accountexport/internal/local/testrun"
)

func manuals(t *testing.T) []documents.Document {
	t.Helper()
	all, err := documents.Read(".")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLinksLeadSomewhere: what a document links to in this repository is there,
// and has the heading.
func TestLinksLeadSomewhere(t *testing.T) {
	links := 0
	anchors := map[string]map[string]bool{}
	for _, d := range manuals(t) {
		anchors[d.Path] = d.Anchors()
	}
	for _, d := range manuals(t) {
		for _, link := range d.Links() {
			if strings.Contains(link, "://") {
				continue
			}
			links++
			file, fragment, _ := strings.Cut(link, "#")
			to := path.Join(path.Dir(d.Path), file)
			if file == "" {
				to = d.Path
			}
			if _, err := os.Stat(filepath.FromSlash(to)); err != nil {
				t.Errorf("%s links to %s: %v", d.Path, link, err)
				continue
			}
			if fragment != "" && !anchors[to][fragment] {
				t.Errorf("%s links to %s, and %s has no such heading", d.Path, link, to)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

// TestReadmeIsShort: it is for newcomers.
func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(read(t, "README.md"), "\n"); lines > 80 {
		t.Errorf("README.md has %d lines: 80 are enough for a newcomer, and all else has its place in doc", lines)
	}
}

// TestMakeTargetsExist: each target of make that a document names is one.
func TestMakeTargetsExist(t *testing.T) {
	tool := testrun.Tool(t, "make", "apt-get install make")
	calls := regexp.MustCompile(`(?m)^make ([a-z-]+)`)
	var named []string
	for _, d := range manuals(t) {
		for _, s := range d.Spans() {
			if m := calls.FindStringSubmatch(s.Text); m != nil {
				named = append(named, m[1])
			}
		}
		for _, b := range d.Blocks() {
			for _, m := range calls.FindAllStringSubmatch(b.Text, -1) {
				named = append(named, m[1])
			}
		}
	}
	for _, want := range []string{"run", "test", "build"} {
		if !slices.Contains(named, want) {
			t.Errorf("no document names `make %s`", want)
		}
	}
	slices.Sort(named)
	for _, target := range slices.Compact(named) {
		if out, err := exec.Command(tool, "--dry-run", target).CombinedOutput(); err != nil {
			t.Errorf("make %s: %v: %s", target, err, out)
		}
	}
}

// TestProgramsNameHeadings: where a program or a comment sends somebody to a
// heading of a document, it is there.
func TestProgramsNameHeadings(t *testing.T) {
	headings := map[string][]string{}
	for _, d := range manuals(t) {
		headings[d.Path] = d.Headings()
	}
	files, err := goFiles(".go")
	if err != nil {
		t.Fatal(err)
	}
	named, found := regexp.MustCompile(`\b((?:doc/)?[A-Za-z]+\.md), (?:" \+\s*")?\\"([^"\\]+)\\"`), 0
	for _, file := range files {
		for _, m := range named.FindAllStringSubmatch(read(t, file), -1) {
			found++
			if !slices.Contains(headings[m[1]], m[2]) {
				t.Errorf("%s names %q of %s, which has no such heading", file, m[2], m[1])
			}
		}
	}
	if found < 2 {
		t.Errorf("only %d such were found", found)
	}
}

// goFiles are the files of this module whose names end so.
func goFiles(suffix string) (files []string, err error) {
	err = filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(file, suffix) {
			files = append(files, file)
		}
		return err
	})
	return files, err
}
