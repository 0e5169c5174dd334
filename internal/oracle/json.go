package oracle

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxEventDepth is how deep the JSON of an event may nest (contract §1).
const maxEventDepth = 1000

// value is one JSON value: a number keeps its literal, and an object the order of
// its members.
type value struct {
	kind    byte   // one of n t f 0 " [ {
	raw     []byte // as sent, from first to last byte
	text    string // decoded, for strings
	items   []*value
	members []member
}

type member struct {
	name    string // decoded
	rawName []byte // as sent, with quotes
	value   *value
}

// get returns the member of that name, or nil.
func (v *value) get(name string) *value {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// compact appends v without white space between tokens. Everything else is as sent.
func (v *value) compact(b []byte) []byte {
	switch v.kind {
	case '[':
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.compact(b)
		}
		return append(b, ']')
	case '{':
		b = append(b, '{')
		for i, m := range v.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, m.rawName...)
			b = append(b, ':')
			b = m.value.compact(b)
		}
		return append(b, '}')
	default:
		return append(b, v.raw...)
	}
}

// parseJSON reads one RFC 8259 text: valid UTF-8 without a byte order mark or lone
// surrogates, no name twice in an object, and at most maxDepth levels deep.
func parseJSON(b []byte, maxDepth int) (*value, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("invalid UTF-8")
	}
	p := parser{b: b, maxDepth: maxDepth}
	p.space()
	v, err := p.value(0)
	if err != nil {
		return nil, fmt.Errorf("%w at byte %d", err, p.i)
	}
	p.space()
	if p.i != len(b) {
		return nil, fmt.Errorf("more after the value at byte %d", p.i)
	}
	return v, nil
}

type parser struct {
	b        []byte
	i        int
	maxDepth int
}

// peek returns the next byte, or 0 at the end. A NUL byte is not JSON anyway.
func (p *parser) peek() byte {
	if p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

func (p *parser) space() {
	for p.peek() == ' ' || p.peek() == '\t' || p.peek() == '\n' || p.peek() == '\r' {
		p.i++
	}
}

// value reads a value inside depth brackets.
func (p *parser) value(depth int) (*value, error) {
	start := p.i
	v := &value{}
	var err error
	switch c := p.peek(); {
	case c == '{' || c == '[':
		if depth == p.maxDepth {
			return nil, errors.New("nested too deep")
		}
		v.kind = c
		p.i++
		if c == '{' {
			err = p.object(v, depth+1)
		} else {
			err = p.array(v, depth+1)
		}
	case c == '"':
		v.kind = c
		v.text, err = p.string()
	case c == '-' || c >= '0' && c <= '9':
		v.kind = '0'
		err = p.number()
	case c == 'n' || c == 't' || c == 'f':
		v.kind = c
		err = p.word(map[byte]string{'n': "null", 't': "true", 'f': "false"}[c])
	default:
		err = errors.New("no value")
	}
	if err != nil {
		return nil, err
	}
	v.raw = p.b[start:p.i]
	return v, nil
}

func (p *parser) word(w string) error {
	if p.i+len(w) > len(p.b) || string(p.b[p.i:p.i+len(w)]) != w {
		return errors.New("no value")
	}
	p.i += len(w)
	return nil
}

func (p *parser) array(v *value, depth int) error {
	p.space()
	if p.peek() == ']' {
		p.i++
		return nil
	}
	for {
		p.space()
		item, err := p.value(depth)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
		p.space()
		switch p.peek() {
		case ',':
			p.i++
		case ']':
			p.i++
			return nil
		default:
			return errors.New("neither comma nor ]")
		}
	}
}

func (p *parser) object(v *value, depth int) error {
	seen := map[string]bool{}
	p.space()
	if p.peek() == '}' {
		p.i++
		return nil
	}
	for {
		p.space()
		if p.peek() != '"' {
			return errors.New("no member name")
		}
		start := p.i
		name, err := p.string()
		if err != nil {
			return err
		}
		m := member{name: name, rawName: p.b[start:p.i]}
		if seen[name] {
			return errors.New("duplicate member name")
		}
		seen[name] = true
		p.space()
		if p.peek() != ':' {
			return errors.New("no colon")
		}
		p.i++
		p.space()
		if m.value, err = p.value(depth); err != nil {
			return err
		}
		v.members = append(v.members, m)
		p.space()
		switch p.peek() {
		case ',':
			p.i++
		case '}':
			p.i++
			return nil
		default:
			return errors.New("neither comma nor }")
		}
	}
}

// number reads -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?
func (p *parser) number() error {
	digits := func() int {
		n := 0
		for p.peek() >= '0' && p.peek() <= '9' {
			p.i++
			n++
		}
		return n
	}
	if p.peek() == '-' {
		p.i++
	}
	if p.peek() == '0' {
		p.i++
	} else if digits() == 0 {
		return errors.New("bad number")
	}
	if p.peek() == '.' {
		p.i++
		if digits() == 0 {
			return errors.New("bad number")
		}
	}
	if p.peek() == 'e' || p.peek() == 'E' {
		p.i++
		if p.peek() == '+' || p.peek() == '-' {
			p.i++
		}
		if digits() == 0 {
			return errors.New("bad number")
		}
	}
	return nil
}
