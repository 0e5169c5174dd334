package events

import "strconv"

// Kind is what a field's value is (contract §1).
type Kind uint8

// The kinds of value.
const (
	KindText    Kind = iota // [Field.Min] to [Field.Max] characters, none of them U+0000
	KindTierID              // a text for which [SoundTier] holds, the last token of the event's subject
	KindUUID                // 36 characters, hex digits in either case
	KindTime                // RFC 3339, see [ParseTime]
	KindDate                // a calendar day, see [ParseDate]
	KindInteger             // digits only, 0 to [MaxInteger]
	KindDecimal             // digits, at most six of them after a point, 0 to [MaxDecimal]
	KindBoolean             // true or false
	KindObject              // a JSON object of at most [MaxObject] bytes as sent
)

// Field describes one field of an event's data.
type Field struct {
	Name     string
	Kind     Kind
	Min, Max int  // Unicode characters of a text; 0 for all other kinds
	Required bool // what lacks the field is refused
	Nullable bool // null is not refused
	Patch    bool // where the field is absent, the value stays as it is; null, where it is not refused, clears it
}

// Fields describes the data of a known type, in the order in which it is judged;
// it is nil for a type that is not known, and empty for one without fields.
//
// A field that is neither Required nor Patch has a default where it is absent or
// null (contract §2). Fields that are not listed are ignored.
//
// The answer comes from the very functions that [Decode] reads the data with: they
// are handed nothing, nulls, and what is of no kind, and say what they refuse. So
// it cannot differ from what is accepted.
func Fields(typ string) []Field {
	_, decode := registered(typ)
	if decode == nil {
		return nil
	}
	ask := func(value []byte) *probe {
		p := &probe{value: value, wanted: map[string]expected{}, patch: map[string]bool{}}
		decode(&fields{probe: p})
		return p
	}
	absent, null, other := ask(nil), ask([]byte("null")), ask([]byte("?"))
	list := make([]Field, 0, len(absent.names))
	for _, name := range absent.names {
		_, required := absent.wanted[name]
		_, refused := null.wanted[name]
		want := other.wanted[name]
		list = append(list, Field{Name: name, Kind: want.kind, Min: want.least, Max: want.most,
			Required: required, Nullable: !refused, Patch: absent.patch[name]})
	}
	return list
}

// probe is a value that every field has, and what became of it.
type probe struct {
	value  []byte
	names  []string // that were asked for, in that order
	wanted map[string]expected
	patch  map[string]bool
}

func (p *probe) asked(name string) []byte {
	p.names = append(p.names, name)
	return p.value
}

func (p *probe) refused(name string, want expected) { p.wanted[name] = want }

func (p *probe) patched(name string) { p.patch[name] = true }

// expected is what would be right.
type expected struct {
	kind        Kind
	least, most int // of a text
}

// String says it in words, which are made only where something is refused.
func (e expected) String() string {
	switch e.kind {
	case KindUUID:
		return wantUUID
	case KindTime:
		return wantTime
	case KindDate:
		return wantDate
	case KindInteger:
		return wantInteger
	case KindDecimal:
		return wantDecimal
	case KindBoolean:
		return "true or false"
	case KindObject:
		return "a JSON object of at most " + strconv.Itoa(MaxObject) + " bytes"
	}
	return "a text of " + strconv.Itoa(e.least) + " to " + strconv.Itoa(e.most) + " characters, none of them U+0000"
}
