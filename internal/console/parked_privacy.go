package console

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"accountexport/events"
)

// typeName takes what a type of this stream looks like, known or not. Whatever else a
// message has in the place of its type may be anything.
var typeName = regexp.MustCompile(`^(controlplane\.)?[a-z][a-z_]*(\.[a-z][a-z_]*){0,4}\.v[0-9]{1,4}$`)

// maskedType stands for types that are no names of types.
const maskedType = "masked: no name of a type"

// maskType is a type, or that it is none.
func (p Privacy) maskType(typ string) string {
	if p != Full && typ != "" && (len(typ) > 100 || !typeName.MatchString(typ)) {
		return maskedType
	}
	return typ
}

// parkedType is a type as it may be shown, without controlplane.; empty where a message
// has none.
func (p Privacy) parkedType(typ string) string {
	return cut(events.ShortType(p.maskType(typ)))
}

// parkedSubject is a subject as it may be shown: those of accounts and tiers hold ids,
// and any other may hold anything.
func (p Privacy) parkedSubject(subject string) string {
	if p != Full && events.ParseSubject(subject).Kind == events.SubjectUnsound {
		return fmt.Sprintf("masked: text of %d characters", utf8.RuneCountInString(subject))
	}
	return cut(subject)
}

// parkedReason is a reason as it may be shown: masked, only of what kind that is which was
// found.
func (p Privacy) parkedReason(reason string) string {
	if p != Full {
		reason = events.MaskReason(reason)
	}
	return cut(reason)
}
