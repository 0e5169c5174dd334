package workload

import (
	"bytes"
	"strings"
)

// hostileJSON lists what can be wrong with JSON.
func hostileJSON() []mutation {
	replace := func(f func(*Generator, []byte) []byte) func(*Generator, *draft) {
		return func(g *Generator, d *draft) {
			d.payload = func(b []byte) []byte { return f(g, b) }
		}
	}
	// inside puts a member with a value of raw JSON into data, metadata or envelope.
	inside := func(name string, spell func(*Generator) string) func(*Generator, *draft) {
		return func(g *Generator, d *draft) {
			m := member{name, spell(g)}
			switch {
			case !d.binary && g.chance(0.3):
				d.more = append(d.more, m)
			case g.chance(0.5):
				d.fields = append(d.fields, m)
			default:
				g.intoObject(d, m)
			}
		}
	}
	return []mutation{
		{"no JSON", replace(func(g *Generator, b []byte) []byte {
			return []byte(pick(g.source, "", " ", "null", "[]", "{}", `"x"`, "17", "NaN", "{", "{'a':1}", "{a:1}", "[1,]", `{"a":1,}`,
				"//", "{}{}", "{} x", "\x00", "tru", "nul", "nulll", "01", "-", "1.", ".5", "1e", "+1", `"`, `"\x"`, `"\u12"`, "{\"a\" 1}"))
		})},
		{"cut short", replace(func(g *Generator, b []byte) []byte { return b[:g.IntN(len(b)+1)] })},
		{"more after it", replace(func(g *Generator, b []byte) []byte {
			return append(b, pick(g.source, "x", "{}", ",", "]", "\x00", " null", "\u00a0", "\n\n", "//c")...)
		})},
		{"byte order mark", replace(func(g *Generator, b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) })},
		{"UTF-16", replace(func(g *Generator, b []byte) []byte {
			wide := []byte{0xff, 0xfe}
			for _, c := range b {
				wide = append(wide, c, 0)
			}
			return wide
		})},
		{"a byte changed", replace(func(g *Generator, b []byte) []byte {
			if len(b) > 0 {
				b[g.IntN(len(b))] = byte(g.IntN(256))
			}
			return b
		})},
		{"a byte removed", replace(func(g *Generator, b []byte) []byte {
			if len(b) > 0 {
				i := g.IntN(len(b))
				b = append(b[:i], b[i+1:]...)
			}
			return b
		})},
		{"bad UTF-8", replace(func(g *Generator, b []byte) []byte {
			bad := pick(g.source, "\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "\x80")
			return bytes.Replace(b, []byte(`":`), []byte(bad+`":`), 1)
		})},
		{"lone surrogate", inside("odd", func(g *Generator) string {
			return pick(g.source, `"\ud800"`, `"\udc00"`, `"\ud83d\ud83d"`, `"\ude00\ud83d"`, `"\uD800x"`, `"\uDBFF\u0041"`,
				`{"\ud800":1}`, `"\ud83d\ude00"`, `"\\ud800"`, `"\ud83d\n"`)
		})},
		{"duplicate names", inside("odd", func(g *Generator) string {
			return pick(g.source, `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `[[{"x":{"":1,"":2}}]]`, `{"é":1,"\u00E9":2}`,
				`{"😀":1,"\ud83d\ude00":2}`, `{"a":1,"A":2}`, `{"\/":1,"/":2}`, `{"\u0000":1,"\u0000":2}`, `{"a":{"a":{"a":1}}}`)
		})},
		{"bad literals", inside("odd", func(g *Generator) string {
			return pick(g.source, "01", "-01", "1.", ".1", "+1", "1e", "1e+", "0x10", "NaN", "Infinity", "True", "nul", "'x'",
				"\"\t\"", "\"\n\"", "\"\x00\"", "\"\x1f\"", `"\a"`, `"\u12g4"`, `"\U0041"`, "\"\x7f\"", "[1 2]", "[,]", "{,}",
				"1_000", "-", "/**/1", "1e400", "-0.0e-0", "--1", "\u00a01", "\ufeff1", "\v1", "\f1")
		})},
		{"deep", func(g *Generator, d *draft) {
			// A structured event has two levels around the value, binary data has one, and the
			// field has its own.
			outer := 2
			if d.binary {
				outer = 1
			}
			n := 999 + g.IntN(4) - outer
			raw := strings.Repeat("[", n) + strings.Repeat("]", n)
			if g.chance(0.3) {
				raw = strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
			}
			if g.chance(0.3) && g.intoObject(d, member{"deep", strings.Repeat("[", n-1) + strings.Repeat("]", n-1)}) {
				return
			}
			d.fields = append(d.fields, member{"deep", raw})
		}},
		{"very deep", replace(func(g *Generator, b []byte) []byte {
			return []byte(strings.Repeat(pick(g.source, "[", `{"a":`), pick(g.source, 1_001, 1_001, 1_001, 1_001, 10_000, 100_000)))
		})},
		{"large", func(g *Generator, d *draft) {
			n := pick(g.source, 5_000, 20_000, 20_000, 100_000, 400_000)
			d.fields = append(d.fields, member{"padding", `"` + strings.Repeat("x", n+g.IntN(n)) + `"`})
		}},
	}
}

// intoObject puts a member into the first object among the fields.
func (g *Generator) intoObject(d *draft, m member) bool {
	for i, f := range d.fields {
		for _, spec := range d.eventType.fields {
			if spec.name == f.name && spec.kind == object && strings.HasPrefix(f.raw, "{") {
				inner := strings.TrimSpace(f.raw[1 : len(f.raw)-1])
				if inner != "" {
					inner = "," + inner
				}
				d.fields[i].raw = "{" + g.text(m.name) + ":" + m.raw + inner + "}"
				return true
			}
		}
	}
	return false
}
