package events

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// reader cuts a JSON text that must be one object into members. The text is
// held to contract §1 in full: valid UTF-8, no lone surrogate, no name twice at
// any depth, at most [MaxDepth] levels, nothing before or after but white
// space. Names and values that it hands out lie in the text.
type reader struct {
	jsontext.Decoder
	in   bytes.Buffer
	text []byte
	what string  // what the text is called in errors
	list []field // memory for the members of one object

	decoded []byte // memory for the values of binary mode

	types  map[string]string // the known types, each by itself
	source string            // of the last event, if that was short
}

// readers are reused: a decoder keeps its memory of names and brackets.
var readers = sync.Pool{New: func() any {
	r := &reader{types: map[string]string{}}
	for _, t := range Types() {
		r.types[t] = t
	}
	return r
}}

// typeName is a type as a text of its own. Known types need no copy.
func (r *reader) typeName(text []byte) string {
	if known, ok := r.types[string(text)]; ok {
		return known
	}
	return string(text)
}

// sourceName is a source as a text of its own. Event after event has the same.
func (r *reader) sourceName(text []byte) string {
	const most = 256 // bytes that a reader keeps
	if string(text) == r.source {
		return r.source
	}
	s := string(text)
	if len(s) <= most {
		r.source = s
	}
	return s
}

// field is one member of a JSON object.
type field struct {
	name []byte // unescaped
	raw  []byte // its value, white space inside included
}

func newReader() *reader { return readers.Get().(*reader) }

// release gives the reader back; its list and the values of its attributes are not
// to be used any more. A list that one large object made long is not kept.
func (r *reader) release() {
	const most = 256
	if r.decoded = r.decoded[:0]; cap(r.decoded) > 16*most {
		r.decoded = nil
	}
	r.in, r.text = bytes.Buffer{}, nil
	if cap(r.list) > most {
		r.list = nil
	}
	clear(r.list)
	r.list = r.list[:0]
	readers.Put(r)
}

// open reads the bracket that opens the text's object.
func (r *reader) open(text []byte, what string) error {
	r.text, r.what = text, what
	if len(text) > 2*MaxDepth && depth(text) > MaxDepth {
		return invalid(what, "more than 1000 levels of nesting", "JSON of at most 1000 levels")
	}
	r.in = *bytes.NewBuffer(text)
	r.Reset(&r.in)
	if r.PeekKind() == '{' {
		_, err := r.ReadToken()
		return r.bad(err)
	}
	v, err := r.ReadValue()
	switch {
	case errors.Is(err, io.EOF):
		return invalid(what, "nothing", "a JSON object")
	case err != nil:
		return r.bad(err)
	}
	return invalid(what, shown(v), "a JSON object")
}

// next reads the next member's name, or the bracket that closes the object.
func (r *reader) next() (name []byte, more bool, err error) {
	if r.PeekKind() == '}' {
		_, err := r.ReadToken()
		return nil, false, r.bad(err)
	}
	raw, err := r.ReadValue()
	if err != nil {
		return nil, false, r.bad(err)
	}
	if name = raw[1 : len(raw)-1]; bytes.IndexByte(name, '\\') >= 0 {
		name, err = jsontext.AppendUnquote(nil, raw)
	}
	return name, true, r.bad(err)
}

// value reads a member's value.
func (r *reader) value() ([]byte, error) {
	v, err := r.ReadValue()
	if err != nil {
		return nil, r.bad(err)
	}
	end := int(r.InputOffset())
	return r.text[end-len(v) : end : end], nil
}

// members reads the rest of the object that is open into the reader's list.
func (r *reader) members() ([]field, error) {
	r.list = r.list[:0]
	for {
		name, more, err := r.next()
		if err != nil || !more {
			return r.list, err
		}
		raw, err := r.value()
		if err != nil {
			return nil, err
		}
		r.list = append(r.list, field{name, raw})
	}
}

// end checks that nothing follows the object.
func (r *reader) end() error {
	if _, err := r.ReadToken(); !errors.Is(err, io.EOF) {
		return invalid(r.what, shown(r.text[r.InputOffset():])+" after the end", "one JSON object")
	}
	return nil
}

// object reads a text that must be one object.
func (r *reader) object(text []byte, what string) ([]field, error) {
	if err := r.open(text, what); err != nil {
		return nil, err
	}
	list, err := r.members()
	if err != nil {
		return nil, err
	}
	return list, r.end()
}

func (r *reader) bad(err error) error {
	if err == nil {
		return nil
	}
	found := "an end too early"
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) && !errors.Is(err, io.ErrUnexpectedEOF) {
		found = printable(syntactic.Err.Error(), foundMax)
		if at := string(syntactic.JSONPointer); at != "" {
			found += " at " + printable(at, foundMax)
		}
		found += ", byte " + strconv.FormatInt(syntactic.ByteOffset, 10)
	}
	return invalid(r.what, found, "JSON (RFC 8259) in UTF-8, no name twice in an object")
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

// unquote reads a JSON string that is known to be valid, into memory of its own.
func unquote(raw []byte) (string, bool) {
	b, ok := unquoted(raw)
	return string(b), ok
}

// unquoted is unquote without a copy, where nothing is escaped.
func unquoted(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	b, err := jsontext.AppendUnquote(nil, raw)
	return b, err == nil
}

func isNull(raw []byte) bool { return len(raw) == 4 && raw[0] == 'n' }

// compact is the value without white space between tokens, in memory of its
// own. Number literals, member order and strings stay as they are.
func compact(raw []byte) []byte {
	v := jsontext.Value(bytes.Clone(raw))
	// It cannot fail: these are parts of a text that was read in full.
	_ = v.Compact()
	return v
}
