package main

import (
	"time"

	"accountexport/events"
	"accountexport/readmodel/admin"
)

// parkedLine is a parked message as JSON.
type parkedLine struct {
	Position    uint64            `json:"position"`
	Partition   int               `json:"partition"`
	SentAt      time.Time         `json:"sent_at"`
	Account     *string           `json:"account"`
	Subject     string            `json:"subject"`
	Type        string            `json:"type"`
	Reason      string            `json:"reason"`
	DismissedAt *time.Time        `json:"dismissed_at"`
	Note        string            `json:"note"`
	Undismissed []undismissedLine `json:"undismissed,omitempty"` // `parked show` only
	Headers     *string           `json:"headers,omitempty"`     // with --payload
	Payload     []byte            `json:"payload,omitempty"`     // with --payload, in base64
}

type undismissedLine struct {
	DismissedAt time.Time `json:"dismissed_at"`
	Dismissal   string    `json:"dismissal"`
	At          time.Time `json:"at"`
	Note        string    `json:"note"`
}

// lineOfParked is a message as JSON. The values that were found in the message are
// masked in its reason unless found is set.
func lineOfParked(m admin.Parked, found bool) parkedLine {
	l := parkedLine{Position: m.Position, Partition: m.Partition, SentAt: m.SentAt.UTC(), Subject: m.Subject, Type: m.Type,
		Reason: m.Reason, DismissedAt: m.DismissedAt, Note: m.Note}
	if !found {
		l.Reason = events.MaskReason(m.Reason)
	}
	if m.Account != nil {
		id := m.Account.String()
		l.Account = &id
	}
	if m.DismissedAt != nil {
		at := m.DismissedAt.UTC()
		l.DismissedAt = &at
	}
	return l
}

// shownMessage is a message as `parked show` has it.
func shownMessage(m admin.Parked, found, payload bool) parkedLine {
	l := lineOfParked(m, found)
	for _, u := range m.Undismissed {
		l.Undismissed = append(l.Undismissed, undismissedLine{u.DismissedAt.UTC(), u.Dismissal, u.At.UTC(), u.Note})
	}
	if payload {
		l.Headers, l.Payload = &m.Headers, m.Payload
	}
	return l
}
