package events

import "strings"

// Message is an event on the wire, independent of the transport.
type Message struct {
	Subject string              // as published: controlplane.account.<id> or controlplane.quota_tier.<id>
	Header  map[string][]string // NATS headers; nil where there are none
	Data    []byte              // the payload
}

// Event is a message, judged. Without an error its envelope is sound.
type Event struct {
	ID, Source string
	Type       string  // in full; with an error as far as it could be read, and not to be relied on unless Sound
	Time       Time    // what the contract calls "at"
	Data       Payload // nil where the type is unknown
	Sound      bool    // the envelope is sound, whatever its subject and data are
}

// Decode judges a message by itself alone, in the order of contract §3.
//
// Without an error the envelope is sound, and Data is nil where the type is
// unknown. Every error is an [*Invalid] and means that the message is to be
// parked, unless its account is erased. The subject is returned either way.
//
// The event does not refer to the memory of the message's payload.
func Decode(m Message) (Event, Subject, error) {
	var e Event
	to := ParseSubject(m.Subject)
	if to.Kind == SubjectUnsound {
		e.judgeAlone(m)
		return e, to, invalid("subject", quoted(m.Subject),
			"controlplane.account.<UUID in lower case> or controlplane.quota_tier.<1 to 64 of A-Z a-z 0-9 _ ->")
	}
	r := newReader()
	defer r.release()
	env, err := readEnvelope(r, m)
	if err != nil {
		return e, to, err
	}
	e.Type = r.typeName(env.typ.value)
	if err := env.judge(r, &e, to); err != nil {
		return e, to, err
	}
	e.Sound = true
	kind, decode := registered(e.Type)
	if decode == nil {
		return e, to, nil
	}
	if kind != to.Kind {
		return e, to, invalid("type", quoted(e.Type)+" on "+quoted(m.Subject), "a type that belongs on this kind of subject")
	}
	data, err := env.data(r)
	if err != nil {
		return e, to, err
	}
	f := fields{list: data}
	p := decode(&f)
	if f.err != nil {
		return e, to, f.err
	}
	if t, ok := p.(*QuotaTierDefined); ok && t.ID != to.Tier {
		return e, to, invalid("data.id", quoted(t.ID), "the subject's tier, "+quoted(to.Tier))
	}
	e.Data = p
	return e, to, nil
}

// judgeAlone judges the envelope of a message whose subject is unsound, so that
// it is counted by its type where it has one.
func (e *Event) judgeAlone(m Message) {
	r := newReader()
	defer r.release()
	env, err := readEnvelope(r, m)
	if err != nil {
		return
	}
	last := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if string(env.partitionkey.value) == last && env.partitionkey.bad == "" {
		env.partitionkey = attribute{}
	}
	e.Sound = env.judge(r, e, Subject{}) == nil
}
