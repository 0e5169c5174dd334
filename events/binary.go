package events

import "strings"

// Binary is the same event in binary mode: its attributes in ce- headers,
// percent-encoded, datacontenttype as Content-Type, and its data as the
// payload. Extensions that are numbers or booleans become their text. A
// message that is in binary mode already is returned as it is; one without a
// sound envelope, or with data_base64, is an error.
func (m Message) Binary() (Message, error) {
	if _, _, err := Decode(m); err != nil {
		return Message{}, err
	}
	r := newReader()
	defer r.release()
	if env, err := readEnvelope(r, m); err != nil || env.binary {
		return m, err
	}
	members, err := r.object(m.Data, "payload")
	if err != nil {
		return Message{}, err
	}
	out := Message{Subject: m.Subject, Header: map[string][]string{}}
	for _, f := range members {
		if isNull(f.raw) {
			continue
		}
		value, text := unquote(f.raw)
		if !text {
			value = string(f.raw)
		}
		switch name := string(f.name); name {
		case "data":
			out.Data = f.raw
		case "data_base64":
			return Message{}, invalid(name, shown(f.raw), "data as JSON")
		case "datacontenttype":
			out.Header[contentTypeHeader(value)] = []string{strings.ReplaceAll(value, "%", "%25")}
		default:
			out.Header["ce-"+name] = []string{percentEncode(value)}
		}
	}
	return out, nil
}

// contentTypeHeader is the header for a datacontenttype: Content-Type, unless
// it would say there that the message is structured, or a batch.
func contentTypeHeader(datacontenttype string) string {
	const cloudevents = "application/cloudevents"
	if t := mediaType(datacontenttype); len(t) > len(cloudevents) && equalFold(t[:len(cloudevents)], cloudevents) {
		return "ce-datacontenttype"
	}
	return "Content-Type"
}

// percentEncode escapes what the CloudEvents protocol bindings do: all but
// printable ASCII, and space, double quote and percent.
func percentEncode(s string) string {
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
