package generate

import (
	"strconv"

	"accountexport/events"
)

// The contract's values as regular expressions that ECMA-262, RE2, Python, Java
// and PCRE can read: no look-ahead, no \u and no \p. "$" is the text's end in the first
// two; the others take it for one before a last line's end, too. RE2 has no other way
// to say it that ECMA-262 has, too; package schemas says so.
const (
	noNull     = `^[^\x00]*$`
	noControls = `^[^\x00-\x1f\x7f-\x9f]+$`

	hex       = `[0-9a-fA-F]`
	lowerHex  = `[0-9a-f]`
	tierID    = `^[A-Za-z0-9_-]{1,64}$`
	token     = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
	mediaType = `^ *` + token + `/(` + token + `\+)?[jJ][sS][oO][nN] *(;[^\x00-\x1f\x7f-\x9f]*)?$`

	// A day of any month that is in every year, and the leap day. The years are
	// those of which the last two digits, or the first two of 00, can be divided by 4.
	usualDay = `((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))`
	byFour   = `(0[48]|[2468][048]|[13579][26])`

	// Years 0001 to 9999.
	day = `((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})-` + usualDay + `|([0-9]{2}` + byFour + `|` + byFour + `00)-02-29)`
	// Years 0000 to 9999: an offset can bring a time of the year 0 into the year 1.
	dayOrYear0 = `([0-9]{4}-` + usualDay + `|([0-9]{2}` + byFour + `|([02468][048]|[13579][26])00)-02-29)`

	clock = `T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]`

	date = `^` + day + `$`
	// sentTime is a time as producers may write it, documentTime as documents have it.
	sentTime     = `^` + dayOrYear0 + clock + `(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	documentTime = `^` + day + clock + `(\.[0-9]{0,5}[1-9])?Z$`
)

func uuid(digit string) string {
	return `^` + digit + `{8}-` + digit + `{4}-` + digit + `{4}-` + digit + `{4}-` + digit + `{12}$`
}

// typed is the schema's beginning: its type, null beside it where that is allowed.
func typed(description, name string, nullable bool) object {
	o := object{{"description", description}}
	if nullable {
		return append(o, member{"type", list{name, "null"}})
	}
	return append(o, member{"type", name})
}

// text is a text of so many characters, which JSON Schema counts as the contract does.
func text(o object, least, most int) object {
	if least > 0 {
		o = o.with("minLength", least)
	}
	return o.with("maxLength", most).with("pattern", noNull)
}

// maxDecimal is one more than the largest, in millionths: validators that count in
// floating point, such as all in JavaScript, take the largest for it.
const maxDecimal = int(events.MaxDecimal+1) / 1_000_000

// value is the schema of a field's value.
func value(f events.Field, description string) object {
	o := func(name string) object { return typed(description, name, f.Nullable) }
	switch f.Kind {
	case events.KindText:
		return text(o("string"), f.Min, f.Max)
	case events.KindTierID:
		return append(o("string"), member{"pattern", tierID})
	case events.KindUUID:
		return append(o("string"), member{"format", "uuid"}, member{"pattern", uuid(hex)})
	case events.KindTime:
		return append(o("string"), member{"format", "date-time"}, member{"pattern", sentTime})
	case events.KindDate:
		return append(o("string"), member{"format", "date"}, member{"pattern", date})
	case events.KindInteger:
		return append(o("integer"), member{"minimum", 0}, member{"maximum", events.MaxInteger})
	case events.KindDecimal:
		return append(o("number"), member{"minimum", 0}, member{"maximum", maxDecimal})
	case events.KindBoolean:
		return o("boolean")
	case events.KindObject:
		return o("object")
	}
	panic("no schema for the kind " + strconv.Itoa(int(f.Kind)) + " of " + f.Name)
}
