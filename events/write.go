package events

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// writer writes a JSON object. Most of what is wrong with its input is found
// when the message is decoded again; only what could come out as something
// else is an error here.
type writer struct {
	b   []byte
	err error // the first one
}

func (w *writer) fail(field, found, want string) { w.refuse(invalid(field, found, want)) }

// refuse keeps the first reason; nil is none.
func (w *writer) refuse(reason *Invalid) {
	if w.err == nil && reason != nil {
		w.err = reason
	}
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

// literal writes a value that is one by itself.
func (w *writer) literal(name, v string) {
	w.name(name)
	w.b = append(w.b, v...)
}

// json writes a caller's JSON. It must be one value: a comma in it could
// otherwise add members of its own.
func (w *writer) json(name string, v []byte) {
	w.name(name)
	w.value("data."+name, v)
}

func (w *writer) value(field string, v []byte) {
	if !jsontext.Value(v).IsValid() {
		w.fail(field, shown(v), "one JSON value")
	}
	w.b = append(w.b, v...)
}

func (w *writer) time(name string, t Time) {
	w.refuse(t.check("data." + name))
	w.text(name, t.String())
}

func (w *writer) decimal(name string, d Decimal) {
	if d < 0 || d > MaxDecimal {
		w.fail("data."+name, strconv.FormatInt(int64(d), 10)+" millionths", wantDecimal)
		return
	}
	w.literal(name, d.String())
}

func (w *writer) uuid(name string, id UUID) {
	w.refuse(id.check("data." + name))
	w.text(name, id.String())
}

func write[T any](w *writer, name string, o Optional[T], value func(name string, v T)) {
	switch {
	case o.Set && o.Null:
		w.literal(name, "null")
	case o.Set:
		value(name, o.Value)
	}
}

// newMessage makes a structured message, and holds it against the same rules
// as one that is received.
func newMessage(m Meta, subject, key, typ string, data func(w *writer)) (Message, error) {
	if reason := m.Time.check("time"); reason != nil {
		return Message{}, reason
	}
	w := &writer{b: make([]byte, 0, 512)}
	w.b = append(w.b, '{')
	w.text("specversion", "1.0")
	w.text("id", m.ID)
	w.text("source", m.Source)
	w.text("type", typ)
	w.text("time", m.Time.String())
	w.text("partitionkey", key)
	w.text("datacontenttype", "application/json")
	w.name("data")
	w.b = append(w.b, '{')
	if data != nil {
		data(w)
	}
	w.b = append(w.b, "}}"...)
	if w.err != nil {
		return Message{}, w.err
	}
	msg := Message{Subject: subject, Header: map[string][]string{"Content-Type": {"application/cloudevents+json"}}, Data: w.b}
	if _, _, err := Decode(msg); err != nil {
		return Message{}, err
	}
	return msg, nil
}

func accountMessage(m Meta, account UUID, typ string, data func(w *writer)) (Message, error) {
	if reason := account.check("account"); reason != nil {
		return Message{}, reason
	}
	return newMessage(m, AccountSubject(account), account.String(), typ, data)
}

// Address makes a message of a structured CloudEvent that somebody wrote: its
// partitionkey says whose subject it goes to. What Decode would refuse is
// refused.
func Address(payload []byte) (Message, error) {
	m := Message{Header: map[string][]string{"Content-Type": {"application/cloudevents+json"}}, Data: payload}
	r := newReader()
	defer r.release()
	env, err := readEnvelope(r, m)
	if err != nil {
		return Message{}, err
	}
	key := string(env.partitionkey.value)
	if key == "" {
		return Message{}, invalid("partitionkey", "nothing", "the account's UUID, or the id of the quota tier")
	}
	m.Subject = accountPrefix + key
	if kind, _ := registered(string(env.typ.value)); kind == SubjectTier {
		m.Subject = tierPrefix + key
	}
	if _, _, err := Decode(m); err != nil {
		return Message{}, err
	}
	return m, nil
}

// EventID is the message's CloudEvents id; empty where it has none, or one that
// the contract refuses.
func (m Message) EventID() string {
	r := newReader()
	defer r.release()
	env, err := readEnvelope(r, m)
	if err != nil || env.id.check("id", "") != nil {
		return ""
	}
	return string(env.id.value)
}
