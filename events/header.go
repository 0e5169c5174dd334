package events

import (
	"slices"
	"strings"
)

// headerValues are the values of a header, its name compared without case, in
// the order of the names as they are spelled.
func headerValues(h map[string][]string, name string) []string {
	var first string
	found := 0
	for key := range h {
		if equalFold(key, name) {
			first = key
			found++
		}
	}
	switch found {
	case 0:
		return nil
	case 1:
		return h[first]
	}
	var spelled []string
	for key := range h {
		if equalFold(key, name) {
			spelled = append(spelled, key)
		}
	}
	slices.Sort(spelled)
	var out []string
	for _, key := range spelled {
		out = append(out, h[key]...)
	}
	return out
}

// equalFold compares header names: without the case of ASCII letters, and of
// those alone.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lowerByte(a[i]) != lowerByte(b[i]) {
			return false
		}
	}
	return true
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, lowerByte(s[i]))
	}
	return b
}

// appendPercentDecoded decodes once; a % that starts no valid escape stands for
// itself.
func appendPercentDecoded(b []byte, s string) []byte {
	if strings.IndexByte(s, '%') < 0 {
		return append(b, s...)
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && hexDigit(s[i+1]) < 16 && hexDigit(s[i+2]) < 16 {
			b = append(b, hexDigit(s[i+1])<<4|hexDigit(s[i+2]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return b
}

// mediaType is a content type without its parameters.
func mediaType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.Trim(s, " \t")
}

// jsonMediaType tells whether a content type is */json or */*+json.
func jsonMediaType(s string) bool {
	t := mediaType(s)
	main, sub, ok := strings.Cut(t, "/")
	if !ok || !token(main) || !token(sub) {
		return false
	}
	if suffix := len(sub) - len("+json"); suffix > 0 && equalFold(sub[suffix:], "+json") {
		return true
	}
	return equalFold(sub, "json")
}

// token tells whether s is a token of RFC 9110.
func token(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return s != ""
}
