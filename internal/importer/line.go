package importer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"accountexport/events"
)

// event is a line of the input, read.
type event struct {
	message events.Message
	id      string
	park    error // why the decoder would park it; nil: it would not
}

// parse reads a line: a structured CloudEvent, which has specversion, or an
// object of subject, headers and either data or data_base64. An error is of what
// cannot be published at all.
func parse(line []byte) (e event, err error) {
	if bytes.HasPrefix(line, []byte("\xef\xbb\xbf")) {
		return e, errors.New("found a byte order mark (U+FEFF) before the object, want UTF-8 without one")
	}
	line = bytes.Clone(line)
	if e.message, e.park = events.Address(line); e.park == nil { // as nearly all are
		e.id = strings.Trim(e.message.EventID(), " \t")
	} else if e, err = parseOther(line, e.park); err != nil {
		return e, err
	}
	switch {
	case e.id == "" && e.park != nil:
		return e, fmt.Errorf("%w; and without an id that can be read, it cannot be published exactly once", e.park)
	case e.id == "": // of spaces alone
		return e, errors.New("id: found only spaces, want a text by which JetStream can tell it from others")
	}
	return e, nil
}

// parseOther reads a line that is no CloudEvent that the decoder would accept, for
// this reason.
func parseOther(line []byte, why error) (e event, err error) {
	members, err := object(line)
	if err != nil {
		return e, err
	}
	if members["specversion"] != nil {
		e.park = why
		if e.message, err = messageOf(line, members); err != nil {
			return e, why
		}
	} else if e.message, err = envelope(members); err != nil {
		return e, err
	} else {
		_, _, e.park = events.Decode(e.message)
	}
	e.id = strings.Trim(e.message.EventID(), " \t")
	return e, nil
}

// object gives the members of a JSON object, null ones left out.
func object(line []byte) (map[string]jsontext.Value, error) {
	const want = `want a JSON object: a structured CloudEvent, or {"subject":…,"headers":…,"data":…}`
	d := jsontext.NewDecoder(bytes.NewReader(line))
	if d.PeekKind() != '{' {
		if d.PeekKind() == 0 {
			if _, err := d.ReadToken(); err != nil {
				return nil, fmt.Errorf("found no JSON (%s), %s", reason(err), want)
			}
		}
		return nil, fmt.Errorf("found JSON that is no object, %s", want)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	members := map[string]jsontext.Value{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("found no JSON (%s), %s", reason(err), want)
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("found no JSON (%s), %s", reason(err), want)
		}
		if value.Kind() != 'n' {
			members[key] = value.Clone()
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if rest := trimmed(line[d.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("found %d bytes behind the object, want one object a line", len(rest))
	}
	return members, nil
}

// reason is a syntax error without the package's name.
func reason(err error) string { return strings.TrimPrefix(err.Error(), "jsontext: ") }

// messageOf is the message of a CloudEvent that [events.Address] refuses, where
// it says at least whose it is.
func messageOf(line []byte, members map[string]jsontext.Value) (m events.Message, err error) {
	key, typ := Text(members["partitionkey"]), Text(members["type"])
	if !token(key) {
		return m, errors.New("no partitionkey")
	}
	m = events.Message{Subject: "controlplane.account." + key, Data: line,
		Header: map[string][]string{"Content-Type": {"application/cloudevents+json"}}}
	if typ == events.TypeQuotaTierDefined {
		m.Subject = events.TierSubject(key)
	}
	return m, nil
}

// Text is a JSON string's value; empty where it is none.
func Text(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	s, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(s)
}

// envelope is the message of an object of subject, headers and data.
func envelope(members map[string]jsontext.Value) (m events.Message, err error) {
	for name := range members {
		switch name {
		case "subject", "headers", "data", "data_base64":
		default:
			return m, fmt.Errorf("%.64q: found a member that is not known, want a CloudEvent with specversion, or subject, headers and data or data_base64", name)
		}
	}
	m.Subject = Text(members["subject"])
	if members["subject"] == nil {
		return m, errors.New("found neither specversion nor subject, want a structured CloudEvent, or an object that names its subject")
	}
	kind, id, _ := strings.Cut(strings.TrimPrefix(m.Subject, "controlplane."), ".")
	if !strings.HasPrefix(m.Subject, "controlplane.") || !token(kind) || !token(id) {
		return m, fmt.Errorf("subject: found %.80q, want controlplane.account.<UUID in lower case> or controlplane.quota_tier.<tier id>", m.Subject)
	}
	if m.Header, err = headers(members["headers"]); err != nil {
		return m, err
	}
	m.Data, err = payload(members["data"], members["data_base64"])
	return m, err
}

// token tells whether a text can be one token of a subject that is published on.
func token(s string) bool {
	return s != "" && len(s) <= 256 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '.' || r == '*' || r == '>' })
}

// payload is data: a text's value, any other JSON as it stands; or what
// data_base64 decodes to.
func payload(data, base jsontext.Value) ([]byte, error) {
	switch {
	case data != nil && base != nil:
		return nil, errors.New("found both data and data_base64, want one of them")
	case data.Kind() == '"':
		return []byte(Text(data)), nil
	case data != nil:
		return data, nil
	case base == nil:
		return nil, errors.New("found neither data nor data_base64, want the message's payload in one of them")
	}
	b, err := base64.StdEncoding.Strict().DecodeString(Text(base))
	if err != nil || base.Kind() != '"' {
		return nil, errors.New("data_base64: found what is no base64, want the payload in base64 as RFC 4648 has it, with its padding")
	}
	return b, nil
}

// headers are texts or lists of texts by name. Those of the server's own are
// refused: one such can remove messages, and the id is this package's matter.
func headers(v jsontext.Value) (map[string][]string, error) {
	if v == nil {
		return nil, nil
	}
	const want = "want an object of texts, or of lists of texts"
	if v.Kind() != '{' {
		return nil, errors.New("headers: found no object, " + want)
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	_, _ = d.ReadToken() // {, as all is: it was read before
	out := map[string][]string{}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := t.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		switch {
		case !headerName(name):
			return nil, fmt.Errorf("headers: found the name %.64q, want letters, digits and what else a header's name may have", name)
		case len(name) >= 5 && strings.EqualFold(name[:5], "Nats-"):
			return nil, fmt.Errorf("headers: found %.64q, want none of the server's own: the id is sent as Nats-Msg-Id anyway", name)
		case value.Kind() == '"':
			out[name] = []string{Text(value)}
		case value.Kind() == '[':
			inner := jsontext.NewDecoder(bytes.NewReader(value))
			_, _ = inner.ReadToken()
			for inner.PeekKind() == '"' {
				one, err := inner.ReadValue()
				if err != nil {
					return nil, err
				}
				out[name] = append(out[name], Text(one))
			}
			if inner.PeekKind() != ']' {
				return nil, fmt.Errorf("headers: %s: found a list of something else, %s", name, want)
			}
		default:
			return nil, fmt.Errorf("headers: %s: found another JSON value, %s", name, want)
		}
		for _, s := range out[name] {
			if strings.ContainsAny(s, "\r\n\x00") || s != strings.Trim(s, " \t") {
				return nil, fmt.Errorf("headers: %s: found a value with a line's end in it, or spaces around it, want one that a header can have", name)
			}
		}
	}
	return out, nil
}

// headerName tells whether a name is a token as RFC 9110 has it.
func headerName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
