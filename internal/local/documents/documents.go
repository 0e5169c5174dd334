// Package documents reads the project's manuals for tests: their links and headings,
// the commands between backticks, and the blocks of shell commands, with the comments
// that say which test runs them.
package documents

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Document is one of the manuals.
type Document struct {
	Path string // relative to the repository's root, with slashes
	Text string
}

// Read reads README.md, CONTRIBUTING.md, doc/*.md and examples/postgres/README.md, in
// this order, of the repository at root.
func Read(root string) ([]Document, error) {
	names, err := filepath.Glob(filepath.Join(root, "doc", "*.md"))
	if err != nil {
		return nil, err
	}
	names = append([]string{filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")}, names...)
	names = append(names, filepath.Join(root, "examples", "postgres", "README.md"))
	var all []Document
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		path, err := filepath.Rel(root, name)
		if err != nil {
			return nil, err
		}
		all = append(all, Document{filepath.ToSlash(path), string(b)})
	}
	return all, nil
}

// Block is a fenced block.
type Block struct {
	Path string // of its document
	Line int    // of its opening fence
	Lang string
	Text string

	// What a comment directly above the block says.
	RunBy        []string // <!-- run by TestA, TestB -->: the tests that run it
	KeepsRunning bool     // <!-- keeps running -->, <!-- run by TestA; keeps running -->: it does not end by itself
	NothingRuns  bool     // <!-- nothing runs, and the database is empty -->: its precondition
	Comment      string   // any other comment, verbatim
}

// At returns the block's file and line, for test failures.
func (b Block) At() string { return fmt.Sprintf("%s:%d", b.Path, b.Line) }

// Span is a text between backticks.
type Span struct {
	Path string
	Line int // of the paragraph that contains it
	Text string
}

var comment = regexp.MustCompile(`^<!-- (.*) -->$`)

// Blocks returns all fenced blocks, in order.
func (d Document) Blocks() []Block {
	blocks, _ := d.parts()
	return blocks
}

// Prose returns the document with empty lines in place of its fenced blocks.
func (d Document) Prose() string {
	_, prose := d.parts()
	return prose
}

func (d Document) parts() (blocks []Block, prose string) {
	var kept strings.Builder
	var open *Block
	above, n := "", 0
	for line := range strings.Lines(d.Text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && line == "```":
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.Text += line + "\n"
		case fence && !strings.Contains(lang, "`"):
			open = &Block{Path: d.Path, Line: n, Lang: lang}
			if m := comment.FindStringSubmatch(above); m != nil {
				open.annotate(m[1])
			}
		default:
			kept.WriteString(line)
		}
		kept.WriteByte('\n')
		above = line
	}
	return blocks, kept.String()
}

// annotate sets the field that a comment above the block stands for.
func (b *Block) annotate(comment string) {
	tests, run := strings.CutPrefix(comment, "run by ")
	switch {
	case run:
		tests, b.KeepsRunning = strings.CutSuffix(tests, "; keeps running")
		b.RunBy = strings.Split(tests, ", ")
	case comment == "keeps running":
		b.KeepsRunning = true
	case comment == "nothing runs, and the database is empty":
		b.NothingRuns = true
	default:
		b.Comment = comment
	}
}

// Spans returns the texts between backticks outside of blocks. A span may continue on
// the next line; in a table a bar is written \|.
func (d Document) Spans() (spans []Span) {
	line := 1
	for paragraph := range strings.SplitSeq(d.Prose(), "\n\n") {
		for rest := paragraph; ; {
			from := strings.IndexByte(rest, '`')
			if from < 0 {
				break
			}
			rest = rest[from:]
			mark := rest[:len(rest)-len(strings.TrimLeft(rest, "`"))]
			text, after, closed := strings.Cut(rest[len(mark):], mark)
			if !closed {
				break
			}
			spans = append(spans, Span{d.Path, line, strings.ReplaceAll(strings.Join(strings.Fields(text), " "), `\|`, "|")})
			rest = after
		}
		line += strings.Count(paragraph, "\n") + 2
	}
	return spans
}

var heading = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)

// Headings returns the text of the document's headings.
func (d Document) Headings() (all []string) {
	for _, m := range heading.FindAllStringSubmatch(d.Prose(), -1) {
		all = append(all, m[1])
	}
	return all
}

var (
	target = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	label  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	noWord = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)
)

// Links returns the targets of the document's links.
func (d Document) Links() (all []string) {
	for _, m := range target.FindAllStringSubmatch(d.Prose(), -1) {
		all = append(all, m[1])
	}
	return all
}

// Anchors returns the fragments by which GitHub links to the document's headings.
func (d Document) Anchors() map[string]bool {
	anchors := map[string]bool{}
	for _, h := range d.Headings() {
		slug := label.ReplaceAllString(h, "$1")
		slug = strings.ReplaceAll(noWord.ReplaceAllString(strings.ToLower(slug), ""), " ", "-")
		name := slug
		for i := 1; anchors[name]; i++ {
			name = fmt.Sprint(slug, "-", i)
		}
		anchors[name] = true
	}
	return anchors
}
