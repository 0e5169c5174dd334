package projections

import (
	"bytes"
	"fmt"
)

// CompareDocuments describes, section by section, where two documents differ.
func CompareDocuments(stored, folded []byte) []string {
	var out []string
	was, is := fieldsOf(orEmpty(stored)), fieldsOf(orEmpty(folded))
	if len(was) != len(is) {
		return []string{fmt.Sprintf("document: stored %d bytes, folded %d", len(stored), len(folded))}
	}
	for i := range was {
		if a, b := was[i].value, is[i].value; was[i].name != is[i].name || !bytes.Equal(a, b) {
			at := 0
			for at < len(a) && at < len(b) && a[at] == b[at] {
				at++
			}
			out = append(out, fmt.Sprintf("%s: differs at byte %d: stored …%s, folded …%s", is[i].name, at, excerpt(a, at), excerpt(b, at)))
		}
	}
	if out == nil {
		out = []string{fmt.Sprintf("document: stored %d bytes, folded %d", len(stored), len(folded))}
	}
	return out
}

// orEmpty is an empty object in the place of no document.
func orEmpty(doc []byte) []byte {
	if len(doc) == 0 {
		return []byte("{}")
	}
	return doc
}

// excerpt is the text around an index, quoted.
func excerpt(b []byte, at int) string {
	return fmt.Sprintf("%q", b[max(0, min(at, len(b))-12):min(len(b), at+24)])
}
