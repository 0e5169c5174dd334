package oracle

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// special reports whether a character in a string is a control character, a quote or
// a backslash.
func special(r rune) bool { return r < 0x20 || r == '"' || r == '\\' }

// string reads a string with its quotes, and returns its decoded value.
func (p *parser) string() (string, error) {
	p.i++
	var out []byte
	for {
		n := bytes.IndexFunc(p.b[p.i:], special) // what is before it stands for itself
		if n < 0 {
			return "", errors.New("string without end")
		}
		out = append(out, p.b[p.i:p.i+n]...)
		c := p.b[p.i+n]
		p.i += n + 1
		if c == '"' {
			return string(out), nil
		}
		if c < 0x20 {
			return "", errors.New("control character in a string")
		}
		e := p.peek()
		p.i++
		simple := map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}
		if s, ok := simple[e]; ok {
			out = append(out, s)
			continue
		}
		if e != 'u' {
			return "", errors.New("unknown escape")
		}
		r, err := p.hex4()
		if err != nil {
			return "", err
		}
		if utf16.IsSurrogate(r) {
			if p.word(`\u`) != nil {
				return "", errors.New("lone surrogate")
			}
			low, err := p.hex4()
			if err != nil {
				return "", err
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return "", errors.New("lone surrogate")
			}
		}
		out = utf8.AppendRune(out, r)
	}
}

func (p *parser) hex4() (rune, error) {
	if p.i+4 > len(p.b) {
		return 0, errors.New("short \\u escape")
	}
	for _, c := range p.b[p.i : p.i+4] {
		if !isHex(c) {
			return 0, errors.New("bad \\u escape")
		}
	}
	n, err := strconv.ParseUint(string(p.b[p.i:p.i+4]), 16, 32)
	p.i += 4
	return rune(n), err
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
