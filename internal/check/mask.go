package check

import "strings"

// maskedParts takes a masked reason apart.
func maskedParts(reason, field string) (found, want string) {
	rest := strings.TrimPrefix(reason, field+": found ")
	at := strings.LastIndex(rest, ", want ")
	if at < 0 {
		return "", ""
	}
	return rest[:at], rest[at+len(", want "):]
}

// maskUnread says what is wrong with what is no event: without what was found, unless
// values are asked for.
func maskUnread(err error, values bool) string {
	text := err.Error()
	at := strings.LastIndex(text, ", want ")
	if at < 0 || values {
		return text
	}
	field, _, ok := strings.Cut(text[:at], ": found ")
	if !ok || strings.Trim(field, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "found something else" + text[at:]
	}
	return field + ": found something else" + text[at:]
}
