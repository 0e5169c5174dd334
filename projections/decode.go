package projections

import (
	"errors"
	"fmt"

	"accountexport/events"
)

// Decoded is a message that was decoded and validated, whatever its account's state.
type Decoded struct {
	Message
	To      events.Subject
	Event   events.Event
	Invalid *events.Invalid // why the message is parked; nil if the event is valid
}

// Decode decodes and validates a message. A message that is not valid is no error; its
// Invalid says why it is parked.
func Decode(m Message) (Decoded, error) {
	d := Decoded{Message: m}
	ev, to, err := events.Decode(m.Message)
	d.Event, d.To = ev, to
	if err != nil {
		reason := (*events.Invalid)(nil) // not in d, which would move to the heap with every message
		if !errors.As(err, &reason) {
			return d, fmt.Errorf("decode message %d: %w", m.Position, err)
		}
		d.Invalid = reason
	}
	return d, nil
}

// OtherType is the label of messages without a valid envelope, of unknown types, and of
// erased accounts.
const OtherType = "other"

// TypeLabel is the message's type as a metric's label.
func (d *Decoded) TypeLabel() string {
	if d.Event.Sound && events.Known(d.Event.Type) {
		return events.ShortType(d.Event.Type)
	}
	return OtherType
}
