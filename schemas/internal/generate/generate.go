// Package generate makes the files of package schemas: from what package events
// says of its fields, from the words here, and from the description of the API,
// which says what a document is.
//
// The JSON is written by json.go here, since its order is for people to read, and
// neither library that makes schemas keeps one: google/jsonschema-go puts a
// schema's properties in front of its name, invopop/jsonschema has one type a value
// and cannot say "or null" in it.
package generate

import (
	"fmt"
	"slices"
	"strings"

	"accountexport/events"
)

// TypeScriptFile is the file with the types for TypeScript.
const TypeScriptFile = "accountexport.d.ts"

const dialect = "https://json-schema.org/draft/2020-12/schema"

// Files makes all files, by name, from the API's description (OpenAPI 3.1).
func Files(openAPI []byte) (map[string][]byte, error) {
	described, err := unmarshal(openAPI)
	if err != nil {
		return nil, fmt.Errorf("the API's description: %w", err)
	}
	sections, err := readSections(described)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if files["document.json"], err = marshal(document(sections)); err != nil {
		return nil, err
	}
	var all []event
	for _, typ := range events.Types() {
		e, err := newEvent(typ)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		if files["events/"+typ+".json"], err = marshal(e.schema()); err != nil {
			return nil, err
		}
	}
	if err := wordsAreUsed(all); err != nil {
		return nil, err
	}
	files[TypeScriptFile] = typeScript(all, sections)
	files["index.json"], err = marshal(index(all))
	return files, err
}

// index says where the schemas are, relative to itself.
func index(all []event) object {
	byType := object{}
	for _, e := range all {
		byType = append(byType, member{e.typ, "events/" + e.typ + ".json"})
	}
	return object{{"document", "document.json"}, {"typescript", TypeScriptFile}, {"events", byType}}
}

// event is a type with its words.
type event struct {
	typ    string // in full
	words  words
	tier   bool // published on a tier's subject
	fields []described
}

// described is a field with its words.
type described struct {
	events.Field
	text string
	is   fallback
}

func newEvent(typ string) (event, error) {
	short := events.ShortType(typ)
	e := event{typ: typ, words: eventWords()[short], tier: strings.HasPrefix(short, "quota_tier.")}
	if e.words.title == "" {
		return e, fmt.Errorf("%s has no words in words.go", typ)
	}
	for _, f := range events.Fields(typ) {
		w, ok := wordsOf(short, f.Name)
		if !ok {
			return e, fmt.Errorf("%s of %s has no words in words.go", f.Name, typ)
		}
		text := w.text
		switch {
		case f.Patch && f.Nullable:
			text += " Where it is absent, the value stays as it is; null clears it."
		case f.Patch:
			text += " Where it is absent, the value stays as it is; null is refused."
		case !f.Required:
			if w.is.words == "" {
				return e, fmt.Errorf("%s of %s is optional, and words.go does not say what it is then", f.Name, typ)
			}
			text += " Absent or null, it is " + w.is.words + "."
		}
		e.fields = append(e.fields, described{f, text, w.is})
	}
	return e, nil
}

// data is the schema of the event's data.
func (e event) data() object {
	is := "What the event says. Fields that are not named here are ignored."
	if len(e.fields) == 0 {
		is = "An empty object: the event says nothing beside its type and time. Whatever is in it is ignored."
	}
	o := object{{"description", is}, {"type", "object"}}
	required, properties := list{}, object{}
	for _, f := range e.fields {
		if f.Required {
			required = append(required, f.Name)
		}
		v := value(f.Field, f.text)
		if f.is.value != "" && !f.Required {
			v = append(v, member{"default", f.is.json()})
		}
		properties = append(properties, member{f.Name, v})
	}
	if len(required) > 0 {
		o = append(o, member{"required", required})
	}
	if len(properties) > 0 {
		o = append(o, member{"properties", properties})
	}
	return o
}

// schema is that of the structured CloudEvent.
func (e event) schema() object {
	subject, key := "controlplane.account.<account id>", uuid(lowerHex)
	keyIs := "The id of the account, in lower case"
	if e.tier {
		subject, key = "controlplane.quota_tier.<tier id>", tierID
		keyIs = "The id of the quota tier"
	}
	attribute := func(description string) object {
		return append(typed(description, "string", false), member{"pattern", noControls})
	}
	return object{
		{"$schema", dialect},
		{"$id", "urn:account-export:schema:" + e.typ},
		{"title", e.words.title},
		{"description", e.words.effect + " Published on " + subject + " as a CloudEvent in structured mode."},
		{"type", "object"},
		{"required", list{"specversion", "id", "source", "type", "time", "data"}},
		{"properties", object{
			{"specversion", object{{"description", "The version of CloudEvents."}, {"const", "1.0"}}},
			{"id", attribute("The event's id, unique for its source. The publisher also sends it as the header Nats-Msg-Id.")},
			{"source", attribute("Who says so, such as /control-plane/api; not judged further.")},
			{"type", object{{"description", "The event's type, with its version."}, {"const", e.typ}}},
			{"time", append(typed("When it happened: RFC 3339 with upper-case T and Z or an offset, read to the microsecond, within the years 0001 to 9999 in UTC. "+
				"It is the event's time in created_at, updated_at and their like.", "string", false), member{"format", "date-time"}, member{"pattern", sentTime})},
			{"datacontenttype", append(typed("A JSON media type, such as application/json.", "string", true), member{"pattern", mediaType})},
			{"partitionkey", append(typed(keyIs+": where it is given, it equals the last token of the subject.", "string", true), member{"pattern", key})},
			{"data", e.data()},
			{"data_base64", typed("Not accepted: data is JSON.", "null", false)},
		}},
		{"examples", list{e.example()}},
	}
}

// wordsAreUsed tells of words that nothing has.
func wordsAreUsed(all []event) error {
	used := map[string]bool{}
	for _, e := range all {
		short := events.ShortType(e.typ)
		used[short] = true
		for _, f := range e.fields {
			used[wordsKey(short, f.Name)] = true
		}
	}
	var unused []string
	for name := range eventWords() {
		if !used[name] {
			unused = append(unused, name)
		}
	}
	for name := range fieldWords() {
		if !used[name] {
			unused = append(unused, name)
		}
	}
	if slices.Sort(unused); len(unused) > 0 {
		return fmt.Errorf("words.go has words for what there is not: %s", strings.Join(unused, ", "))
	}
	return nil
}
