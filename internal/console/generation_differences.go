package console

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"accountexport/readmodel/admin"
)

// comparedSection is a section of a document that differs.
type comparedSection struct {
	Name    string          `json:"section"`
	Fields  []comparedField `json:"fields"`  // those that differ
	More    int             `json:"more"`    // fields that differ and are not listed
	Omitted [2]int64        `json:"omitted"` // bytes of either side that were too long to be compared here
}

// comparedField is a field of it, in both generations.
type comparedField struct {
	Item  string          `json:"item"` // in a list: which item; empty elsewhere
	Field string          `json:"field"`
	Live  json.RawMessage `json:"live"` // null where it has none
	Other json.RawMessage `json:"other"`

	only string // live or other: the item is in one of them alone
}

// Alike tells whether the two values look the same as they are shown, since they are masked.
func (f comparedField) Alike() bool { return f.only == "" && bytes.Equal(f.Live, f.Other) }

// mostFields is how many differing fields of a section are listed.
const mostFields = 100

// Only tells which side alone has the item: live, other, or neither.
func (f comparedField) Only() string { return f.only }

// In is a value for people.
func (f comparedField) In(side string) string {
	v := f.Live
	if side == "other" {
		v = f.Other
	}
	if v == nil {
		return ""
	}
	return cut(string(v))
}

// compare lists what differs, field by field, as it may be shown.
func (p Privacy) compare(sides [2]admin.AccountSide) []comparedSection {
	all := []comparedSection{}
	for i, name := range admin.StoredSections {
		a, b := sides[0].Sections[i], sides[1].Sections[i]
		if a.Bytes == 0 && b.Bytes == 0 {
			continue
		}
		s := comparedSection{Name: name, Fields: []comparedField{}, Omitted: [2]int64{a.Omitted, b.Omitted}}
		as, aOrder := storedItems(name, a.Parts)
		bs, bOrder := storedItems(name, b.Parts)
		for _, key := range unitedNames(aOrder, bOrder) {
			p.compareItems(&s, key, as, bs)
		}
		// An item of which one side was too long to be read is not missing there.
		if len(s.Fields) > 0 || s.Omitted != [2]int64{} {
			all = append(all, s)
		}
	}
	return all
}

// compareItems adds the fields in which an item differs.
func (p Privacy) compareItems(s *comparedSection, key string, as, bs map[string]storedItem) {
	a, inA := as[key]
	b, inB := bs[key]
	only := ""
	switch {
	case inA && !inB:
		only = "live"
	case inB && !inA:
		only = "other"
	}
	for _, name := range unitedNames(a.names, b.names) {
		x, y := a.fields[name], b.fields[name]
		if bytes.Equal(x, y) {
			continue
		}
		if len(s.Fields) == mostFields {
			s.More++
			continue
		}
		s.Fields = append(s.Fields, comparedField{Item: key, Field: name, Live: p.side(name, x, inA), Other: p.side(name, y, inB), only: only})
	}
}

// side is a value as it may be shown; nil where there is none.
func (p Privacy) side(name string, raw json.RawMessage, in bool) json.RawMessage {
	if !in || raw == nil {
		return nil
	}
	return p.value(name, raw)
}

// storedItem is an object, its fields in their order.
type storedItem struct {
	names  []string
	fields map[string]json.RawMessage
}

// storedItems takes apart what is stored of a section. The key of an object that is no item
// of a list is empty.
func storedItems(section string, parts [][]byte) (items map[string]storedItem, order []string) {
	items = map[string]storedItem{}
	for _, part := range parts {
		var objects []json.RawMessage
		if json.Unmarshal(slices.Concat([]byte("["), part, []byte("]")), &objects) != nil {
			objects = []json.RawMessage{part} // what is no JSON is one value
		}
		for _, raw := range objects {
			it := objectFields(raw)
			key := storedKey(section, it)
			if _, twice := items[key]; twice {
				key += " (again)"
			}
			items[key] = it
			order = append(order, key)
		}
	}
	return items, order
}

// objectFields are the fields of an object. What is no object has one field, its value.
func objectFields(raw json.RawMessage) (it storedItem) {
	it.fields = map[string]json.RawMessage{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err == nil && t == json.Delim('{') {
		for dec.More() {
			name, err := dec.Token()
			var value json.RawMessage
			if err != nil || dec.Decode(&value) != nil {
				break
			}
			text, _ := name.(string)
			it.names = append(it.names, text)
			it.fields[text] = value
		}
		return it
	}
	it.names, it.fields["value"] = []string{"value"}, quote(string(raw))
	return it
}

// storedKey tells the items of a list apart.
func storedKey(section string, it storedItem) string {
	text := func(name string) string {
		var s string
		_ = json.Unmarshal(it.fields[name], &s) // what is no text has none
		return s
	}
	switch section {
	case "quota_usage":
		return strings.TrimSpace(text("usage_date") + " " + text("team_id"))
	case "api_keys", "sandboxes":
		return text("id")
	}
	return ""
}

// unitedNames is the one list, and then what only the other one has.
func unitedNames(a, b []string) []string {
	out := slices.Clone(a)
	has := make(map[string]bool, len(a))
	for _, s := range a {
		has[s] = true
	}
	for _, s := range b {
		if !has[s] {
			out = append(out, s)
		}
	}
	return out
}
