package workload

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf16"
)

// source is the only source of randomness.
type source struct {
	*rand.Rand
	spaced bool // whether the current JSON has white space between tokens
}

func newSource(seed uint64) *source {
	return &source{Rand: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
}

func (s *source) chance(p float64) bool { return s.Float64() < p }

func pick[T any](s *source, from ...T) T { return from[s.IntN(len(from))] }

// member is a member of an object, with its value as JSON.
type member struct{ name, raw string }

// space returns white space between tokens, usually none.
func (s *source) space() string {
	if !s.spaced {
		return ""
	}
	return pick(s, "", "", " ", " ", "\n", "\t", "\r\n", "  ")
}

// object serialises an object with its members in the given order.
func (s *source) object(members []member) string {
	var b strings.Builder
	b.WriteString("{" + s.space())
	for i, m := range members {
		if i > 0 {
			b.WriteString("," + s.space())
		}
		b.WriteString(s.text(m.name) + s.space() + ":" + s.space() + m.raw + s.space())
	}
	b.WriteString("}")
	return b.String()
}

func (s *source) array(items []string) string {
	for i := range items {
		items[i] = s.space() + items[i] + s.space()
	}
	return "[" + strings.Join(items, ",") + "]"
}

func (s *source) shuffled(members []member) []member {
	s.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return members
}

// text serialises a string, sometimes with more escapes than it needs.
func (s *source) text(t string) string {
	eager := 0.0
	if s.chance(0.1) {
		eager = 0.3
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range t {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '/' && s.chance(eager):
			b.WriteString(`\/`)
		case c == '\n' && s.chance(0.5):
			b.WriteString(`\n`)
		case c == '\t' && s.chance(0.5):
			b.WriteString(`\t`)
		case c < 0x20 || s.chance(eager):
			b.WriteString(s.escaped(c))
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// escaped returns a character as \u escapes.
func (s *source) escaped(c rune) string {
	form := pick(s, `\u%04x`, `\u%04X`)
	if c >= 0x10000 {
		high, low := utf16.EncodeRune(c)
		return fmt.Sprintf(form+form, high, low)
	}
	return fmt.Sprintf(form, c)
}

func (s *source) uuid() string {
	a, b := s.Uint64(), s.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, 0x8000|b>>48&0x3fff, b&0xffffffffffff)
}

// mixedCase changes the case of ASCII letters at random.
func (s *source) mixedCase(t string) string {
	b := []byte(t)
	for i, c := range b {
		if (c|0x20) >= 'a' && (c|0x20) <= 'z' && s.chance(0.5) {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

// percentEncoded encodes a header value: always what a header cannot contain, and the
// rest sometimes.
func (s *source) percentEncoded(t string) string {
	eager := 0.02
	if s.chance(0.1) {
		eager = 0.5
	}
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		c := t[i]
		edge := i == 0 || i == len(t)-1
		if c < 0x20 || c == 0x7f || c == '%' || c == ' ' && edge || s.chance(eager) {
			fmt.Fprintf(&b, pick(s, "%%%02x", "%%%02X"), c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
