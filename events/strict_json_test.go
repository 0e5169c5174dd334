package events_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// member is one member of a JSON object; its value is as sent.
type member struct {
	name  string
	value []byte
}

// strictObject holds a text against the contract's JSON rules with the
// standard library and a walk over the bytes of its own, and gives the members
// of the object that it must be.
func strictObject(text []byte) ([]member, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errors.New("no JSON in UTF-8")
	}
	w := &walk{text: text}
	w.space()
	if text[w.at] != '{' {
		return nil, errors.New("no object")
	}
	w.value(1)
	return w.top, w.err
}

// walk goes through a text that json.Valid has accepted.
type walk struct {
	text []byte
	at   int
	top  []member // members of the first object
	err  error
}

func (w *walk) space() {
	for w.at < len(w.text) && bytes.IndexByte([]byte(" \t\r\n"), w.text[w.at]) >= 0 {
		w.at++
	}
}

func (w *walk) value(level int) {
	w.space()
	switch c := w.text[w.at]; c {
	case '{', '[':
		if level > 1000 {
			w.err = errors.New("too deep")
		}
		w.container(c == '{', level)
	case '"':
		w.str()
	default:
		for w.at < len(w.text) && bytes.IndexByte([]byte(" \t\r\n,]}"), w.text[w.at]) < 0 {
			w.at++
		}
	}
}

func (w *walk) container(object bool, level int) {
	names := map[string]bool{}
	for w.at++; ; w.at++ {
		w.space()
		if c := w.text[w.at]; c == '}' || c == ']' {
			w.at++
			return
		}
		var name string
		if object {
			if name = w.str(); names[name] {
				w.err = errors.New("a name twice")
			}
			names[name] = true
			w.space()
			w.at++ // the colon
			w.space()
		}
		from := w.at
		w.value(level + 1)
		if object && level == 1 {
			w.top = append(w.top, member{name, w.text[from:w.at]})
		}
		w.space()
		if c := w.text[w.at]; c == '}' || c == ']' {
			w.at++
			return
		}
	}
}

// str reads a string, and looks for surrogates without a second half.
func (w *walk) str() string {
	from := w.at
	high := false // the escape just before was a first half
	for w.at++; w.text[w.at] != '"'; w.at++ {
		unit := uint64(0)
		if w.text[w.at] == '\\' {
			w.at++
			if w.text[w.at] == 'u' {
				unit, _ = strconv.ParseUint(string(w.text[w.at+1:w.at+5]), 16, 32)
				w.at += 4
			}
		}
		low := unit >= 0xdc00 && unit < 0xe000
		if high != low {
			w.err = errors.New("half a surrogate pair")
		}
		high = unit >= 0xd800 && unit < 0xdc00
	}
	if high {
		w.err = errors.New("half a surrogate pair")
	}
	w.at++
	var s string
	if err := json.Unmarshal(w.text[from:w.at], &s); err != nil {
		w.err = err
	}
	return s
}
