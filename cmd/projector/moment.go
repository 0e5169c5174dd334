package main

import (
	"fmt"
	"time"

	"accountexport/projections"
)

// moment is a point in the stream's past; the zero value is its end.
type moment struct {
	position uint64
	time     time.Time
}

// before tells whether the moment lies before the message.
func (m moment) before(msg projections.Message) bool {
	return !m.time.IsZero() && msg.Time.After(m.time) || m.position > 0 && msg.Position > m.position
}

// String says when, in words to go after a sentence.
func (m moment) String() string {
	switch {
	case m.position > 0:
		return fmt.Sprintf(" up to position %d", m.position)
	case !m.time.IsZero():
		return " up to " + m.time.Format(time.RFC3339Nano)
	}
	return ""
}
