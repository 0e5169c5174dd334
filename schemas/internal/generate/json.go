package generate

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object whose members stay in order: that in which a person
// reads a schema, and fields come in an event. Values are texts, numbers of type int, booleans, objects,
// lists and [jsontext.Value]s.
type object []member

type member struct {
	name  string
	value any
}

type list []any

// get is the value of that name; nil where there is none.
func (o object) get(name string) any {
	for _, m := range o {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (o object) text(name string) string {
	s, _ := o.get(name).(string)
	return s
}

// with is the object with a member more, or with another value for it.
func (o object) with(name string, value any) object {
	out := make(object, 0, len(o)+1)
	for _, m := range o {
		if m.name != name {
			out = append(out, m)
		}
	}
	return append(out, member{name, value})
}

// marshal indents as openapi.json is.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := write(jsontext.NewEncoder(&b, jsontext.WithIndent(" ")), v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func write(e *jsontext.Encoder, v any) error {
	switch v := v.(type) {
	case string:
		return e.WriteToken(jsontext.String(v))
	case bool:
		return e.WriteToken(jsontext.Bool(v))
	case int:
		return e.WriteToken(jsontext.Int(int64(v)))
	case jsontext.Value:
		return e.WriteValue(v)
	case list:
		err := e.WriteToken(jsontext.BeginArray)
		for _, item := range v {
			err = errors.Join(err, write(e, item))
		}
		return errors.Join(err, e.WriteToken(jsontext.EndArray))
	case object:
		err := e.WriteToken(jsontext.BeginObject)
		for _, m := range v {
			err = errors.Join(err, e.WriteToken(jsontext.String(m.name)), write(e, m.value))
		}
		return errors.Join(err, e.WriteToken(jsontext.EndObject))
	}
	return fmt.Errorf("no JSON is written for a %T", v)
}

// unmarshal reads a text whose objects keep their order; its numbers stay as they
// are spelled.
func unmarshal(text []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	v, err := read(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func read(d *jsontext.Decoder) (any, error) {
	switch d.PeekKind() {
	case '{':
		o := object{}
		if _, err := d.ReadToken(); err != nil {
			return nil, err
		}
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			m := member{name: name.String()}
			if m.value, err = read(d); err != nil {
				return nil, err
			}
			o = append(o, m)
		}
		_, err := d.ReadToken()
		return o, err
	case '[':
		l := list{}
		if _, err := d.ReadToken(); err != nil {
			return nil, err
		}
		for d.PeekKind() != ']' {
			v, err := read(d)
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}
		_, err := d.ReadToken()
		return l, err
	case '"':
		t, err := d.ReadToken()
		return t.String(), err
	}
	v, err := d.ReadValue()
	return v.Clone(), err
}
