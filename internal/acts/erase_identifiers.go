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

// identifiers are the texts by which an account is found: its id and its e-mail
// addresses, in lower case. The id is the first.
type identifiers [][]byte

func newIdentifiers(account events.UUID, addresses ...string) identifiers {
	n := identifiers{[]byte(account.String())}
	for _, address := range addresses {
		n.addEmail(address)
	}
	return n
}

// addEmail adds an address. A text that cannot be an address is left out: it would find
// messages of others.
func (n *identifiers) addEmail(address string) {
	identifier := []byte(strings.ToLower(strings.TrimSpace(address)))
	if at := bytes.LastIndexByte(identifier, '@'); at < 1 || at == len(identifier)-1 {
		return
	}
	if !slices.ContainsFunc(*n, func(have []byte) bool { return bytes.Equal(have, identifier) }) {
		*n = append(*n, identifier)
	}
}

// emails returns the addresses among them.
func (n identifiers) emails() (out []string) {
	for _, identifier := range n[1:] {
		out = append(out, string(identifier))
	}
	return out
}

// collectAll adds the addresses that a stream and the tables hold of the account.
func (n *identifiers) collectAll(ctx context.Context, client *stream.Client, pool *pgxpool.Pool, account events.UUID) error {
	if err := n.addFromStream(ctx, client, account); err != nil {
		return err
	}
	rows, err := admin.FindTraces(ctx, pool, account, nil)
	if err != nil {
		return err
	}
	for _, address := range rows.Emails {
		n.addEmail(address)
	}
	return nil
}

// addFromStream adds the addresses in the messages of the account in a stream.
func (n *identifiers) addFromStream(ctx context.Context, client *stream.Client, account events.UUID) error {
	return client.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		d, err := projections.Decode(m)
		if err == nil {
			n.addFrom(&d)
		}
		return err
	})
}

// addFrom adds the addresses in a message of the account, valid or not.
func (n *identifiers) addFrom(d *projections.Decoded) {
	switch data := d.Event.Data.(type) {
	case *events.UserRegistered:
		n.addEmail(data.Email)
	case *events.UserEmailChanged:
		n.addEmail(data.Email)
	}
	if d.Invalid == nil {
		return
	}
	// A parked message, structured or binary, is searched as far as it can be read.
	var m struct {
		Email any `json:"email"`
		Data  struct {
			Email any `json:"email"`
		} `json:"data"`
	}
	_ = json.Unmarshal(d.Message.Message.Data, &m) // what is no such JSON has no address
	for _, found := range []any{m.Email, m.Data.Email} {
		if address, ok := found.(string); ok {
			n.addEmail(address)
		}
	}
}

// matchAny tells whether one of the parts contains one of the identifiers, in upper or
// lower case, also as JSON or a header may escape it. An address that is part of a
// longer one belongs to somebody else, and does not match.
func (n identifiers) matchAny(parts ...[]byte) bool {
	for _, p := range parts {
		p = bytes.ToLower(p)
		for _, text := range [][]byte{p, unescape(p), percentDecoded(p)} {
			if slices.ContainsFunc(n, func(identifier []byte) bool { return containsIdentifier(text, identifier) }) {
				return true
			}
		}
	}
	return false
}

// containsIdentifier tells whether a text contains an identifier. An address must not
// be part of a longer one.
func containsIdentifier(text, identifier []byte) bool {
	address := bytes.IndexByte(identifier, '@') >= 0
	for from := 0; ; from++ {
		i := bytes.Index(text[from:], identifier)
		if i < 0 {
			return false
		}
		from += i
		if !address || !partOfLonger(text, from, from+len(identifier)) {
			return true
		}
	}
}

// partOfLonger tells whether the characters around a place make a longer address of it.
// Only the characters that addresses consist of in practice count: others that may
// stand before an address, such as the = of a form, do not.
func partOfLonger(text []byte, from, to int) bool {
	if from > 0 {
		if b := text[from-1]; isWordByte(b) || strings.IndexByte(".+-_'", b) >= 0 && endsLocalPart(text[:from-1]) {
			return true
		}
	}
	if to == len(text) {
		return false
	}
	if b := text[to]; isWordByte(b) || b == '-' {
		return true
	}
	return text[to] == '.' && to+1 < len(text) && isWordByte(text[to+1])
}

// endsLocalPart tells whether a text ends as the local part of an address may:
// punctuation that stands by itself, such as a bracket or a quote, belongs to no
// address.
func endsLocalPart(text []byte) bool { return len(text) > 0 && isWordByte(text[len(text)-1]) }

func isWordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b >= utf8.RuneSelf
}

// matchMessage is matchAny for the subject, the headers and the data of a message.
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

// escapes are the ways in which JSON spells one character, in lower case. Texts that
// are not JSON may contain them, too.
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
			r, _ := strconv.ParseUint(string(m[2:]), 16, 16) // never fails: these are four hex digits
			return utf8.AppendRune(nil, rune(r))
		}
		return []byte{' '}
	}))
}

// percentDecoded decodes a text once, as the value of a header is decoded. It is nil
// where nothing changes.
func percentDecoded(p []byte) []byte {
	if !bytes.Contains(p, []byte{'%'}) {
		return nil
	}
	// A % that begins no escape stands for itself.
	escaped := regexp.MustCompile(`%[0-9a-f]{2}`).ReplaceAllFunc(p, func(m []byte) []byte {
		decoded, err := url.PathUnescape(string(m))
		if err != nil {
			return m
		}
		return []byte(decoded)
	})
	return bytes.ToLower(escaped)
}
