package projections

import (
	"time"

	"accountexport/events"
)

// Message is one message of the stream.
type Message struct {
	Position  uint64    // stream sequence
	Time      time.Time // the stream's own timestamp
	Partition int       // the subject's partition token; -1 if it has none
	events.Message
}

// Size is about how many bytes the message takes in memory.
func (m *Message) Size() int {
	n := len(m.Data) + len(m.Subject) + 128
	for name, values := range m.Header {
		n += len(name) + 100
		for _, v := range values {
			n += len(v) + 16
		}
	}
	return n
}
