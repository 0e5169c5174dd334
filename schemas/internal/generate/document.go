package generate

import (
	"fmt"
	"strings"

	"accountexport/events"
)

// section is one of the objects that the document is made of, as the API's
// description has it.
type section struct {
	name   string // such as User, and Export for the whole
	schema object
}

// entity is what the types are named by whose events make a section.
func (s section) entity() string {
	return map[string]string{"User": "user", "Team": "team", "QuotaTier": "quota_tier", "QuotaUsage": "quota_usage", "APIKey": "api_key",
		"Sandbox": "sandbox"}[s.name]
}

const references = "#/components/schemas/"

// readSections finds Export in the API's description, and what it refers to.
func readSections(description any) ([]section, error) {
	all, _ := description.(object)
	components, _ := all.get("components").(object)
	schemas, _ := components.get("schemas").(object)
	find := func(name string) (section, error) {
		s, ok := schemas.get(name).(object)
		if !ok {
			return section{}, fmt.Errorf("the API's description has no schema %s", name)
		}
		return section{name, s}, nil
	}
	export, err := find("Export")
	if err != nil {
		return nil, err
	}
	sections := []section{export}
	properties, _ := export.schema.get("properties").(object)
	for _, p := range properties {
		schema, _ := p.value.(object)
		if items, ok := schema.get("items").(object); ok {
			schema = items
		}
		s, err := find(strings.TrimPrefix(schema.text("$ref"), references))
		if err != nil {
			return nil, fmt.Errorf("%s of Export: %w", p.name, err)
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// document is the schema of the export: what the API's description says of it, and
// what the contract says of its values beyond that.
func document(sections []section) object {
	defs := object{}
	for _, s := range sections[1:] {
		defs = append(defs, member{s.name, s.exact()})
	}
	o := object{{"$schema", dialect}, {"$id", "urn:account-export:schema:document"}, {"title", "An account's export"}}
	for _, m := range sections[0].schema {
		o = append(o, member{m.name, referring(m.value)})
	}
	return append(o, member{"$defs", defs})
}

// referring has references to this document's own definitions.
func referring(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for _, m := range v {
			if ref, ok := m.value.(string); ok && m.name == "$ref" {
				m.value = "#/$defs/" + strings.TrimPrefix(ref, references)
			}
			out = append(out, member{m.name, referring(m.value)})
		}
		return out
	case list:
		out := list{}
		for _, item := range v {
			out = append(out, referring(item))
		}
		return out
	}
	return v
}

// exact is the section with its values as the fold writes them.
func (s section) exact() object {
	properties, _ := s.schema.get("properties").(object)
	out := object{}
	for _, p := range properties {
		v, _ := p.value.(object)
		out = append(out, member{p.name, s.exactly(p.name, v)})
	}
	o := object{}
	for _, m := range s.schema {
		if m.name == "properties" {
			m.value = out
		}
		o = append(o, m)
	}
	return o
}

func (s section) exactly(name string, v object) object {
	types, nullable := v.get("type").(list)
	isText := v.text("type") == "string" || nullable && types[0] == "string"
	switch format := v.text("format"); {
	case format == "uuid":
		return v.with("pattern", uuid(lowerHex))
	case format == "date-time":
		return v.with("pattern", documentTime)
	case format == "date":
		return v.with("pattern", date)
	case format == "double":
		return v.with("maximum", maxDecimal)
	case isText && v.text("pattern") == "":
		least, most := s.limits(name)
		return text(v, least, most)
	}
	return v
}

// limits are those of the events that set a text.
func (s section) limits(name string) (least, most int) {
	least = events.MaxText
	for _, typ := range events.Types() {
		if !strings.HasPrefix(events.ShortType(typ), s.entity()+".") {
			continue
		}
		for _, f := range events.Fields(typ) {
			if f.Name == name {
				least, most = min(least, f.Min), max(most, f.Max)
			}
		}
	}
	return least, most
}
