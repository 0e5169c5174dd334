package events

import (
	"strconv"
	"unicode/utf8"
)

// Invalid is why a message is refused: which field, what was found there, and
// what would be right. Its texts are printable and valid UTF-8, whatever the
// message held.
type Invalid struct {
	Field string // for example "data.sandbox_creates", "time", "subject" or "payload"
	Found string // shortened to some 64 characters
	Want  string
}

// Error is the reason in one line.
func (e *Invalid) Error() string { return e.Field + ": found " + e.Found + ", want " + e.Want }

const foundMax = 64 // characters shown of what was found

func invalid(field, found, want string) *Invalid {
	return &Invalid{Field: field, Found: found, Want: want}
}

// quoted shows a text between quotes.
func quoted(s string) string {
	short, cut := shorten(s, foundMax, '"')
	if short = `"` + short + `"`; cut {
		return short + "… (" + strconv.Itoa(len(s)) + " bytes)"
	}
	return short
}

// shown shows a JSON value: a string as it reads, all else as it was sent.
func shown(raw []byte) string {
	if raw == nil {
		return "nothing"
	}
	if s, ok := unquote(raw); ok {
		return quoted(s)
	}
	// What does not fit is not looked at.
	short, cut := shorten(string(raw[:min(len(raw), utf8.UTFMax*foundMax+1)]), foundMax, 0)
	if cut {
		return short + "… (" + strconv.Itoa(len(raw)) + " bytes)"
	}
	return short
}

// printable shows a text without quotes.
func printable(s string, most int) string {
	short, cut := shorten(s, most, 0)
	if cut {
		return short + "…"
	}
	return short
}

// shorten writes the start of s in at most so many printable characters, and
// tells whether anything is missing. What cannot be printed is escaped, and so
// are the quote, if any, and the backslash.
func shorten(s string, most int, quote rune) (short string, cut bool) {
	var b []byte
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		from := len(b)
		switch {
		case c == utf8.RuneError && size == 1:
			b = append(append(b, `\x`...), hexDigits[s[i]>>4], hexDigits[s[i]&15])
		case c == quote && quote != 0 || c == '\\' && quote != 0:
			b = append(b, '\\', byte(c))
		case strconv.IsPrint(c):
			b = append(b, s[i:i+size]...)
		default:
			escaped := strconv.QuoteRuneToASCII(c)
			b = append(b, escaped[1:len(escaped)-1]...)
		}
		if most -= utf8.RuneCount(b[from:]); most < 0 {
			return string(b[:from]), true
		}
		i += size
	}
	return string(b), false
}

const hexDigits = "0123456789ABCDEF"
