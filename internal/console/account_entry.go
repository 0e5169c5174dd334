package console

import (
	"encoding/binary"
	"errors"
	"time"

	"accountexport/events"
	"accountexport/projections"
)

// entryView is what one message did to its account, as it may be shown.
type entryView struct {
	Index     int          `json:"index"` // among the account's messages that the filter selects, from 0
	Position  uint64       `json:"position"`
	Time      time.Time    `json:"time"`       // the stream's own timestamp
	EventTime *time.Time   `json:"event_time"` // the event's own; null where it has no sound one
	Type      string       `json:"type"`       // empty where it could not be read
	Outcome   string       `json:"outcome"`
	Reason    string       `json:"reason"` // why it is parked, masked unless everything is shown
	Changes   []changeView `json:"changes"`
	HTML      string       `json:"html,omitempty"` // the row of the timeline, where it was asked for
	Account   string       `json:"-"`
	Current   bool         `json:"-"` // the message that the page is about
}

// Row is the row's number in the table, for those who do not see it: the heading is 1.
func (v entryView) Row() int { return v.Index + 2 }

// changeView is the change of a field. A kind of "" means that the entity was not there.
type changeView struct {
	Entity string     `json:"entity"`
	ID     string     `json:"id"` // of the item in a section; empty for user and team
	Field  string     `json:"field"`
	From   shownValue `json:"from"`
	To     shownValue `json:"to"`
}

// Minor tells that the change says no more than that something has changed.
func (c changeView) Minor() bool { return c.Field == "updated_at" }

// mostType is how many characters of a type are shown: a sender may write anything there.
const mostType = 128

// entryOf is what may be shown of a message and of what it did.
func (p Privacy) entryOf(e *projections.HistoryEntry) entryView {
	v := entryView{Position: e.Position, Time: e.Time.UTC(), Outcome: e.Outcome.String(), Changes: make([]changeView, 0, len(e.Changes))}
	v.Type = p.typeOf(e.Type)
	if e.At != nil {
		at := e.At.GoTime()
		v.EventTime = &at
	}
	if e.Reason != nil {
		v.Reason = p.reason(e.Reason.Error())
	}
	for _, c := range e.Changes {
		v.Changes = append(v.Changes, changeView{c.Entity, c.ID, c.Field, p.shownValueOf(c.Field, c.From), p.shownValueOf(c.Field, c.To)})
	}
	return v
}

// typeOf is a type as it may be shown. Whatever is no name of a type may be anything.
func (p Privacy) typeOf(typ string) string {
	typ, _ = cutText(p.maskType(typ), mostType)
	return typ
}

// reason is what may be shown of why a message is parked.
func (p Privacy) reason(why string) string {
	if p != Full {
		why = events.MaskReason(why)
	}
	why, _ = cutText(why, mostShown)
	return why
}

// appendEntry encodes an entry without its index: position, times, and texts with their
// lengths. The names of fields are written out, since files of a history are short-lived.
func appendEntry(b []byte, v *entryView) []byte {
	b = binary.AppendUvarint(b, v.Position)
	b = binary.AppendVarint(b, v.Time.UnixNano())
	if v.EventTime == nil {
		b = append(b, 0)
	} else {
		b = binary.AppendVarint(append(b, 1), v.EventTime.UnixMicro())
	}
	b = appendText(appendText(appendText(b, v.Type), v.Outcome), v.Reason)
	b = binary.AppendUvarint(b, uint64(len(v.Changes)))
	for _, c := range v.Changes {
		b = appendText(appendText(appendText(b, c.Entity), c.ID), c.Field)
		for _, value := range []shownValue{c.From, c.To} {
			b = binary.AppendUvarint(appendText(appendText(b, value.Kind), value.Text), uint64(value.Length))
		}
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// errEntry means that what was encoded cannot be read: the file of a history is not as
// it was written.
var errEntry = errors.New("the account's history is not as it was kept")

// entryReader decodes what appendEntry has encoded. After the first failure everything
// is empty.
type entryReader struct {
	b   []byte
	err error
}

func (r *entryReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return takeVarint(r, v, n)
}

func (r *entryReader) varint() int64 {
	v, n := binary.Varint(r.b)
	return takeVarint(r, v, n)
}

func takeVarint[T any](r *entryReader, v T, n int) (none T) {
	if n <= 0 {
		r.b, r.err = nil, errEntry
		return none
	}
	r.b = r.b[n:]
	return v
}

func (r *entryReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.err = nil, errEntry
		return nil
	}
	text := r.b[:n]
	r.b = r.b[n:]
	return text
}

func (r *entryReader) text() string { return string(r.bytes()) }

// head reads what stands before the changes, and how many of them there are.
func (r *entryReader) head() (v entryView, changes uint64) {
	v.Position, v.Time = r.uvarint(), time.Unix(0, r.varint()).UTC()
	if r.uvarint() == 1 {
		at := time.UnixMicro(r.varint()).UTC()
		v.EventTime = &at
	}
	v.Type, v.Outcome, v.Reason = r.text(), r.text(), r.text()
	return v, r.uvarint()
}

func (r *entryReader) value() shownValue {
	return shownValue{r.text(), r.text(), int(r.uvarint())}
}

// readEntry decodes an entry.
func readEntry(b []byte) (entryView, error) {
	r := &entryReader{b: b}
	v, n := r.head()
	v.Changes = []changeView{}
	for ; n > 0 && r.err == nil; n-- {
		v.Changes = append(v.Changes, changeView{r.text(), r.text(), r.text(), r.value(), r.value()})
	}
	return v, r.err
}

// changedFields calls each with the entity, the id and the field of each change of an
// encoded entry, until it returns false. What it is called with is valid during the call.
func changedFields(b []byte, each func(entity, id, field []byte) bool) error {
	r := &entryReader{b: b}
	_, n := r.head()
	for ; n > 0 && r.err == nil; n-- {
		entity, id, field := r.bytes(), r.bytes(), r.bytes()
		for range 2 {
			r.bytes()
			r.bytes()
			r.uvarint()
		}
		if r.err == nil && !each(entity, id, field) {
			return nil
		}
	}
	return r.err
}
