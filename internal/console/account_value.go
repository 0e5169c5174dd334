package console

import (
	"bytes"
	"encoding/json"
)

// longValue is how many bytes a value has at most that stands in a document unfolded.
const longValue = 200

// The kinds of a shown value.
const (
	kindNothing = ""       // there is none: the entity does not exist
	kindNull    = "null"   // the field has no value
	kindText    = "text"   // as it is
	kindPlain   = "plain"  // a number, a boolean or a point in time
	kindJSON    = "json"   // an object or a list, as JSON
	kindMasked  = "masked" // what kind of value it is, and not the value
)

// shownValue is a value of a document as it may be shown: masked, and cut where it is
// long. What it holds was never more than that, so it may be kept and sent.
type shownValue struct {
	Kind   string `json:"kind"`
	Text   string `json:"text"`
	Length int    `json:"length"` // characters of the whole, where Text is cut; 0 where it is not
}

// Long tells whether the value is better not shown before somebody asks for it.
func (v shownValue) Long() bool { return len(v.Text) > longValue }

// Begin is the beginning of a long value.
func (v shownValue) Begin() string {
	begin, _ := cutText(v.Text, longValue/2)
	return begin + "…"
}

// shownValueOf is what may be shown of a field's JSON; nil is no value at all.
func (p Privacy) shownValueOf(field string, raw []byte) shownValue {
	if raw == nil {
		return shownValue{}
	}
	open := p.value(field, raw)
	text := string(open)
	kind := kindPlain
	switch open[0] {
	case '"':
		if err := json.Unmarshal(open, &text); err != nil {
			return shownValue{Kind: kindMasked, Text: "masked"}
		}
		switch {
		case !bytes.Equal(open, bytes.TrimSpace(raw)):
			kind = kindMasked
		case !isPointInTime(field, text):
			kind = kindText
		}
	case '{', '[':
		kind = kindJSON
	case 'n':
		kind, text = kindNull, ""
	}
	text, length := cutText(text, mostShown)
	return shownValue{kind, text, length}
}
