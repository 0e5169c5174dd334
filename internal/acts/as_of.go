package acts

import (
	"fmt"
	"time"

	"accountexport/projections"
)

// AsOf is a point in the past; the zero value is the end of the stream. With a Position
// or a Time alone it is a point of the stream: what was stored up to there.
//
// With EventTime, the Time is held against the time that each event itself has: what had
// happened by then, whenever it was stored. History that was brought in later, with
// `projector import` for example, has a past only in this sense. Messages are taken in
// stream order all the same, exactly those whose time is not later. A message whose
// envelope is not sound has no time and is never among them.
type AsOf struct {
	Position  uint64
	Time      time.Time // the zero time is none
	EventTime bool
}

// String says up to when, to be put after a sentence.
func (a AsOf) String() string {
	switch {
	case a.Position > 0:
		return fmt.Sprintf(" up to position %d", a.Position)
	case a.Time.IsZero():
		return ""
	case a.EventTime:
		return " up to " + a.Time.Format(time.RFC3339Nano) + " by its events' own times"
	}
	return " up to " + a.Time.Format(time.RFC3339Nano)
}

// takes tells whether a message is not after that point. Timeless counts the messages
// that are left out for having no time of their own.
func (a AsOf) takes(m projections.Message, timeless *int) (bool, error) {
	switch {
	case a.Position > 0:
		return m.Position <= a.Position, nil
	case a.Time.IsZero():
		return true, nil
	case !a.EventTime:
		return !m.Time.After(a.Time), nil
	}
	d, err := projections.Decode(m)
	if err != nil {
		return false, err
	}
	if !d.Event.Sound {
		*timeless++
		return false, nil
	}
	return !d.Event.Time.GoTime().After(a.Time), nil
}
