package projections

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"accountexport/events"
)

// scanValue returns the index after the JSON value that starts at i. It expects JSON that
// this program has written, and need not find every error.
func scanValue(b []byte, i int) (int, error) {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			end, err := scanString(b, i)
			if err != nil {
				return 0, err
			}
			i = end
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		case ',', ':':
			i++
			continue
		default:
			for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' {
				i++
			}
		}
		if depth == 0 {
			return i, nil
		}
		if depth < 0 {
			break
		}
	}
	return 0, errCorrupt
}

// scanString returns the index after the string that starts at i.
func scanString(b []byte, i int) (int, error) {
	for i++; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			break
		}
		i += j
		slashes := 0
		for k := i - 1; b[k] == '\\'; k-- {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1, nil
		}
	}
	return 0, errCorrupt
}

// object reads the values of a stored JSON object in order. After the first error every
// value is empty; err holds it.
type object struct {
	b   []byte
	i   int
	err error
}

func openObject(b []byte) *object {
	o := &object{b: b}
	if len(b) == 0 || b[0] != '{' {
		o.err = errCorrupt
	}
	return o
}

// member moves on to the next member and returns its name, in quotes, and its value.
// The name is nil at the end.
func (o *object) member() (name, value []byte) {
	if o.err != nil || o.i >= len(o.b) || o.b[o.i] == '}' || (o.b[o.i] == '{' && o.i+1 < len(o.b) && o.b[o.i+1] == '}') {
		return nil, nil
	}
	start := o.i + 1 // past '{' or ','
	end, err := scanValue(o.b, start)
	if err != nil || end >= len(o.b) || o.b[end] != ':' {
		o.err = errCorrupt
		return nil, nil
	}
	stop, err := scanValue(o.b, end+1)
	if err != nil || stop >= len(o.b) {
		o.err = errCorrupt
		return nil, nil
	}
	o.i = stop
	return o.b[start:end], o.b[end+1 : stop]
}

// next is the next member's value.
func (o *object) next() []byte {
	_, v := o.member()
	if v == nil && o.err == nil {
		o.err = errCorrupt
	}
	return v
}

// fail records the first error.
func (o *object) fail(err error) {
	if err != nil && o.err == nil {
		o.err = err
	}
}

func (o *object) raw() []byte { return o.next() }

// text is the next member's value, a string, which may lie in the JSON.
func (o *object) text() []byte {
	v := o.next()
	if o.err != nil {
		return nil
	}
	s, err := unquoted(v)
	o.fail(err)
	return s
}

func (o *object) str() string { return string(o.text()) }

func (o *object) strPtr() *string {
	v := o.next()
	if o.err != nil || isNull(v) {
		return nil
	}
	s, err := unquote(v)
	o.fail(err)
	return &s
}

func (o *object) uuid() (id events.UUID) {
	o.fail(id.UnmarshalText(o.text()))
	return id
}

func (o *object) uuidPtr() *events.UUID {
	s := o.strPtr()
	if s == nil {
		return nil
	}
	id, err := events.ParseUUID(*s)
	o.fail(err)
	return &id
}

func (o *object) time() events.Time {
	t, err := events.ParseTime(string(o.text()))
	o.fail(err)
	return t
}

func (o *object) timePtr() *events.Time {
	v := o.next()
	if o.err != nil || isNull(v) {
		return nil
	}
	s, err := unquoted(v)
	o.fail(err)
	t, err := events.ParseTime(string(s))
	o.fail(err)
	return &t
}

func (o *object) integer() int64 {
	n, err := strconv.ParseInt(string(o.next()), 10, 64)
	o.fail(err)
	return n
}

func (o *object) decimal() events.Decimal {
	d, err := events.ParseDecimal(string(o.next()))
	o.fail(err)
	return d
}

func (o *object) boolean() bool {
	switch v := o.next(); string(v) {
	case "true":
		return true
	case "false":
	default:
		o.fail(errCorrupt)
	}
	return false
}

func isNull(v []byte) bool { return len(v) == 4 && v[0] == 'n' }

func unquote(v []byte) (string, error) {
	s, err := unquoted(v)
	return string(s), err
}

// unquoted is unquote without a copy, where nothing is escaped.
func unquoted(v []byte) ([]byte, error) {
	if len(v) < 2 || v[0] != '"' {
		return nil, errCorrupt
	}
	if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner, nil
	}
	return jsontext.AppendUnquote(nil, v)
}

// splitItems cuts apart objects that are joined by commas, as sections are stored.
func splitItems(b []byte, each func(raw []byte) error) error {
	for i := 0; i < len(b); i++ {
		end, err := scanValue(b, i)
		if err != nil {
			return err
		}
		if end < len(b) && b[end] != ',' {
			return errCorrupt
		}
		if err := each(b[i:end:end]); err != nil {
			return err
		}
		i = end
	}
	return nil
}
