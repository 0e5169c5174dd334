package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"accountexport/events"
)

// Privacy is what of personal data is shown.
type Privacy string

// The kinds of privacy.
const (
	Masked Privacy = "masked" // of values that people have made up, only what kind they are
	Full   Privacy = "full"   // everything
)

// openFields are the fields whose values are shown whatever the privacy: what the platform
// itself sets, and nobody makes up. Every other text is masked, and so is every field that
// is added later, until it is put here.
var openFields = map[string]bool{
	"id": true, "user_id": true, "team_id": true, "owner_user_id": true, "rotation_parent_key_id": true,
	"tier": true, "quota_tier_id": true, "status": true, "usage_date": true,
}

// value is a JSON value as it may be shown: itself, or where it is masked, a text that says
// of what kind it is. Points in time, numbers, booleans and null are shown.
func (p Privacy) value(field string, raw []byte) json.RawMessage {
	raw = bytes.TrimSpace(raw)
	switch {
	case len(raw) == 0:
		return json.RawMessage("null")
	case p == Full, openFields[field]:
		return raw
	}
	switch raw[0] {
	case '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return quote("masked")
		}
		if text == "" || isPointInTime(field, text) {
			return raw
		}
		return quote(fmt.Sprintf("masked: text of %d characters", utf8.RuneCountInString(text)))
	case '{':
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil {
			return quote("masked")
		}
		if len(members) == 0 {
			return raw
		}
		return quote(fmt.Sprintf("masked: object of %d members", len(members)))
	case '[':
		var items []json.RawMessage
		if json.Unmarshal(raw, &items) != nil {
			return quote("masked")
		}
		if len(items) == 0 {
			return raw
		}
		return quote(fmt.Sprintf("masked: list of %d", len(items)))
	}
	return raw
}

// isPointInTime tells whether a field of the document is one of those that hold points in
// time, and holds one.
func isPointInTime(field, text string) bool {
	_, err := events.ParseTime(text)
	return err == nil && strings.HasSuffix(field, "_at")
}

func quote(text string) json.RawMessage {
	b, err := json.Marshal(text)
	if err != nil {
		return json.RawMessage(`"masked"`) // never happens: it is a text
	}
	return b
}
