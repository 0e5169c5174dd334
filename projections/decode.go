package projections

import (
	"errors"
	"fmt"

	"accountexport/events"
)

// Decoded is a message, judged by itself alone.
type Decoded struct {
	Message
	To      events.Subject
	Event   events.Event
	Invalid *events.Invalid // why the message is parked; nil where the event is sound
}

// Decode judges a message by itself alone.
func Decode(m Message) (Decoded, error) {
	d := Decoded{Message: m}
	ev, to, err := events.Decode(m.Message)
	d.Event, d.To = ev, to
	if err != nil && !errors.As(err, &d.Invalid) {
		return d, fmt.Errorf("decode message %d: %w", m.Position, err)
	}
	return d, nil
}

// OtherType counts what is no known type, has no sound envelope, or belongs to
// an erased account.
const OtherType = "other"

// TypeLabel is the message's type in metrics.
func (d *Decoded) TypeLabel() string {
	if d.Event.Sound && events.Known(d.Event.Type) {
		return events.ShortType(d.Event.Type)
	}
	return OtherType
}
