package events

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// attribute is a CloudEvents attribute as it was found.
type attribute struct {
	set   bool
	value string
	bad   string // why it is no attribute value at all; empty where it is one
}

// envelope is a message's attributes and where its data is.
type envelope struct {
	specversion, id, source, typ, time attribute
	partitionkey, datacontenttype      attribute
	binary                             bool
	dataRaw, base64Raw                 []byte // structured: the members, nil where absent
	payload                            []byte // binary: the data
}

// readEnvelope finds the attributes in the mode that the headers tell.
func readEnvelope(m Message) (envelope, error) {
	contentTypes := headerValues(m.Header, "Content-Type")
	mode := ""
	if len(contentTypes) > 0 {
		mode = mediaType(contentTypes[0])
	}
	switch {
	case mode == "application/cloudevents-batch+json":
		return envelope{}, invalid("Content-Type", quoted(contentTypes[0]), "one event a message, application/cloudevents+json")
	case mode != "application/cloudevents+json" && len(headerValues(m.Header, "ce-specversion")) > 0:
		return binaryEnvelope(m, contentTypes), nil
	}
	return structuredEnvelope(m.Data)
}

// attribute is the place of a named attribute; nil for others.
func (e *envelope) attribute(name string) *attribute {
	switch name {
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

func structuredEnvelope(payload []byte) (envelope, error) {
	var e envelope
	fields, err := readObject(payload, "payload")
	if err != nil {
		return e, err
	}
	for _, f := range fields {
		a := e.attribute(f.name)
		switch {
		case f.name == "data":
			e.dataRaw = f.raw
		case f.name == "data_base64" && !isNull(f.raw):
			e.base64Raw = f.raw
		case a == nil || isNull(f.raw):
		default:
			a.set = true
			var ok bool
			if a.value, ok = unquote(f.raw); !ok {
				a.bad = shown(f.raw)
			}
		}
	}
	return e, nil
}

func binaryEnvelope(m Message, contentTypes []string) envelope {
	e := envelope{binary: true, payload: m.Data}
	for key, values := range m.Header {
		name := strings.ToLower(key)
		if !strings.HasPrefix(name, "ce-") {
			continue
		}
		a := e.attribute(name[3:])
		if a == nil {
			continue
		}
		for _, v := range values {
			a.give(v)
		}
	}
	if !e.datacontenttype.set {
		for _, v := range contentTypes {
			e.datacontenttype.give(v)
		}
	}
	return e
}

// give sets an attribute from a header; a second time is once too often.
func (a *attribute) give(header string) {
	if a.set {
		a.bad = "two values"
		return
	}
	a.set = true
	a.value = percentDecode(header)
	if !utf8.ValidString(a.value) {
		a.bad = quoted(a.value) + ", which is no UTF-8"
	}
}

// headerValues are the values of a header, its name compared without case, in
// the order of the names as they are spelled.
func headerValues(h map[string][]string, name string) []string {
	if v, ok := h[name]; ok && len(h) == 1 {
		return v
	}
	var spelled []string
	for key := range h {
		if strings.EqualFold(key, name) {
			spelled = append(spelled, key)
		}
	}
	slices.Sort(spelled)
	var out []string
	for _, key := range spelled {
		out = append(out, h[key]...)
	}
	return out
}

// percentDecode decodes once; a % that starts no valid escape stands for
// itself.
func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && hexDigit(s[i+1]) < 16 && hexDigit(s[i+2]) < 16 {
			b = append(b, hexDigit(s[i+1])<<4|hexDigit(s[i+2]))
			i += 2
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

// mediaType is a content type in lower case, parameters aside.
func mediaType(s string) string {
	s, _, _ = strings.Cut(s, ";")
	return strings.ToLower(strings.Trim(s, " \t"))
}

// jsonMediaType tells whether a content type is */json or */*+json.
func jsonMediaType(s string) bool {
	t := mediaType(s)
	main, sub, ok := strings.Cut(t, "/")
	if !ok || !token(main) || !token(sub) {
		return false
	}
	return sub == "json" || (strings.HasSuffix(sub, "+json") && len(sub) > len("+json"))
}

// token tells whether s is a token of RFC 9110.
func token(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return s != ""
}

// check tells what is wrong with an attribute's value as such.
func (a *attribute) check(name, want string) error {
	switch {
	case !a.set:
		return invalid(name, "nothing", want)
	case a.bad != "":
		return invalid(name, a.bad, want)
	case strings.ContainsFunc(a.value, unicode.IsControl):
		return invalid(name, quoted(a.value), want+", without control characters")
	}
	return nil
}

// judge holds the attributes that every event has against the contract, and
// fills them in.
func (e *envelope) judge(ev *Event, to Subject) error {
	for _, r := range []struct {
		a          *attribute
		name, want string
	}{
		{&e.specversion, "specversion", `the text "1.0"`},
		{&e.id, "id", "a text that is not empty"},
		{&e.source, "source", "a text that is not empty"},
		{&e.typ, "type", "a text that is not empty"},
		{&e.time, "time", wantTime},
	} {
		if err := r.a.check(r.name, r.want); err != nil {
			return err
		}
		if r.a.value == "" || r.name == "specversion" && r.a.value != "1.0" {
			return invalid(r.name, quoted(r.a.value), r.want)
		}
	}
	at, ok := parseTime(e.time.value)
	if !ok {
		return invalid("time", quoted(e.time.value), wantTime)
	}
	if e.partitionkey.set {
		key := to.Tier
		if to.Kind == SubjectAccount {
			key = to.Account.String()
		}
		want := "the last token of the subject, " + quoted(key)
		if err := e.partitionkey.check("partitionkey", want); err != nil {
			return err
		}
		if e.partitionkey.value != key {
			return invalid("partitionkey", quoted(e.partitionkey.value), want)
		}
	}
	ev.ID, ev.Source, ev.Type, ev.Time = e.id.value, e.source.value, e.typ.value, at
	return nil
}

// data judges what is judged for a known type only, and cuts the data into its
// fields.
func (e *envelope) data() ([]field, error) {
	const wantType = "a JSON media type, such as application/json"
	if e.datacontenttype.set {
		if err := e.datacontenttype.check("datacontenttype", wantType); err != nil {
			return nil, err
		}
		if !jsonMediaType(e.datacontenttype.value) {
			return nil, invalid("datacontenttype", quoted(e.datacontenttype.value), wantType)
		}
	}
	if e.binary {
		return readObject(e.payload, "payload")
	}
	if e.base64Raw != nil {
		return nil, invalid("data_base64", shown(e.base64Raw), "data as a JSON object")
	}
	if len(e.dataRaw) == 0 || e.dataRaw[0] != '{' {
		return nil, invalid("data", shown(e.dataRaw), "a JSON object")
	}
	return readObject(e.dataRaw, "data")
}
