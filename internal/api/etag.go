package api

import "strings"

// comparison is how entity tags are compared (RFC 9110 §8.8.3.2).
type comparison bool

const (
	weakly   comparison = false // of If-None-Match
	strongly comparison = true  // of If-Match: a weak tag is never the same
)

// anyMatches tells whether If-None-Match or If-Match names the entity tag,
// which is a strong one, of what exists (RFC 9110 §13.1): "*", or a list of
// tags. What is not in the form of a list matches nothing from there on.
func anyMatches(fields []string, etag string, compared comparison) bool {
	for _, list := range fields {
		if strings.Trim(list, " \t") == "*" {
			return true
		}
		for {
			list = strings.TrimLeft(list, " \t,")
			var weak bool
			list, weak = strings.CutPrefix(list, "W/")
			if !strings.HasPrefix(list, `"`) {
				break
			}
			end := strings.IndexByte(list[1:], '"') // a tag may hold a comma, and no quote
			if end < 0 {
				break
			}
			if list[:end+2] == etag && !(weak && compared == strongly) {
				return true
			}
			list = list[end+2:]
		}
	}
	return false
}
