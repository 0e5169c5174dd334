package events

// Message is an event on the wire, independent of the transport.
type Message struct {
	Subject string              // as published: controlplane.account.<id> or controlplane.quota_tier.<id>
	Header  map[string][]string // NATS headers; nil where there are none
	Data    []byte              // the payload
}

// Event is a message, judged. Without an error its envelope is sound.
type Event struct {
	ID, Source string
	Type       string  // in full; with an error only where it could be read
	Time       Time    // what the contract calls "at"
	Data       Payload // nil where the type is unknown
	Sound      bool    // the envelope is sound, whatever its data is
}

// Decode judges a message by itself alone, in the order of contract §3.
//
// Without an error the envelope is sound, and Data is nil where the type is
// unknown. Every error is an [*Invalid] and means that the message is to be
// parked, unless its account is erased. The subject is returned either way.
//
// The event may refer to the memory of the message.
func Decode(m Message) (Event, Subject, error) {
	var e Event
	to := ParseSubject(m.Subject)
	if to.Kind == SubjectUnsound {
		return e, to, invalid("subject", quoted(m.Subject),
			"controlplane.account.<UUID in lower case> or controlplane.quota_tier.<1 to 64 of A-Z a-z 0-9 _ ->")
	}
	env, err := readEnvelope(m)
	e.Type = env.typ.value
	if err == nil {
		err = env.judge(&e, to)
	}
	if err != nil {
		return e, to, err
	}
	e.Sound = true
	if !Known(e.Type) {
		return e, to, nil
	}
	if want := kindOf(e.Type); want != to.Kind {
		return e, to, invalid("type", quoted(e.Type)+" on "+quoted(m.Subject), "a type that belongs on this kind of subject")
	}
	data, err := env.data()
	if err != nil {
		return e, to, err
	}
	if e.Data, err = decodeData(e.Type, data); err != nil {
		e.Data = nil
		return e, to, err
	}
	if t, ok := e.Data.(*QuotaTierDefined); ok && t.ID != to.Tier {
		e.Data = nil
		return e, to, invalid("data.id", quoted(t.ID), "the subject's tier, "+quoted(to.Tier))
	}
	return e, to, nil
}
