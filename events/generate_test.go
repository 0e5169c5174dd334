package events_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"accountexport/events"
)

// generator makes random valid values.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, 17))} }

func (g generator) uuid() (id events.UUID) {
	for i := range id {
		id[i] = byte(g.Uint32())
	}
	return id
}

// text has least to most characters, of all planes and some that JSON escapes.
func (g generator) text(least, most int) string {
	n := least + g.IntN(most-least+1)
	if g.IntN(20) > 0 {
		n = min(n, least+g.IntN(20))
	}
	var b strings.Builder
	for range n {
		switch g.IntN(8) {
		case 0:
			b.WriteRune([]rune("\x01\t\n\"\\/<>&\x7f\u0085\u2028\ufeff\ufffd")[g.IntN(14)])
		case 1:
			b.WriteRune(rune(0x10000 + g.IntN(0x100000)))
		case 2:
			b.WriteRune(rune(0x80 + g.IntN(0xd800-0x80)))
		default:
			b.WriteByte(byte(' ' + g.IntN(0x7f-' ')))
		}
	}
	return b.String()
}

func (g generator) plain() string { return g.text(1, events.MaxText) }

func (g generator) time() events.Time {
	const first, last = -62_135_596_800_000_000, 253_402_300_799_999_999
	t := first + events.Time(g.Int64N(last-first+1))
	if g.IntN(3) == 0 {
		t -= t % 1_000_000
	}
	return t
}

func (g generator) integer() int64 { return g.Int64N(events.MaxInteger+1) >> g.IntN(53) }

func (g generator) decimal() events.Decimal {
	return events.Decimal(g.Int64N(int64(events.MaxDecimal)+1) >> g.IntN(60))
}

func (g generator) date() events.Date {
	return events.Date(g.time().String()[:10])
}

// json is a random compact value with number literals that a float would not
// keep.
func (g generator) json(level int) string {
	kinds := 10
	if level > 3 {
		kinds = 8
	}
	switch g.IntN(kinds) {
	case 0:
		return "null"
	case 1:
		return "true"
	case 2, 3, 4:
		return []string{"1e400", "-0", "1.0", "12345678901234567890", "-0.0E-7", "0", "1E+2"}[g.IntN(7)]
	case 5, 6, 7:
		return []string{`"\u0000"`, `"\ud83d\ude00"`, `"\u0041\/"`, `"é😀"`, `" \t "`, `""`}[g.IntN(6)]
	case 8:
		return "[" + g.json(level+1) + "," + g.json(level+1) + "]"
	}
	return string(g.object(level + 1))
}

func (g generator) object(level int) []byte {
	var b strings.Builder
	for i := range g.IntN(4) {
		fmt.Fprintf(&b, `,"k%d\u00e9":%s`, i, g.json(level))
	}
	return []byte("{" + strings.TrimPrefix(b.String(), ",") + "}")
}

func (g generator) flags() []events.Flag {
	flags := make([]events.Flag, g.IntN(5))
	for i := range flags {
		flags[i].Name = fmt.Sprint(g.text(0, 20), "\x00", i)
		if v := g.json(1); v != "null" {
			flags[i].Value = []byte(v)
		}
	}
	return flags
}

func maybe[T any](g generator, value T) *T {
	if g.IntN(2) == 0 {
		return nil
	}
	return &value
}

func change[T any](g generator, nullable bool, value T) events.Optional[T] {
	switch n := g.IntN(3); {
	case n == 0:
		return events.Optional[T]{}
	case n == 1 && nullable:
		return events.Clear[T]()
	}
	return events.Some(value)
}

func (g generator) meta() events.Meta {
	return events.Meta{ID: fmt.Sprint("e-é \"%41", g.IntN(1000)), Source: "/control-plane/api", Time: g.time()}
}

// tierID is a random id of a quota tier.
func (g generator) tierID() string {
	const from = "abcxyzABCXYZ0189_-"
	b := make([]byte, 1+g.IntN(64))
	for i := range b {
		b[i] = from[g.IntN(len(from))]
	}
	return string(b)
}

// any makes a random event of a type by its constructor: the message, and what
// it is to be read as.
func (g generator) any(t testing.TB, typ string, m events.Meta, account events.UUID) (events.Message, events.Payload) {
	t.Helper()
	p, made := g.user(typ, m, account)
	if p == nil {
		p, made = g.team(typ, m, account)
	}
	if p == nil {
		p, made = g.resource(typ, m, account)
	}
	if p == nil {
		t.Fatalf("no random event of type %s: add one to the generator", typ)
	}
	if made.err != nil {
		t.Fatalf("%s: %v\n%+v", typ, made.err, p)
	}
	return made.message, p
}

// made is what a constructor returned.
type made struct {
	message events.Message
	err     error
}

func result(m events.Message, err error) made { return made{m, err} }
