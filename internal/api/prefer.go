package api

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest that a request waits for its position.
const maxWait = 10 * time.Second

// minPosition parses min_position from a query string; 0 if it is absent.
func minPosition(rawQuery string) (uint64, error) {
	if rawQuery == "" {
		return 0, nil
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return 0, problemBadQuery
	}
	values := query["min_position"]
	if len(values) == 0 {
		return 0, nil
	}
	if len(values) > 1 {
		return 0, problemBadPosition
	}
	for _, c := range []byte(values[0]) {
		if c < '0' || c > '9' {
			return 0, problemBadPosition
		}
	}
	position, err := strconv.ParseUint(values[0], 10, 64)
	if err != nil {
		return 0, problemBadPosition
	}
	return position, nil
}

// quoted matches a quoted string, in which commas and semicolons separate nothing.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// inQuotes replaces them by spaces, which no number contains.
var inQuotes = strings.NewReplacer(",", " ", ";", " ")

// preferredWait parses the preference "wait" (RFC 7240 §4.3), bounded by [maxWait].
// The first one counts; a malformed one is ignored.
func preferredWait(fields []string) (wait time.Duration, preferred bool) {
	for _, list := range fields {
		list = quoted.ReplaceAllStringFunc(list, inQuotes.Replace)
		for preference := range strings.SplitSeq(list, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.Trim(name, " \t"), "wait") {
				continue
			}
			value = strings.Trim(value, " \t")
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			seconds, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return 0, false
			}
			return time.Duration(min(seconds, uint64(maxWait/time.Second))) * time.Second, true
		}
	}
	return 0, false
}
