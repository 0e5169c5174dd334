package events

import (
	"regexp"
	"strings"
)

// Masked is Error without what was found, which came out of a message and may
// be anything, a password included: of that it names only the kind.
func (e *Invalid) Masked() string { return MaskReason(e.Error()) }

// MaskReason is the masked form of a reason for parking as any version of this
// program wrote it: field and what would be right stay, and of what was found
// its kind. What stands in a reason beside the fixed words is never repeated, so
// reasons that differ in what was found alone have one masked form. A text that
// is no such reason is masked whole.
//
// That is decidable from the text: no field holds a colon, and no words for what
// would be right hold ", want ", so the first ": found " and the last ", want "
// are the program's own, whatever stands between them.
func MaskReason(reason string) string {
	r, ok := SplitReason(reason)
	if !ok {
		return maskedWhole
	}
	return (&Invalid{r.Field, foundKind(r.Found), ofNobody(r.Want)}).Error()
}

// SplitReason takes a reason for parking apart, masked or not. ok is false where the text
// is no such reason.
func SplitReason(reason string) (r Invalid, ok bool) {
	field, rest, ok := strings.Cut(reason, ": found ")
	if !ok || !reasonField.MatchString(field) {
		return r, false
	}
	const want = ", want "
	at := strings.LastIndex(rest, want)
	if at < 0 {
		return r, false
	}
	return Invalid{field, rest[:at], rest[at+len(want):]}, true
}

const maskedWhole = "masked"

// reasonField takes the names that fields have in reasons: of attributes, of
// members that an event's type has, and of headers.
var reasonField = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// ofNobody takes from what would be right whose it would be: the id of an
// account, a tier or a team stands at its end, after a comma.
func ofNobody(want string) string {
	for _, before := range []string{"the last token of the subject", "the subject's tier", "the account's team"} {
		if strings.HasPrefix(want, before+", ") {
			return before
		}
	}
	return want
}

var (
	foundBroken = regexp.MustCompile(`, byte [0-9]+$`)
	foundLength = regexp.MustCompile(`^[0-9]+ bytes$`)
	foundSum    = regexp.MustCompile(`^a sum of [0-9.]+$`)
	foundMicros = regexp.MustCompile(`^-?[0-9]+ microseconds$`)
)

// foundKind names the kind of what was found.
func foundKind(found string) string {
	switch found {
	case "nothing", "null", "two values", "an end too early", "more than 1000 levels of nesting":
		return found // said of the message, not taken out of it
	case "a boolean", "more after the end", "an empty text", "a text", "an object", "a list", "invalid UTF-8", "a name twice",
		"broken JSON", "too many bytes", "too large a sum", "a number":
		return found // masked already
	}
	switch {
	case found == "true", found == "false":
		return "a boolean"
	case strings.HasSuffix(found, " after the end"):
		return "more after the end"
	case found == `""`:
		return "an empty text"
	case strings.HasPrefix(found, `"`):
		return "a text"
	case strings.HasPrefix(found, "{"):
		return "an object"
	case strings.HasPrefix(found, "["):
		return "a list"
	case strings.HasPrefix(found, "invalid UTF-8"):
		return "invalid UTF-8"
	case strings.HasPrefix(found, "duplicate object member name"):
		return "a name twice"
	case foundBroken.MatchString(found):
		return "broken JSON"
	case foundLength.MatchString(found):
		return "too many bytes"
	case foundSum.MatchString(found):
		return "too large a sum"
	case foundMicros.MatchString(found), number.MatchString(found):
		return "a number"
	}
	return "something else"
}

// number takes what a number looks like that was shown whole or cut.
var number = regexp.MustCompile(`^-?[0-9][0-9.eE+-]*(… \([0-9]+ bytes\))?$`)
