package check

import (
	"strings"

	"accountexport/events"
	"accountexport/projections"
)

// mask takes out of the verdict what was found in the event where something else was
// wanted: out of the reason, and where the subject or the type is wrong, these
// themselves. A subject that names an account, and a type that is known, hold nothing
// that anybody made up; the id of a tier does, and is left out where it is what is wrong.
func (v *Verdict) mask(d *projections.Decoded) {
	if v.Outcome != projections.Parked.String() {
		return
	}
	reason := &events.Invalid{Field: v.Field, Found: v.Found, Want: v.Want}
	v.Reason = reason.Masked()
	v.Found, v.Want = maskedParts(v.Reason, v.Field)
	if !events.Known(v.Type) {
		v.Type = ""
	}
	switch d.To.Kind {
	case events.SubjectUnsound:
		v.Subject = ""
	case events.SubjectTier:
		if v.Field == "subject" || v.Field == "partitionkey" || v.Field == "data.id" {
			v.Subject = ""
		}
	}
}

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
