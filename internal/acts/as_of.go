package acts

import (
	"fmt"
	"time"

	"accountexport/projections"
)

// AsOf is a point in the stream's past; the zero value is its end.
type AsOf struct {
	Position uint64
	Time     time.Time // by the stream's own timestamps
}

// before tells whether the moment lies before the message.
func (m AsOf) before(msg projections.Message) bool {
	return !m.Time.IsZero() && msg.Time.After(m.Time) || m.Position > 0 && msg.Position > m.Position
}

// String says when, in words to go after a sentence.
func (m AsOf) String() string {
	switch {
	case m.Position > 0:
		return fmt.Sprintf(" up to position %d", m.Position)
	case !m.Time.IsZero():
		return " up to " + m.Time.Format(time.RFC3339Nano)
	}
	return ""
}
