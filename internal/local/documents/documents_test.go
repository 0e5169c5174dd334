package documents_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/local/documents"
)

// TestDocumentIsTakenApart: blocks with the comments above them, spans over line ends
// and in tables, links, and anchors as GitHub forms them.
func TestDocumentIsTakenApart(t *testing.T) {
	d := documents.Document{Path: "d.md", Text: strings.ReplaceAll(`# What 'is' it, [really](x.md)?

Call 'projector
status', or '''' '''sh '''' alone; see [b](#c).

<!-- run by TestA, TestB -->
'''sh
projector run   # [no](link)
'''

<!-- keeps running -->
'''sh
api
'''

## Again

| 'a\|b' |

## Again

'''
# no heading
'''
`, "'", "`")}
	blocks := []documents.Block{
		{Path: "d.md", Line: 7, Lang: "sh", Text: "projector run   # [no](link)\n", RunBy: []string{"TestA", "TestB"}},
		{Path: "d.md", Line: 12, Lang: "sh", Text: "api\n", KeepsRunning: true},
		{Path: "d.md", Line: 22, Text: "# no heading\n"},
	}
	if diff := cmp.Diff(blocks, d.Blocks()); diff != "" {
		t.Errorf("blocks: %s", diff)
	}
	var spans []string
	for _, s := range d.Spans() {
		spans = append(spans, s.Text)
	}
	if diff := cmp.Diff([]string{"is", "projector status", "```sh", "a|b"}, spans); diff != "" {
		t.Errorf("spans: %s", diff)
	}
	if diff := cmp.Diff([]string{"x.md", "#c"}, d.Links()); diff != "" {
		t.Errorf("links: %s", diff)
	}
	if diff := cmp.Diff(map[string]bool{"what-is-it-really": true, "again": true, "again-1": true}, d.Anchors()); diff != "" {
		t.Errorf("anchors: %s", diff)
	}
}
