package projections

import (
	"net/http"
	"slices"
	"time"

	"accountexport/events"
)

// ParkedMessage is the record of a message that the fold does not accept.
type ParkedMessage struct {
	Position  uint64
	Partition int
	Account   *events.UUID // nil if the subject names none
	Time      time.Time    // the stream's timestamp
	Subject   string       // as published
	Type      string       // empty if it could not be read
	Reason    string
	Header    http.Header
	Payload   []byte
}

// Park is the record of a message that is parked; account is nil if its subject names
// none.
func (d *Decoded) Park(account *events.UUID, reason error) ParkedMessage {
	return ParkedMessage{Position: d.Position, Partition: d.Partition, Account: account,
		Time: d.Time, Subject: d.Subject, Type: d.Event.Type, Reason: reason.Error(), Header: d.Header, Payload: d.Data}
}

// Unpark drops the records of an account, as its erasure does. It changes parked.
func Unpark(parked []ParkedMessage, account events.UUID) []ParkedMessage {
	return slices.DeleteFunc(parked, func(m ParkedMessage) bool { return m.Account != nil && *m.Account == account })
}
