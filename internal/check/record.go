package check

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"accountexport/events"
	"accountexport/internal/importer"
	"accountexport/internal/stream"
)

// record is one event of an input.
type record struct {
	events.Message
	position uint64 // in the stream that it was taken from; 0: unknown
	nobodys  bool   // nothing says on which subject it is published
	keyless  bool   // a structured event alone, without partitionkey
	tier     bool   // a structured event of a type that belongs to a tier
}

// recordOf reads a value. An error means that it is no event: what was meant for a
// dump or for `projector import` and is neither.
func recordOf(value []byte) (record, error) {
	members := topLevel(value)
	switch {
	case has(members, "specversion"):
		return structured(value, members), nil
	case has(members, "Subject") && (has(members, "Data") || has(members, "Header") || has(members, "Reply")):
		return dumped(value)
	case has(members, "subject") && has(members, "seq"):
		return gotten(value)
	case has(members, "subject") && (has(members, "headers") || has(members, "data") || has(members, "data_base64")):
		m, err := importer.ParseObject(value)
		return record{Message: m}, err
	}
	return structured(value, members), nil
}

func has(members map[string]jsontext.Value, name string) bool {
	_, ok := members[name]
	return ok
}

// topLevel are the members of an object that are not null, as far as it can be read;
// of those that are there twice the first.
func topLevel(value []byte) map[string]jsontext.Value {
	d := jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil
	}
	members := map[string]jsontext.Value{}
	for {
		name, err := d.ReadToken()
		if err != nil || name.Kind() != '"' {
			return members
		}
		key := name.String()
		v, err := d.ReadValue()
		if err != nil {
			return members
		}
		if !has(members, key) && v.Kind() != 'n' {
			members[key] = v.Clone()
		}
	}
}

// structured is an event as it stands, on the subject that its partitionkey names.
func structured(value []byte, members map[string]jsontext.Value) record {
	r := record{Message: events.Message{Data: value}}
	key, prefix := importer.Text(members["partitionkey"]), "controlplane.account."
	r.keyless = key == ""
	if r.tier = importer.Text(members["type"]) == events.TypeQuotaTierDefined; r.tier {
		prefix = "controlplane.quota_tier."
		if key == "" {
			key = importer.Text(topLevel(members["data"])["id"]) // the contract wants these to be the same
		}
	}
	if r.nobodys = key == ""; !r.nobodys {
		r.Subject = prefix + key
	}
	return r
}

// dumped is what `nats sub --dump` writes: the Go client's message as JSON.
func dumped(value []byte) (record, error) {
	var m struct {
		Subject string
		Header  map[string][]string
		Data    []byte
	}
	if err := json.Unmarshal(value, &m); err != nil {
		return record{}, errors.New("found Subject and Data of another kind, want what `nats sub --dump` writes: Subject as text, Header as an object of lists of texts, Data in base64")
	}
	subject, _ := stream.SplitSubject(m.Subject)
	return record{Message: events.Message{Subject: subject, Header: m.Header, Data: m.Data}}, nil
}

// gotten is what `nats stream get --json` writes: a stored message as the server's API
// has it, its headers as they are on the wire.
func gotten(value []byte) (record, error) {
	err := errors.New("found subject and seq beside something else, want what `nats stream get --json` writes: hdrs and data in base64")
	var m struct {
		Subject string `json:"subject"`
		Seq     uint64 `json:"seq"`
		Hdrs    []byte `json:"hdrs"`
		Data    []byte `json:"data"`
	}
	if json.Unmarshal(value, &m) != nil {
		return record{}, err
	}
	subject, _ := stream.SplitSubject(m.Subject)
	r := record{Message: events.Message{Subject: subject, Data: m.Data}, position: m.Seq}
	if len(m.Hdrs) > 0 {
		var ok bool
		if r.Header, ok = wireHeader(m.Hdrs); !ok {
			return record{}, err
		}
	}
	return r, nil
}

// wireHeader reads headers as NATS sends them, names spelled as they were.
func wireHeader(b []byte) (h map[string][]string, ok bool) {
	first, rest, _ := strings.Cut(string(b), "\r\n")
	if !strings.HasPrefix(first, "NATS/1.0") {
		return nil, false
	}
	h = map[string][]string{}
	for line := range strings.SplitSeq(rest, "\r\n") {
		name, v, ok := strings.Cut(line, ":")
		switch {
		case line == "":
		case !ok:
			return nil, false
		default:
			h[name] = append(h[name], strings.Trim(v, " \t"))
		}
	}
	return h, true
}

// base64Object tells whether a data_base64 holds a JSON object.
func base64Object(v jsontext.Value) bool {
	b, err := base64.StdEncoding.DecodeString(importer.Text(v))
	return err == nil && jsontext.Value(b).IsValid() && jsontext.Value(b).Kind() == '{'
}
