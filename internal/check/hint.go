package check

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"accountexport/events"
	"accountexport/internal/importer"
	"accountexport/projections"
)

// hinted is an event that is parked, as hints look at it.
type hinted struct {
	field, found, want string
	rec                *record
	attributes         map[string]jsontext.Value // of the payload's object, in structured mode
	data               map[string]jsontext.Value
	binary             bool
}

// hints are tried in this order; each says in one sentence what is typically wrong, or
// nothing. None of them says anything that came out of the event.
var hints = []func(h *hinted) string{
	hintForPeople, hintBatch, hintByteOrderMark, hintLostByJSON, hintOtherBinding, hintDataAlone, hintNoPayload, hintBytes, hintNoData, hintTextOfJSON, hintContentType,
	hintUpperCase, hintTime, hintNumber, hintSpelling,
}

// hintUnread is the hint for what is no event.
var hintUnread = []string{"doc/operating.md lists the forms that are read, under \"Check events in a producer's CI\""}

// hintsOf are the hints for an event that is parked, or of which nothing says whose it
// is.
func hintsOf(rec *record, d *projections.Decoded, v *Verdict) (out []string) {
	switch {
	case !rec.keyless || !has(topLevel(rec.Data), "specversion"):
	case d.To.Kind == events.SubjectTier:
		out = append(out, "add partitionkey, the tier's id, as `projector publish` and `projector import` need it")
	default:
		out = append(out, "add partitionkey, the account's UUID, as `projector publish` and `projector import` need it, or say with --account whose it is")
	}
	if v.Field == "" {
		return out
	}
	h := &hinted{field: v.Field, found: v.Found, want: v.Want, rec: rec, binary: len(header(rec.Header, "ce-specversion")) > 0}
	if ct := header(rec.Header, "Content-Type"); len(ct) > 0 && strings.HasPrefix(strings.ToLower(ct[0]), "application/cloudevents+json") {
		h.binary = false
	}
	if h.binary {
		h.data = topLevel(rec.Data)
	} else {
		h.attributes = topLevel(rec.Data)
		h.data = topLevel(h.attributes["data"])
	}
	for _, hint := range hints {
		if s := hint(h); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// header are the values of a header, its name compared without case.
func header(h map[string][]string, name string) (values []string) {
	for key, v := range h {
		if strings.EqualFold(key, name) {
			values = append(values, v...)
		}
	}
	return values
}

// forPeople are the lines that the nats CLI prints around a message.
var forPeople = regexp.MustCompile(`^(\[#?[0-9]+\]$|Received (on|JetStream message) |Subject: .* Received: |Item: .* received )`)

func hintForPeople(h *hinted) string {
	if h.field != "payload" || len(h.rec.Header) > 0 || !forPeople.Match(h.rec.Data) {
		return ""
	}
	return "this is what the nats CLI prints for people: `nats sub --dump=-` and `nats stream get --json` print what is read here"
}

func hintBatch(h *hinted) string {
	ct := header(h.rec.Header, "Content-Type")
	var list []jsontext.Value
	isList := json.Unmarshal(h.rec.Data, &list) == nil && len(list) > 0 && list[0].Kind() == '{'
	if h.field == "Content-Type" && len(ct) > 0 || h.field == "payload" && isList {
		return "a batch: publish each of its events as a message of its own (`jq -c '.[]'` makes lines of it)"
	}
	return ""
}

func hintByteOrderMark(h *hinted) string {
	if bytes.HasPrefix(h.rec.Data, []byte("\xEF\xBB\xBF")) {
		return "it begins with a byte order mark: write UTF-8 without one (in .NET new UTF8Encoding(false), in Python utf-8 and not utf-8-sig)"
	}
	return ""
}

// hintLostByJSON knows what a dump that is JSON lacks of headers that are no UTF-8.
func hintLostByJSON(h *hinted) string {
	for _, v := range header(h.rec.Header, "ce-"+h.field) {
		if h.binary && strings.ContainsRune(v, '\uFFFD') {
			return "the dump has lost bytes of this header that are no UTF-8: `nats stream get STREAM SEQUENCE --json` has all of them; SDKs percent-encode what is not ASCII"
		}
	}
	return ""
}

// hintOtherBinding knows the names that headers have in other protocols.
func hintOtherBinding(h *hinted) string {
	if h.field != "specversion" && h.field != "payload" || h.binary {
		return ""
	}
	for name := range h.rec.Header {
		name = strings.ToLower(name)
		switch {
		case strings.HasPrefix(name, "ce_"):
			return "its headers begin with ce_, as those of Kafka do: with NATS they are ce-id, ce-type and so on"
		case strings.HasPrefix(name, "cloudevents_"):
			return "its headers begin with cloudEvents_, as those of AMQP do: with NATS they are ce-id, ce-type and so on"
		}
	}
	return ""
}

func hintDataAlone(h *hinted) string {
	if h.binary || h.field != "specversion" || len(h.rec.Header) > 0 || has(h.attributes, "type") || has(h.attributes, "source") || spelled(h.attributes, "specversion") != "" {
		return ""
	}
	return "this looks like the data alone: put it into a CloudEvent, or send the attributes in ce- headers; `--raw` of the nats CLI prints no headers, `nats sub --dump=-` does"
}

func hintNoPayload(h *hinted) string {
	if h.field != "payload" || len(h.rec.Data) != 0 && string(h.rec.Data) != "nil body" {
		return ""
	}
	return "the payload is empty: SDKs send nothing where data was left out; give {} as data where a type has no fields"
}

func hintBytes(h *hinted) string {
	if h.field != "data_base64" {
		return ""
	}
	s := "the SDK was given bytes for data (a Buffer, a Uint8Array, a []byte), or a datacontenttype that is not JSON: give it the object itself, and application/json as datacontenttype"
	if base64Object(h.attributes["data_base64"]) {
		s += "; the bytes are a JSON object, so nothing else needs to change"
	}
	return s
}

func hintNoData(h *hinted) string {
	if h.field == "data" && h.found == "nothing" || h.field == "data" && h.found == "null" {
		return "SDKs leave data out where it was not given, or is undefined, null or nil: give {} where a type has no fields"
	}
	return ""
}

func hintTextOfJSON(h *hinted) string {
	text := importer.Text(h.attributes["data"])
	if h.field == "payload" && h.binary {
		text = importer.Text(jsontext.Value(h.rec.Data))
	} else if h.field != "data" {
		return ""
	}
	if text == "" || !jsontext.Value(text).IsValid() {
		return ""
	}
	return "the data is a text that holds JSON: it was made JSON twice; give the SDK the object itself, not what JSON.stringify, json.dumps or json.Marshal makes of it, and application/json as datacontenttype"
}

func hintContentType(h *hinted) string {
	if h.field != "datacontenttype" {
		return ""
	}
	if h.binary {
		return "send application/json as Content-Type, or leave it out: in binary mode that header is the datacontenttype"
	}
	return "set application/json as datacontenttype, or leave it out: the data of every event is a JSON object"
}

var hexDigits = regexp.MustCompile(`^[0-9a-fA-F]{32}$`)

func hintUpperCase(h *hinted) string {
	last := h.rec.Subject[strings.LastIndexByte(h.rec.Subject, '.')+1:]
	key := importer.Text(h.attributes["partitionkey"])
	if v := header(h.rec.Header, "ce-partitionkey"); h.binary && len(v) > 0 {
		key = v[0]
	}
	if h.field == "subject" && upper(last) || h.field == "partitionkey" && upper(key) {
		return "the account's UUID is in lower case in the subject and in partitionkey: make it so before publishing (.NET's and Swift's UUIDs may be upper case)"
	}
	for _, s := range []string{last, key, importer.Text(h.value())} {
		if (h.field == "subject" || h.field == "partitionkey" || strings.Contains(h.want, "a UUID")) &&
			len(s) != 36 && hexDigits.MatchString(strings.NewReplacer("-", "", "{", "", "}", "", "urn:uuid:", "").Replace(s)) {
			return "the UUID is spelled otherwise: 8-4-4-4-12 hexadecimal digits, without braces or urn:uuid:"
		}
	}
	return ""
}

func upper(id string) bool {
	_, err := events.ParseUUID(id)
	return err == nil && id != strings.ToLower(id)
}

// value is what the event has in the field that is wrong; nil where it has nothing.
func (h *hinted) value() jsontext.Value {
	if name, ok := strings.CutPrefix(h.field, "data."); ok {
		return h.data[name]
	}
	if v := header(h.rec.Header, "ce-"+h.field); h.binary && len(v) > 0 {
		b, _ := json.Marshal(v[0]) // of a text: no error
		return b
	}
	return h.attributes[h.field]
}
