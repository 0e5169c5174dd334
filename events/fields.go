package events

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// fields reads the members of a data object by name. The first error sticks.
// What is asked for by no name is ignored.
//
// With a probe, which no message is decoded with, each field has the probe's
// value, and what is asked for and refused is noted: see [Fields].
type fields struct {
	list  []field
	err   error
	probe *probe
}

func (f *fields) get(name string) []byte {
	for i := range f.list {
		if string(f.list[i].name) == name {
			return f.list[i].raw
		}
	}
	if f.probe != nil {
		return f.probe.asked(name)
	}
	return nil
}

func (f *fields) fail(name string, raw []byte, want expected) {
	if f.probe != nil {
		f.probe.refused(name, want)
	}
	if f.err == nil {
		f.err = invalid("data."+name, shown(raw), want.String())
	}
}

// required is the member's value; absent and null are both refused.
func (f *fields) required(name string, want Kind) []byte {
	raw := f.get(name)
	if raw == nil || isNull(raw) {
		f.fail(name, raw, expected{kind: want})
		return nil
	}
	return raw
}

// optional is the member's value, nil where it is absent or null.
func (f *fields) optional(name string) []byte {
	raw := f.get(name)
	if isNull(raw) {
		return nil
	}
	return raw
}

func (f *fields) readText(name string, raw []byte, want expected) string {
	s, ok := unquote(raw)
	n := len(s)
	if n > want.most {
		n = utf8.RuneCountInString(s)
	}
	if !ok || n < want.least || n > want.most || strings.IndexByte(s, 0) >= 0 {
		f.fail(name, raw, want)
	}
	return s
}

func (f *fields) text(name string) string { return f.textOf(name, MaxText) }

// textOf needs no look for null: that is no text either.
func (f *fields) textOf(name string, most int) string {
	return f.readText(name, f.get(name), expected{kind: KindText, least: 1, most: most})
}

// tierID is a text that [Decode] holds against the subject's tier, so no other
// than a sound tier's id is ever accepted.
func (f *fields) tierID(name string) string {
	return f.readText(name, f.get(name), expected{kind: KindTierID, least: 1, most: MaxText})
}

func (f *fields) optionalText(name string) *string {
	raw := f.optional(name)
	if raw == nil {
		return nil
	}
	s := f.readText(name, raw, expected{kind: KindText, most: MaxText})
	return &s
}

// patch reads a field of a patch event by read, which is given a value that is
// null only where the field is not nullable, and refuses it as it does any
// other of the wrong kind.
func patch[T any](f *fields, name string, nullable bool, read func(name string, raw []byte) T) Optional[T] {
	raw := f.get(name)
	switch {
	case raw == nil:
		if f.probe != nil {
			f.probe.patched(name)
		}
		return Optional[T]{}
	case isNull(raw) && nullable:
		return Clear[T]()
	}
	return Some(read(name, raw))
}

func (f *fields) patchText(name string, nullable bool) Optional[string] {
	least := 1
	if nullable {
		least = 0
	}
	return patch(f, name, nullable, func(name string, raw []byte) string {
		return f.readText(name, raw, expected{kind: KindText, least: least, most: MaxText})
	})
}

func (f *fields) readUUID(name string, raw []byte) UUID {
	if raw == nil {
		return UUID{}
	}
	if s, ok := unquoted(raw); ok {
		if id, ok := parseUUID(s); ok {
			return id
		}
	}
	f.fail(name, raw, expected{kind: KindUUID})
	return UUID{}
}

func (f *fields) uuid(name string) UUID { return f.readUUID(name, f.required(name, KindUUID)) }

func (f *fields) optionalUUID(name string) *UUID {
	raw := f.optional(name)
	if raw == nil {
		return nil
	}
	id := f.readUUID(name, raw)
	return &id
}

func (f *fields) readTime(name string, raw []byte) Time {
	if raw == nil {
		return 0
	}
	if s, ok := unquoted(raw); ok {
		if t, ok := parseTime(string(s)); ok {
			return t
		}
	}
	f.fail(name, raw, expected{kind: KindTime})
	return 0
}

func (f *fields) time(name string) Time { return f.readTime(name, f.required(name, KindTime)) }

func (f *fields) optionalTime(name string) *Time {
	raw := f.optional(name)
	if raw == nil {
		return nil
	}
	t := f.readTime(name, raw)
	return &t
}

func (f *fields) readBool(name string, raw []byte) bool {
	switch string(raw) {
	case "true":
		return true
	case "false", "":
	default:
		f.fail(name, raw, expected{kind: KindBoolean})
	}
	return false
}

func (f *fields) boolean(name string) bool { return f.readBool(name, f.required(name, KindBoolean)) }

func (f *fields) optionalBool(name string) bool { return f.readBool(name, f.optional(name)) }

func (f *fields) integer(name string) int64 {
	raw := f.required(name, KindInteger)
	if raw == nil {
		return 0
	}
	n, err := ParseInteger(string(raw))
	if err != nil {
		f.fail(name, raw, expected{kind: KindInteger})
	}
	return n
}

func (f *fields) decimal(name string) Decimal {
	raw := f.required(name, KindDecimal)
	if raw == nil {
		return 0
	}
	d, ok := parseDecimal(string(raw))
	if !ok {
		f.fail(name, raw, expected{kind: KindDecimal})
	}
	return d
}

func (f *fields) date(name string) Date {
	raw := f.required(name, KindDate)
	if raw == nil {
		return ""
	}
	if s, ok := unquote(raw); ok {
		if d, err := ParseDate(s); err == nil {
			return d
		}
	}
	f.fail(name, raw, expected{kind: KindDate})
	return ""
}

// readObject checks an Object and returns it as it came.
func (f *fields) readObject(name string, raw []byte) []byte {
	if raw == nil {
		return nil
	}
	if raw[0] != '{' {
		f.fail(name, raw, expected{kind: KindObject})
		return nil
	}
	if len(raw) > MaxObject {
		if f.err == nil {
			f.err = invalid("data."+name, strconv.Itoa(len(raw))+" bytes", expected{kind: KindObject}.String())
		}
		return nil
	}
	return raw
}

func (f *fields) object(name string) []byte {
	return compactObject(f.readObject(name, f.required(name, KindObject)))
}

func (f *fields) optionalObject(name string) []byte {
	return compactObject(f.readObject(name, f.optional(name)))
}

func compactObject(raw []byte) []byte {
	if raw == nil {
		return nil
	}
	return compact(raw)
}

func (f *fields) flags(name string) []Flag {
	raw := f.readObject(name, f.required(name, KindObject))
	if raw == nil {
		return nil
	}
	r := newReader()
	defer r.release()
	members, err := r.object(raw, "data."+name)
	if err != nil {
		if f.err == nil {
			f.err = err
		}
		return nil
	}
	out := make([]Flag, len(members))
	for i, m := range members {
		out[i].Name = string(m.name)
		if !isNull(m.raw) {
			out[i].Value = compact(m.raw)
		}
	}
	return out
}
