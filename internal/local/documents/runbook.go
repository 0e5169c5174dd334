package documents

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Entry is what a runbook says of one alert or one exit status.
type Entry struct {
	Heading string
	Line    int
	Parts   map[string]Part // by their name, such as "Look"
}

// Part is a part of an entry: what stands below a paragraph that begins with its name in
// bold type and a full stop, as **Look.** does.
type Part struct {
	Text  string // the paragraphs, without blocks
	Steps []Step
}

// Step is a block of shell commands, and what it promises to print.
type Step struct {
	Block  Block
	Prints []string // lines, in this order; … stands for any text
}

var (
	entryHeading = regexp.MustCompile(`^### +(.*?) *$`)
	partName     = regexp.MustCompile(`^\*\*([A-Z][a-z ]*)\.\*\*`)
)

// Entries takes the parts below the document's headings of the third level apart. Each
// block without a language has to follow one of shell commands, whose output it promises.
func (d Document) Entries() (all []Entry, err error) {
	blocks := d.Blocks()
	var at *Part
	part, n, within := "", 0, false
	keep := func() {
		if at != nil {
			all[len(all)-1].Parts[part] = *at
		}
		at = nil
	}
	for line := range strings.Lines(d.Text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "```") {
			i := slices.IndexFunc(blocks, func(b Block) bool { return b.Line == n })
			switch {
			case i < 0 || at == nil: // the end of a block, or a block outside of all parts
			case blocks[i].Lang == "sh":
				at.Steps = append(at.Steps, Step{Block: blocks[i]})
			case blocks[i].Lang != "" || len(at.Steps) == 0 || at.Steps[len(at.Steps)-1].Prints != nil:
				return nil, fmt.Errorf("%s is not what a block of sh above it prints", blocks[i].At())
			default:
				at.Steps[len(at.Steps)-1].Prints = strings.Split(strings.TrimSuffix(blocks[i].Text, "\n"), "\n")
			}
			within = i >= 0
			continue
		}
		if within {
			continue
		}
		heading, name := entryHeading.FindStringSubmatch(line), partName.FindStringSubmatch(line)
		switch {
		case heading != nil:
			keep()
			all = append(all, Entry{Heading: heading[1], Line: n, Parts: map[string]Part{}})
		case strings.HasPrefix(line, "#"):
			keep()
		case name != nil && len(all) > 0:
			keep()
			part, at = name[1], &Part{Text: line + "\n"}
			if _, twice := all[len(all)-1].Parts[part]; twice {
				return nil, fmt.Errorf("%s:%d: %s has the part %q twice", d.Path, n, all[len(all)-1].Heading, part)
			}
		case at != nil:
			at.Text += line + "\n"
		}
	}
	keep()
	return all, nil
}

// Matches tells why an output does not hold what a step promises: each line, in their
// order, by itself; white space around it and how wide gaps are do not count.
func (s Step) Matches(output string) error {
	lines := strings.Split(output, "\n")
	for _, want := range s.Prints {
		pieces := strings.Split(spaced(want), "…")
		for i := range pieces {
			pieces[i] = regexp.QuoteMeta(pieces[i])
		}
		pattern, err := regexp.Compile("^" + strings.Join(pieces, ".*") + "$")
		if err != nil {
			return err
		}
		i := slices.IndexFunc(lines, func(line string) bool { return pattern.MatchString(spaced(line)) })
		if i < 0 {
			return fmt.Errorf("%s promises %q, and printed is:\n%s", s.Block.At(), want, output)
		}
		lines = lines[i+1:]
	}
	return nil
}

func spaced(line string) string { return strings.Join(strings.Fields(line), " ") }

// The documents whose commands a test of their own follows, where something is wrong.
const (
	Runbook  = "doc/runbook.md"
	Incident = "doc/incident.md"
)

// RunbookFirst is the runbook's entry for whoever was paged and has read nothing yet. Its parts
// are Settings, the commands that every other block goes on from; Look; and Keep.
const RunbookFirst = "You were paged: do this first"
