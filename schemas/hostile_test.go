package schemas_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"accountexport/events"
	"accountexport/internal/local/corpus"
)

// judged is a message, what the decoder says of it, and the text that is held
// against its type's schema.
type judged struct {
	message events.Message
	event   events.Event
	reason  *events.Invalid // nil where it is accepted or ignored
	text    text            // none where no schema is for it
	reads   []unseen        // entries of the list that say why a schema cannot refuse it
}

// judge decodes the message. One in binary mode is held against the schema as the
// same event in structured mode, as far as its headers can be read.
func judge(t testing.TB, m events.Message) judged {
	t.Helper()
	j := judged{message: m}
	var err error
	if j.event, _, err = events.Decode(m); err != nil && !errors.As(err, &j.reason) {
		t.Fatalf("an error that is no reason: %v", err)
	}
	j.text.json = m.Data
	typ := j.event.Type
	if isBinary(m) {
		j.text.json = structured(t, m, j.event)
	} else if typ == "" || j.reason != nil && j.reason.Field == "subject" {
		typ = typeOf(m.Data)
	}
	if events.Known(typ) && j.text.json != nil {
		j.text.schema = eventID(typ)
	}
	j.event.Type = typ
	if j.reason != nil {
		for _, u := range onlyTheDecoder() {
			if u.holds(j.event, m, j.reason) {
				j.reads = append(j.reads, u)
			}
		}
	}
	return j
}

// typeOf is the type that a lenient parser finds.
func typeOf(payload []byte) string {
	var envelope struct {
		Type any `json:"type"`
	}
	_ = json.Unmarshal(payload, &envelope) // what is no JSON has no type
	typ, _ := envelope.Type.(string)
	return typ
}

// structured is the event with the payload as its data; nil where its attributes
// cannot be read.
func structured(t testing.TB, m events.Message, e events.Event) []byte {
	t.Helper()
	if !e.Sound || !events.Known(e.Type) {
		return nil
	}
	head, err := json.Marshal(map[string]string{"specversion": "1.0", "id": e.ID, "source": e.Source, "type": e.Type, "time": e.Time.String()})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(head[:len(head)-1], []byte(`,"data":`), m.Data, []byte("}"))
}

// expect says what is wrong with the schemas, given whether they accept it.
func (j judged) expect(accepted bool) string {
	switch {
	case j.reason == nil && j.event.Data == nil: // ignored, for a type that has no schema
		return ""
	case j.reason == nil && !accepted:
		return "the decoder accepts it, and the schema does not"
	case j.reason != nil && accepted && len(j.reads) == 0:
		return "the decoder refuses it (" + j.reason.Error() + "), and the schema does not"
	}
	return ""
}

// seen tells whether a schema is there to judge the message at all: there is none
// for headers.
func (j judged) seen() bool { return j.text.schema != "" }

// TestHostileMessages holds every message of the hostile corpus against the schema
// of its type, by two validators: what is accepted is accepted, and what is refused
// is refused, too, or is on the list of what only the decoder refuses, in one
// entry. No entry is on it that a schema refuses, or that no message needs.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	var all []judged
	var names []string
	var texts []text
	for _, c := range corpus.Read(t, "../events/testdata/hostile") {
		j := judge(t, c.Message)
		all, names = append(all, j), append(names, c.Name)
		if j.seen() {
			texts = append(texts, j.text)
		}
	}
	plain, formats := newAjv(t).accepts(t, texts)
	needed := map[string]int{}
	for i, j := range all {
		accepted := j.reason != nil && isBinary(j.message) // no schema reads headers
		if j.seen() {
			err := inGo(t, j.text)
			accepted = err == nil
			if plain[0] != accepted {
				t.Errorf("%s: ajv accepts it: %v, and the validator in Go: %v", names[i], plain[0], err)
			}
			if j.reason == nil && !formats[0] {
				t.Errorf("%s: ajv refuses it where it judges formats", names[i])
			}
			plain, formats = plain[1:], formats[1:]
		}
		if wrong := j.expect(accepted); wrong != "" {
			t.Errorf("%s: %s", names[i], wrong)
		}
		for _, u := range j.reads {
			needed[u.is]++
			if refused := !accepted && j.seen(); refused != slices.Contains(u.refused, names[i]) {
				t.Errorf("%s: the schema refuses it: %v, and the list has it under: %s", names[i], refused, u.is)
			}
		}
		if len(j.reads) > 1 {
			t.Errorf("%s: two entries of the list are about it: %s; %s", names[i], j.reads[0].is, j.reads[1].is)
		}
	}
	for _, u := range onlyTheDecoder() {
		if needed[u.is] <= len(u.refused) {
			t.Errorf("no message needs the entry: %s", u.is)
		}
	}
}
