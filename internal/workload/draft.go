package workload

import "strings"

// attribute is one CloudEvents attribute. raw, if set, is its JSON value in place of
// text; a null is omitted in binary mode.
type attribute struct{ name, text, raw string }

// draft is a message before it is serialised, which mutations can still change.
type draft struct {
	tokens      [2]string // of the subject, after "controlplane"
	eventType   eventType
	binary      bool
	contentType string // of the message; empty: none
	attributes  []attribute
	more        []member // further members of a structured event
	fields      []member // of data
	data        string   // in place of fields, if set; "-" for no data at all
	header      map[string][]string
	payload     func([]byte) []byte // changes the payload last, if set
}

func (d *draft) attribute(name string) *attribute {
	for i := range d.attributes {
		if d.attributes[i].name == name {
			return &d.attributes[i]
		}
	}
	d.attributes = append(d.attributes, attribute{name: name})
	return &d.attributes[len(d.attributes)-1]
}

func (d *draft) drop(name string) {
	kept := d.attributes[:0]
	for _, a := range d.attributes {
		if a.name != name {
			kept = append(kept, a)
		}
	}
	d.attributes = kept
}

func (d *draft) setHeader(name string, values ...string) {
	if d.header == nil {
		d.header = map[string][]string{}
	}
	d.header[name] = append(d.header[name], values...)
}

// message serialises the draft.
func (s *source) message(d *draft) Message {
	s.spaced = s.chance(0.25)
	if d.contentType != "" {
		d.setHeader(pick(s, "Content-Type", "Content-Type", "content-type", "CONTENT-TYPE"), d.contentType)
	}
	data := d.data
	if data == "" {
		data = s.object(s.shuffled(d.fields))
	}
	var payload string
	if d.binary {
		for _, a := range d.attributes {
			if a.raw == "null" {
				continue
			}
			name := "ce-" + a.name
			switch {
			case s.chance(0.1):
				name = s.mixedCase(name)
			case s.chance(0.2):
				name = "Ce-" + strings.ToUpper(a.name[:1]) + a.name[1:]
			}
			d.setHeader(name, s.percentEncoded(a.text))
		}
		if payload = data; data == "-" {
			payload = ""
		}
	} else {
		members := append([]member(nil), d.more...)
		for _, a := range d.attributes {
			raw := a.raw
			if raw == "" {
				raw = s.text(a.text)
			}
			members = append(members, member{a.name, raw})
		}
		if data != "-" {
			members = append(members, member{"data", data})
		}
		payload = s.space() + s.object(s.shuffled(members)) + s.space()
	}
	m := Message{Subject: "controlplane." + d.tokens[0] + "." + d.tokens[1], Header: d.header, Data: []byte(payload)}
	if d.payload != nil {
		m.Data = d.payload(m.Data)
	}
	return m
}
