package main

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"accountexport/events"
	"accountexport/projections"
)

// needles are what tells that a text speaks of an account: its id and its e-mail
// addresses, in lower case.
type needles [][]byte

func needlesOf(account events.UUID) needles { return needles{[]byte(account.String())} }

// email adds an address; what cannot be one is too little to find somebody by.
func (n *needles) email(address string) {
	needle := []byte(strings.ToLower(address))
	if len(needle) < 3 || !bytes.Contains(needle, []byte("@")) {
		return
	}
	for _, have := range *n {
		if bytes.Equal(have, needle) {
			return
		}
	}
	*n = append(*n, needle)
}

// read adds the addresses that a message of the account holds.
func (n *needles) read(d *projections.Decoded) {
	switch data := d.Event.Data.(type) {
	case *events.UserRegistered:
		n.email(data.Email)
	case *events.UserEmailChanged:
		n.email(data.Email)
	}
}

// in tells whether one of the parts holds one of them, in either case, also as
// JSON may spell it.
func (n needles) in(parts ...[]byte) bool {
	for _, p := range parts {
		p = bytes.ToLower(p)
		plain := unescape(p)
		for _, needle := range n {
			if bytes.Contains(p, needle) || bytes.Contains(plain, needle) {
				return true
			}
		}
	}
	return false
}

// inMessage looks into all of a message.
func (n needles) inMessage(m projections.Message) bool {
	parts := [][]byte{[]byte(m.Subject), m.Data}
	for name, values := range m.Header {
		parts = append(parts, []byte(name))
		for _, v := range values {
			parts = append(parts, []byte(v))
		}
	}
	return n.in(parts...)
}

// escapes are the JSON spellings of one character, in lower case; what is no
// JSON may hold them, too.
var escapes = regexp.MustCompile(`\\(u[0-9a-f]{4}|/)`)

func unescape(p []byte) []byte {
	if !bytes.Contains(p, []byte{'\\'}) {
		return p
	}
	return bytes.ToLower(escapes.ReplaceAllFunc(p, func(m []byte) []byte {
		if m[1] == '/' {
			return m[1:]
		}
		r, _ := strconv.ParseUint(string(m[2:]), 16, 16) // four hex digits
		return utf8.AppendRune(nil, rune(r))
	}))
}
