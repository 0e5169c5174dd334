package events

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// attribute is a CloudEvents attribute as it was found.
type attribute struct {
	set   bool
	value []byte // may lie in the payload, so that most attributes are judged without a copy
	bad   string // why it is no attribute value at all; empty where it is one
}

// envelope is a message's attributes and where its data is.
type envelope struct {
	specversion, id, source, typ, time attribute
	partitionkey, datacontenttype      attribute
	binary                             bool
	isObject                           bool    // structured: data is an object, and these are its members
	members                            []field // in the reader's memory
	dataRaw, base64Raw                 []byte  // structured: data that is no object, and data_base64; nil where absent
	payload                            []byte  // binary: the data
}

// readEnvelope finds the attributes in the mode that the headers tell. Of
// several Content-Type headers the first decides, in the order of their names
// as they are spelled.
func readEnvelope(r *reader, m Message) (envelope, error) {
	contentTypes := headerValues(m.Header, "Content-Type")
	mode := ""
	if len(contentTypes) > 0 {
		mode = mediaType(contentTypes[0])
	}
	switch {
	case equalFold(mode, "application/cloudevents-batch+json"):
		return envelope{}, invalid("Content-Type", quoted(contentTypes[0]), "one event a message, application/cloudevents+json")
	case !equalFold(mode, "application/cloudevents+json") && len(headerValues(m.Header, "ce-specversion")) > 0:
		return binaryEnvelope(r, m, contentTypes), nil
	}
	return structuredEnvelope(r, m.Data)
}

// attribute is the place of a named attribute; nil for others.
func (e *envelope) attribute(name []byte) *attribute {
	switch string(name) {
	case "specversion":
		return &e.specversion
	case "id":
		return &e.id
	case "source":
		return &e.source
	case "type":
		return &e.typ
	case "time":
		return &e.time
	case "partitionkey":
		return &e.partitionkey
	case "datacontenttype":
		return &e.datacontenttype
	}
	return nil
}

// structuredEnvelope reads the payload in one pass, the members of data
// included: whichever comes first, data or type.
func structuredEnvelope(r *reader, payload []byte) (envelope, error) {
	var e envelope
	if err := r.open(payload, "payload"); err != nil {
		return e, err
	}
	for {
		name, more, err := r.next()
		if err != nil {
			return e, err
		}
		if !more {
			return e, r.end()
		}
		isData := string(name) == "data"
		if isData && r.PeekKind() == '{' {
			if _, err := r.ReadToken(); err != nil {
				return e, r.bad(err)
			}
			e.isObject = true
			if e.members, err = r.members(); err != nil {
				return e, err
			}
			continue
		}
		raw, err := r.value()
		if err != nil {
			return e, err
		}
		a := e.attribute(name)
		switch {
		case isData:
			e.dataRaw = raw
		case isNull(raw):
		case a != nil:
			a.set = true
			var ok bool
			if a.value, ok = unquoted(raw); !ok {
				a.bad = shown(raw)
			}
		case string(name) == "data_base64":
			e.base64Raw = raw
		}
	}
}

func binaryEnvelope(r *reader, m Message, contentTypes []string) envelope {
	e := envelope{binary: true, payload: m.Data}
	var lower [len("datacontenttype")]byte // the longest name of ours
	for key, values := range m.Header {
		if len(key) < 3 || !equalFold(key[:3], "ce-") || len(key)-3 > len(lower) {
			continue
		}
		a := e.attribute(appendLower(lower[:0], key[3:]))
		if a == nil {
			continue
		}
		for _, v := range values {
			a.give(r, v)
		}
	}
	if !e.datacontenttype.set {
		for _, v := range contentTypes {
			e.datacontenttype.give(r, v)
		}
	}
	return e
}

// give sets an attribute from a header; a second time is once too often.
func (a *attribute) give(r *reader, header string) {
	if a.set {
		a.value, a.bad = nil, "two values"
		return
	}
	a.set = true
	from := len(r.decoded)
	r.decoded = appendPercentDecoded(r.decoded, header)
	a.value = r.decoded[from:len(r.decoded):len(r.decoded)]
	if !utf8.Valid(a.value) {
		a.value, a.bad = nil, quoted(string(a.value))+", which is no UTF-8"
	}
}

// check tells what is wrong with an attribute's value as such.
func (a *attribute) check(name, want string) error {
	switch {
	case !a.set:
		return invalid(name, "nothing", want)
	case a.bad != "":
		return invalid(name, a.bad, want)
	case bytes.ContainsFunc(a.value, unicode.IsControl):
		return invalid(name, quoted(string(a.value)), want+", without control characters")
	}
	return nil
}

// checkText is check for an attribute that may not be empty.
func (a *attribute) checkText(name, want string) error {
	if err := a.check(name, want); err != nil {
		return err
	}
	if len(a.value) == 0 {
		return invalid(name, `""`, want)
	}
	return nil
}

// judge holds the attributes that every event has against the contract, and
// fills them in.
func (e *envelope) judge(r *reader, ev *Event, to Subject) error {
	const wantVersion, wantText = `the text "1.0"`, "a text that is not empty"
	if err := e.specversion.check("specversion", wantVersion); err != nil {
		return err
	}
	if string(e.specversion.value) != "1.0" {
		return invalid("specversion", quoted(string(e.specversion.value)), wantVersion)
	}
	if err := e.id.checkText("id", wantText); err != nil {
		return err
	}
	if err := e.source.checkText("source", wantText); err != nil {
		return err
	}
	if err := e.typ.checkText("type", wantText); err != nil {
		return err
	}
	if err := e.time.check("time", wantTime); err != nil {
		return err
	}
	at, ok := parseTime(string(e.time.value))
	if !ok {
		return invalid("time", quoted(string(e.time.value)), wantTime)
	}
	if e.partitionkey.set && !to.is(e.partitionkey.value) {
		want := "the last token of the subject, " + quoted(to.last())
		if err := e.partitionkey.check("partitionkey", want); err != nil {
			return err
		}
		return invalid("partitionkey", quoted(string(e.partitionkey.value)), want)
	}
	ev.ID, ev.Source, ev.Type, ev.Time = string(e.id.value), r.sourceName(e.source.value), r.typeName(e.typ.value), at
	return nil
}

// data judges what is judged for a known type only, and gives the members of
// the data.
func (e *envelope) data(r *reader) ([]field, error) {
	const wantType = "a JSON media type, such as application/json"
	if e.datacontenttype.set {
		if err := e.datacontenttype.check("datacontenttype", wantType); err != nil {
			return nil, err
		}
		if !jsonMediaType(string(e.datacontenttype.value)) {
			return nil, invalid("datacontenttype", quoted(string(e.datacontenttype.value)), wantType)
		}
	}
	switch {
	case e.binary:
		return r.object(e.payload, "payload")
	case e.base64Raw != nil:
		return nil, invalid("data_base64", shown(e.base64Raw), "data as a JSON object")
	case !e.isObject:
		return nil, invalid("data", shown(e.dataRaw), "a JSON object")
	}
	return e.members, nil
}
