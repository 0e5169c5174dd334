package events

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Meta is what an event says of itself beside its data.
type Meta struct {
	ID     string // unique per source; also what the publisher deduplicates by
	Source string // for example "/control-plane/api"
	Time   Time   // when it happened
}

// writer writes a JSON object; texts that are no UTF-8 are refused when the
// message is decoded again.
type writer struct {
	b []byte
}

func (w *writer) name(name string) {
	if len(w.b) == 0 || w.b[len(w.b)-1] == '{' {
		w.b = append(w.b, '"')
	} else {
		w.b = append(w.b, `,"`...)
	}
	w.b = append(append(w.b, name...), `":`...)
}

func (w *writer) text(name, s string) {
	w.name(name)
	w.quote(s)
}

func (w *writer) quote(s string) {
	if b, err := jsontext.AppendQuote(w.b, s); err == nil {
		w.b = b
		return
	}
	w.b = append(append(append(w.b, '"'), s...), '"')
}

func (w *writer) optionalText(name string, s *string) {
	if s != nil {
		w.text(name, *s)
	}
}

func (w *writer) boolean(name string, v bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *writer) integer(name string, v int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *writer) raw(name string, v []byte) {
	w.name(name)
	w.b = append(w.b, v...)
}

func (w *writer) uuid(name string, id UUID)      { w.text(name, id.String()) }
func (w *writer) time(name string, t Time)       { w.text(name, t.String()) }
func (w *writer) decimal(name string, d Decimal) { w.raw(name, []byte(d.String())) }

func write[T any](w *writer, name string, o Optional[T], value func(name string, v T)) {
	switch {
	case o.Set && o.Null:
		w.raw(name, []byte("null"))
	case o.Set:
		value(name, o.Value)
	}
}

// newMessage makes a structured message, and holds it against the same rules
// as one that is received.
func newMessage(m Meta, subject, key, typ string, data func(w *writer)) (Message, error) {
	w := &writer{b: make([]byte, 0, 512)}
	w.b = append(w.b, '{')
	w.text("specversion", "1.0")
	w.text("id", m.ID)
	w.text("source", m.Source)
	w.text("type", typ)
	w.time("time", m.Time)
	w.text("partitionkey", key)
	w.text("datacontenttype", "application/json")
	w.name("data")
	w.b = append(w.b, '{')
	if data != nil {
		data(w)
	}
	w.b = append(w.b, "}}"...)
	msg := Message{Subject: subject, Header: map[string][]string{"Content-Type": {"application/cloudevents+json"}}, Data: w.b}
	if _, _, err := Decode(msg); err != nil {
		return Message{}, err
	}
	return msg, nil
}

func accountMessage(m Meta, account UUID, typ string, data func(w *writer)) (Message, error) {
	return newMessage(m, AccountSubject(account), account.String(), typ, data)
}

// Address makes a message of a structured CloudEvent that somebody wrote: its
// partitionkey says whose subject it goes to. What Decode would refuse is
// refused.
func Address(payload []byte) (Message, error) {
	m := Message{Header: map[string][]string{"Content-Type": {"application/cloudevents+json"}}, Data: payload}
	env, err := readEnvelope(m)
	if err != nil {
		return Message{}, err
	}
	if env.partitionkey.value == "" {
		return Message{}, invalid("partitionkey", "nothing", "the account's UUID, or the id of the quota tier")
	}
	m.Subject = accountPrefix + env.partitionkey.value
	if Known(env.typ.value) && kindOf(env.typ.value) == SubjectTier {
		m.Subject = tierPrefix + env.partitionkey.value
	}
	if _, _, err := Decode(m); err != nil {
		return Message{}, err
	}
	return m, nil
}

// EventID is the message's CloudEvents id, empty where it has none.
func (m Message) EventID() string {
	env, err := readEnvelope(m)
	if err != nil {
		return ""
	}
	return env.id.value
}

// Binary is the same event in binary mode: attributes in ce- headers, percent-
// encoded, and the data as the payload. It must be a sound structured one, as
// the constructors make it.
func (m Message) Binary() (Message, error) {
	fields, err := readObject(m.Data, "payload")
	if err != nil {
		return Message{}, err
	}
	out := Message{Subject: m.Subject, Header: map[string][]string{}}
	for _, f := range fields {
		if f.name == "data" {
			out.Data = f.raw
			continue
		}
		s, _ := unquote(f.raw)
		if f.name == "datacontenttype" {
			out.Header["Content-Type"] = []string{s}
			continue
		}
		out.Header["ce-"+f.name] = []string{percentEncode(s)}
	}
	return out, nil
}

// percentEncode escapes what the CloudEvents protocol bindings do: all but
// printable ASCII, and space, double quote and percent.
func percentEncode(s string) string {
	const hexDigits = "0123456789ABCDEF"
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
			continue
		}
		b = append(b, c)
	}
	return string(b)
}
