package events

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// decoders are reused: a decoder keeps its buffers of names and brackets.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

type decoder struct {
	jsontext.Decoder
	in bytes.Buffer
}

// field is one member of a JSON object.
type field struct {
	name string
	raw  []byte // its value, white space inside included
}

// readObject cuts a JSON text that must be one object into its members. The
// text is held to contract §1 in full: valid UTF-8, no lone surrogate, no name
// twice at any depth, at most [MaxDepth] levels, nothing before or after but
// white space.
func readObject(text []byte, what string) ([]field, error) {
	if len(text) > 2*MaxDepth && depth(text) > MaxDepth {
		return nil, invalid(what, "more than 1000 levels of nesting", "JSON of at most 1000 levels")
	}
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	d.in = *bytes.NewBuffer(text)
	d.Reset(&d.in)
	fields, err := d.object(text, what)
	d.in = bytes.Buffer{}
	return fields, err
}

func (d *decoder) object(text []byte, what string) ([]field, error) {
	if d.PeekKind() != '{' {
		return nil, d.notObject(text, what)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, badJSON(text, what, err)
	}
	fields := make([]field, 0, 12)
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, badJSON(text, what, err)
		}
		name := t.String()
		v, err := d.ReadValue()
		if err != nil {
			return nil, badJSON(text, what, err)
		}
		end := int(d.InputOffset())
		fields = append(fields, field{name, text[end-len(v) : end : end]})
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, badJSON(text, what, err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, invalid(what, quoted(string(text[d.InputOffset():]))+" after the end", "one JSON object")
	}
	return fields, nil
}

func (d *decoder) notObject(text []byte, what string) error {
	if v, err := d.ReadValue(); err != nil && !errors.Is(err, io.EOF) {
		return badJSON(text, what, err)
	} else if err == nil {
		return invalid(what, shown(v), "a JSON object")
	}
	return invalid(what, "nothing", "a JSON object")
}

func badJSON(text []byte, what string, err error) error {
	found := quoted(string(text))
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		found = syntactic.Err.Error() + " at byte " + strconv.FormatInt(syntactic.ByteOffset, 10)
	} else if errors.Is(err, io.ErrUnexpectedEOF) {
		found = "an end too early"
	}
	return invalid(what, found, "JSON (RFC 8259) in UTF-8, no name twice in an object")
}

// depth counts the deepest nesting, without judging the text otherwise.
func depth(text []byte) int {
	deepest, level := 0, 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			level++
			deepest = max(deepest, level)
		case '}', ']':
			level--
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return deepest
}

// unquote reads a JSON string that is known to be valid.
func unquote(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	return string(b), err == nil
}

func isNull(raw []byte) bool { return len(raw) == 4 && raw[0] == 'n' }

// compact is the value without white space between tokens, in memory of its
// own.
func compact(raw []byte) []byte {
	v := jsontext.Value(bytes.Clone(raw))
	// What Compact would refuse was refused before: these are parts of a text
	// that was read in full.
	_ = v.Compact(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return v
}
