package acts

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// identifiers are what tells that a text speaks of an account: its id and its e-mail
// addresses, in lower case.
type identifiers [][]byte

func newIdentifiers(account events.UUID, addresses ...string) identifiers {
	n := identifiers{[]byte(account.String())}
	for _, address := range addresses {
		n.email(address)
	}
	return n
}

// email adds an address; what cannot be one is too little to find somebody by.
func (n *identifiers) email(address string) {
	needle := []byte(strings.ToLower(strings.TrimSpace(address)))
	if at := bytes.LastIndexByte(needle, '@'); at < 1 || at == len(needle)-1 {
		return
	}
	if !slices.ContainsFunc(*n, func(have []byte) bool { return bytes.Equal(have, needle) }) {
		*n = append(*n, needle)
	}
}

// emails are the addresses among them.
func (n identifiers) emails() (out []string) {
	for _, needle := range n[1:] {
		out = append(out, string(needle))
	}
	return out
}

// collect adds the addresses that a stream and the tables know of the account.
func (n *identifiers) collect(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, account events.UUID) error {
	if err := n.readAll(ctx, client, account); err != nil {
		return err
	}
	rows, err := admin.FindTraces(ctx, pool, account, nil)
	if err != nil {
		return err
	}
	for _, address := range rows.Emails {
		n.email(address)
	}
	return nil
}

// readAll adds the addresses that the account's messages in a stream hold.
func (n *identifiers) readAll(ctx context.Context, client *stream.Client, account events.UUID) error {
	return client.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		d, err := projections.Decode(m)
		if err == nil {
			n.read(&d)
		}
		return err
	})
}

// read adds the addresses that a message of the account holds, sound or not.
func (n *identifiers) read(d *projections.Decoded) {
	switch data := d.Event.Data.(type) {
	case *events.UserRegistered:
		n.email(data.Email)
	case *events.UserEmailChanged:
		n.email(data.Email)
	}
	if d.Invalid == nil {
		return
	}
	// Of what is parked, structured or binary, as far as it can be read.
	var m struct {
		Email any `json:"email"`
		Data  struct {
			Email any `json:"email"`
		} `json:"data"`
	}
	_ = json.Unmarshal(d.Message.Message.Data, &m) // what is no such JSON has none
	for _, found := range []any{m.Email, m.Data.Email} {
		if address, ok := found.(string); ok {
			n.email(address)
		}
	}
}

// matchAny tells whether one of the parts holds one of them, in either case, also as
// JSON or a header may spell it. An address that is a part of a longer one is
// somebody else's.
func (n identifiers) matchAny(parts ...[]byte) bool {
	for _, p := range parts {
		p = bytes.ToLower(p)
		for _, text := range [][]byte{p, unescape(p), percentDecoded(p)} {
			if slices.ContainsFunc(n, func(needle []byte) bool { return holds(text, needle) }) {
				return true
			}
		}
	}
	return false
}

// holds tells whether a text holds a needle; an address not within another.
func holds(text, needle []byte) bool {
	address := bytes.IndexByte(needle, '@') >= 0
	for from := 0; ; from++ {
		i := bytes.Index(text[from:], needle)
		if i < 0 {
			return false
		}
		from += i
		if !address || !within(text, from, from+len(needle)) {
			return true
		}
	}
}

// within tells whether what stands around a place makes a longer address of it,
// of the characters that addresses are made of in practice: what may as well
// stand before one, such as the = of a form, is not taken for a part of it.
func within(text []byte, from, to int) bool {
	if from > 0 {
		if b := text[from-1]; word(b) || strings.IndexByte(".+-_'", b) >= 0 && localBefore(text[:from-1]) {
			return true
		}
	}
	if to == len(text) {
		return false
	}
	if b := text[to]; word(b) || b == '-' {
		return true
	}
	return text[to] == '.' && to+1 < len(text) && word(text[to+1])
}

// localBefore tells whether a text ends as a local part may: punctuation that
// stands by itself, such as a bracket or a quote, is none of an address.
func localBefore(text []byte) bool { return len(text) > 0 && word(text[len(text)-1]) }

func word(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b >= utf8.RuneSelf
}

// matchMessage looks into all of a message.
func (n identifiers) matchMessage(m projections.Message) bool {
	parts := [][]byte{[]byte(m.Subject), m.Data}
	for name, values := range m.Header {
		parts = append(parts, []byte(name))
		for _, v := range values {
			parts = append(parts, []byte(v))
		}
	}
	return n.matchAny(parts...)
}

// escapes are the JSON spellings of one character, in lower case; what is no
// JSON may hold them, too.
var escapes = regexp.MustCompile(`\\(u[0-9a-f]{4}|[/"\\bfnrt])`)

func unescape(p []byte) []byte {
	if !bytes.Contains(p, []byte{'\\'}) {
		return nil
	}
	return bytes.ToLower(escapes.ReplaceAllFunc(p, func(m []byte) []byte {
		switch m[1] {
		case '/', '"', '\\':
			return m[1:]
		case 'u':
			r, _ := strconv.ParseUint(string(m[2:]), 16, 16) // four hex digits
			return utf8.AppendRune(nil, rune(r))
		}
		return []byte{' '}
	}))
}

// percentDecoded is a text as a header's value is decoded, once; nil where that
// changes nothing.
func percentDecoded(p []byte) []byte {
	if !bytes.Contains(p, []byte{'%'}) {
		return nil
	}
	// A % that starts no escape stands for itself.
	escaped := regexp.MustCompile(`%[0-9a-f]{2}`).ReplaceAllFunc(p, func(m []byte) []byte {
		decoded, err := url.PathUnescape(string(m))
		if err != nil {
			return m
		}
		return []byte(decoded)
	})
	return bytes.ToLower(escaped)
}
