package documents_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/local/documents"
)

// TestEntriesOfARunbook: parts with their blocks, each with what it promises, and a block
// that promises for nothing is an error.
func TestEntriesOfARunbook(t *testing.T) {
	text := strings.ReplaceAll(`# R

'''sh
first
'''

### A

Means.

**Look.** Like
this:

'''sh
### no heading
look
'''

'''
a … b
c
'''

'''sh
again
'''

**Mend.** So.

## Other

### B: c
`, "'", "`")
	d := documents.Document{Path: "r.md", Text: text}
	got, err := d.Entries()
	if err != nil {
		t.Fatal(err)
	}
	want := []documents.Entry{
		{Heading: "A", Line: 7, Parts: map[string]documents.Part{
			"Look": {Text: "**Look.** Like\nthis:\n\n\n\n\n", Steps: []documents.Step{
				{Block: documents.Block{Path: "r.md", Line: 14, Lang: "sh", Text: "### no heading\nlook\n"}, Prints: []string{"a … b", "c"}},
				{Block: documents.Block{Path: "r.md", Line: 24, Lang: "sh", Text: "again\n"}}}},
			"Mend": {Text: "**Mend.** So.\n\n"}}},
		{Heading: "B: c", Line: 32, Parts: map[string]documents.Part{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, wrong := range []string{"### A\n\n**Look.**\n\n```\nx\n```\n", "### A\n\n**Look.**\n\n**Look.**\n"} {
		if got, err := (documents.Document{Text: wrong}).Entries(); err == nil {
			t.Errorf("%q is %v", wrong, got)
		}
	}
}

// TestPromisedOutput: lines in their order, each whole, with … for what differs.
func TestPromisedOutput(t *testing.T) {
	s := documents.Step{Prints: []string{"a … b", "c"}}
	for output, right := range map[string]bool{
		"x\na  1 2   b\ny\nc\n": true, "a  b\nc": false, "a 1 b\n": false, "c\na 1 b\n": false, "xa 1 b\nc": false,
	} {
		if err := s.Matches(output); (err == nil) != right {
			t.Errorf("%q: %v", output, err)
		}
	}
}
