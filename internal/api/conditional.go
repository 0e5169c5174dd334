package api

import "strings"

// comparison is a way to compare entity tags (RFC 9110 §8.8.3.2).
type comparison bool

const (
	weakly   comparison = false // for If-None-Match
	strongly comparison = true  // for If-Match: a weak tag never matches
)

// anyMatches reports whether If-None-Match or If-Match (RFC 9110 §13.1) names etag,
// the strong tag of an existing representation: by "*", or in a list of tags. A list
// matches nothing from its first malformed element on.
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
			end := strings.IndexByte(list[1:], '"') // a tag may contain a comma, and no quote
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
