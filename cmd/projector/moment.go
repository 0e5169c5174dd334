package main

import (
	"fmt"
	"strconv"
	"time"

	"accountexport/projections"
)

// moment is a point in the stream's past; the zero value is its end.
type moment struct {
	position uint64
	time     time.Time
}

// parseMoment reads a position, or a time by the stream's own timestamps.
func parseMoment(s string) (moment, error) {
	if s == "" {
		return moment{}, nil
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil && n > 0 {
		return moment{position: n}, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return moment{time: t}, nil
	}
	return moment{}, fmt.Errorf("--at: found %q, want a position of the stream, such as 1234, or a time, such as 2026-03-25T07:11:48Z", s)
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
