package oracle

import (
	"strings"
	"testing"
)

func TestJSONIsRFC8259AndNoMore(t *testing.T) {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	sound := []string{`{}`, ` [ ] `, "\t\r\n1", `"\u0000"`, `"\ud83d\ude00"`, `"\/\b\f\n\r\t\"\\"`, `-0.0e-0`, `1e400`, `0`,
		`{"a":1,"A":2}`, `{"":{"":1}}`, `"` + "\x7f\u2028\ufeff" + `"`, deep(1000), `"\\ud800"`, `null`, `[true,false]`}
	for _, s := range sound {
		if _, err := parseJSON([]byte(s), maxEventDepth); err != nil {
			t.Errorf("%.60s: %v", s, err)
		}
	}
	unsound := []string{``, ` `, `{`, `}`, `[1,]`, `{"a":1,}`, `{a:1}`, `{'a':1}`, `{"a"}`, `{"a":}`, `{"a" 1}`, `[1 2]`, `[,]`, `1 2`,
		`01`, `-`, `-01`, `1.`, `.5`, `+1`, `1e`, `1e+`, `0x1`, `NaN`, `True`, `nul`, `nulll`, `"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`,
		`"\ud800"`, `"\udc00"`, `"\ud83d\ud83d"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`, "\"\n\"", "\"\x00\"", "\"\x1f\"",
		"\xef\xbb\xbf{}", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "\"\xf4\x90\x80\x80\"", "1\x00", "\u00a01", "\v1", "/**/1",
		`{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `[[{"x":{"é":1,"\u00e9":2}}]]`, `{"\ud83d\ude00":1,"😀":2}`, deep(1001),
		strings.Repeat(`{"a":`, 1001) + "1" + strings.Repeat("}", 1001), strings.Repeat("[", 1_000_000)}
	for _, s := range unsound {
		if _, err := parseJSON([]byte(s), maxEventDepth); err == nil {
			t.Errorf("%.60q is accepted", s)
		}
	}
}

func TestCompactKeepsAllButWhiteSpace(t *testing.T) {
	v, err := parseJSON([]byte(" { \"b\\/\" : [ 1.0 , -0,1E+2 ] ,\n\"a\":\"\\u0000 \\u00e9 x\" , \"\":{ } } "), maxEventDepth)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"b\/":[1.0,-0,1E+2],"a":"\u0000 \u00e9 x","":{}}`
	if got := string(v.compact(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDiff(t *testing.T) {
	deep := strings.Repeat("[", 1500) + strings.Repeat("]", 1500)
	same := [][2]string{{`{"a":"\u00e9\/"}`, ` { "a" : "é/" } `}, {`{"\u0061":1}`, `{"a":1}`}, {deep, deep}}
	for _, c := range same {
		if d := Diff([]byte(c[0]), []byte(c[1])); d != "" {
			t.Errorf("%.40s and %.40s: %s", c[0], c[1], d)
		}
	}
	different := []struct{ want, got, diff string }{
		{`{"a":{"b":[1,2.0]}}`, `{"a":{"b":[1,2]}}`, `$.a.b[1]: want 2.0, got 2`},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, `$: want member 0 "a", got "b"`},
		{`{"a":1}`, `{"a":1,"b":2}`, `$: want 1 members, got 2`},
		{`{"x":[1]}`, `{"x":[1,1]}`, `$.x: want 1 items, got 2`},
		{`{"x":"a"}`, `{"x":"b"}`, `$.x: want "a", got "b"`},
		{`{"x":null}`, `{"x":""}`, `$.x: want null, got ""`},
		{`{"x":1}`, `{"x":1,"x":1}`, `document: duplicate member name at byte 10`},
	}
	for _, c := range different {
		if d := Diff([]byte(c.want), []byte(c.got)); d != c.diff {
			t.Errorf("%s and %s: %q, want %q", c.want, c.got, d, c.diff)
		}
	}
}
