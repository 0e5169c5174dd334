package events

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Invalid is why a message is refused: which field, what was found there, and
// what would be right.
type Invalid struct {
	Field string // for example "data.sandbox_creates", "time", "subject" or "payload"
	Found string // shortened and printable
	Want  string
}

// Error is the reason in one line.
func (e *Invalid) Error() string { return e.Field + ": found " + e.Found + ", want " + e.Want }

const foundMax = 64 // bytes shown of what was found

// quoted shows a text, shortened, in printable characters.
func quoted(s string) string {
	if len(s) <= foundMax {
		return strconv.Quote(s)
	}
	cut := foundMax
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "… (" + strconv.Itoa(len(s)) + " bytes)"
}

// shown shows a JSON value, shortened; a string keeps its own quotes.
func shown(raw []byte) string {
	if raw == nil {
		return "nothing"
	}
	q := quoted(string(raw))
	if strings.HasPrefix(q, `"`) && !strings.HasPrefix(q, `"\`) && len(raw) <= foundMax && raw[0] != '"' {
		return q[1 : len(q)-1]
	}
	return q
}

func invalid(field, found, want string) *Invalid {
	return &Invalid{Field: field, Found: found, Want: want}
}
