// Package documents reads the project's manuals as tests see them: their links
// and headings, the commands between backticks, and the blocks of shell commands
// with what says who runs them.
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
	Path string // below the repository's root, with slashes
	Text string
}

// Read reads README.md, CONTRIBUTING.md and doc/*.md, in this order, of the
// repository at root.
func Read(root string) ([]Document, error) {
	names, err := filepath.Glob(filepath.Join(root, "doc", "*.md"))
	if err != nil {
		return nil, err
	}
	names = append([]string{filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")}, names...)
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

// Block is what lies between two fences.
type Block struct {
	Path string // of its document
	Line int    // of its opening fence
	Lang string
	Text string

	// What a comment right above the block says.
	RunBy        []string // <!-- run by TestA, TestB -->: the tests that follow it
	KeepsRunning bool     // <!-- keeps running -->: it does not end by itself
	NothingRuns  bool     // <!-- nothing runs, and the database is empty -->: that is so before it
	Comment      string   // as it stands, where it says none of these
}

// At is where a block is, for whoever is to look at it.
func (b Block) At() string { return fmt.Sprintf("%s:%d", b.Path, b.Line) }

// Span is the text between two backticks.
type Span struct {
	Path string
	Line int // of the paragraph that holds it
	Text string
}

var comment = regexp.MustCompile(`^<!-- (.*) -->$`)

// Blocks are all fenced blocks, in order.
func (d Document) Blocks() []Block {
	blocks, _ := d.parts()
	return blocks
}

// Prose is the document with its fenced blocks left out, and empty lines in their
// place.
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
				open.told(m[1])
			}
		default:
			kept.WriteString(line)
		}
		kept.WriteByte('\n')
		above = line
	}
	return blocks, kept.String()
}

func (b *Block) told(comment string) {
	tests, run := strings.CutPrefix(comment, "run by ")
	switch {
	case run:
		b.RunBy = strings.Split(tests, ", ")
	case comment == "keeps running":
		b.KeepsRunning = true
	case comment == "nothing runs, and the database is empty":
		b.NothingRuns = true
	default:
		b.Comment = comment
	}
}

// Spans are the texts between backticks, outside of blocks. A span may go on in
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

// Headings are the document's headings, as they stand.
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

// Links are what the document's links point at, as they stand.
func (d Document) Links() (all []string) {
	for _, m := range target.FindAllStringSubmatch(d.Prose(), -1) {
		all = append(all, m[1])
	}
	return all
}

// Anchors are the fragments by which GitHub knows the document's headings.
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
