package projections

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"accountexport/events"
)

// The stored form of an entity is the JSON that is sent: compact, with every key, in
// the order of contract §4. Reading it back relies on that order: a value is found by
// its place and not by its name.

var errCorrupt = errors.New("stored JSON is not what this program writes")

func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // fails only for invalid UTF-8, which decoding refuses
	return b
}

func appendStringPtr(b []byte, s *string) []byte {
	if s == nil {
		return append(b, "null"...)
	}
	return appendString(b, *s)
}

func appendUUID(b []byte, id events.UUID) []byte {
	b = append(b, '"')
	b, _ = id.AppendText(b)
	return append(b, '"')
}

func appendUUIDPtr(b []byte, id *events.UUID) []byte {
	if id == nil {
		return append(b, "null"...)
	}
	return appendUUID(b, *id)
}

func appendTime(b []byte, t events.Time) []byte {
	b = append(b, '"')
	b, _ = t.AppendText(b)
	return append(b, '"')
}

func appendTimePtr(b []byte, t *events.Time) []byte {
	if t == nil {
		return append(b, "null"...)
	}
	return appendTime(b, *t)
}

func appendDecimal(b []byte, d events.Decimal) []byte {
	b, _ = d.AppendText(b)
	return b
}
