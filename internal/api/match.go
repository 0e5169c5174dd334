package api

import "strings"

// anyMatches tells whether If-None-Match names the entity tag of what exists
// (RFC 9110 §13.1.2): "*", or a list of tags compared weakly. What is not in
// the form of a list matches nothing from there on.
func anyMatches(fields []string, etag string) bool {
	etag = strings.TrimPrefix(etag, "W/")
	for _, list := range fields {
		if strings.Trim(list, " \t") == "*" {
			return true
		}
		for {
			list = strings.TrimLeft(list, " \t,")
			list = strings.TrimPrefix(list, "W/")
			if !strings.HasPrefix(list, `"`) {
				break
			}
			end := strings.IndexByte(list[1:], '"') // a tag may hold a comma, and no quote
			if end < 0 {
				break
			}
			if list[:end+2] == etag {
				return true
			}
			list = list[end+2:]
		}
	}
	return false
}
