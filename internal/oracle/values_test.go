package oracle

import (
	"strings"
	"testing"
)

func TestTimes(t *testing.T) {
	p := compilePatterns()
	sound := map[string]string{
		"2026-03-25T07:00:00Z":                    "2026-03-25T07:00:00Z",
		"2026-03-25T07:00:00.120000Z":             "2026-03-25T07:00:00.12Z",
		"2026-03-25T07:00:00.1234569999999999Z":   "2026-03-25T07:00:00.123456Z",
		"2026-03-25T07:00:00.0000009Z":            "2026-03-25T07:00:00Z",
		"2026-03-25T07:00:00+23:59":               "2026-03-24T07:01:00Z",
		"2026-03-25T07:00:00-23:59":               "2026-03-26T06:59:00Z",
		"2026-03-25T07:00:00-00:00":               "2026-03-25T07:00:00Z",
		"1969-12-31T23:59:59.9999999Z":            "1969-12-31T23:59:59.999999Z",
		"0001-01-01T00:00:00.5Z":                  "0001-01-01T00:00:00.5Z",
		"0000-12-31T23:30:00-01:00":               "0001-01-01T00:30:00Z",
		"9999-12-31T23:59:59.999999999Z":          "9999-12-31T23:59:59.999999Z",
		"2024-02-29T00:00:00Z":                    "2024-02-29T00:00:00Z",
		"2000-02-29T12:00:00.100000000000000000Z": "2000-02-29T12:00:00.1Z",
	}
	for in, want := range sound {
		micros, problem := p.readTime(in)
		if got := formatTime(micros); problem != "" || got != want {
			t.Errorf("%s: %s %s, want %s", in, got, problem, want)
		}
	}
	for _, in := range []string{"", "2026-03-25", "2026-03-25t07:00:00Z", "2026-03-25T07:00:00z", "2026-03-25 07:00:00Z",
		"2026-03-25T07:00:00", "2026-03-25T24:00:00Z", "2026-12-31T23:59:60Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
		"2026-03-25T07:00:00,5Z", "2026-03-25T07:00:00.Z", "2026-03-25T07:00:00+24:00", "2026-03-25T07:00:00+01:60",
		"2026-03-25T07:00:00+0100", "2026-03-25T7:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
		"0000-12-31T23:59:59Z", "10000-01-01T00:00:00Z", "2026-03-25T07:00:00Z\n", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z"} {
		if _, problem := p.readTime(in); problem == "" {
			t.Errorf("%q is accepted", in)
		}
	}
}

func TestFieldValues(t *testing.T) {
	long := func(c string, n int) string { return `"` + strings.Repeat(c, n) + `"` }
	object := func(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }
	cases := map[string]struct {
		field          field
		sound, unsound []string
	}{
		"text": {field{"f", textField, needed}, []string{`" "`, long("é", 1024), long(`\ud83d\ude00`, 1024), `"\u0001"`},
			[]string{`""`, long("a", 1025), `"\u0000"`, `"a\u0000"`, `1`, `{}`}},
		"optional text":   {field{"f", textField, optional}, []string{`""`, long("a", 1024), `null`}, []string{long("a", 1025), `"\u0000"`}},
		"patched text":    {field{"f", textField, patch}, []string{`"a"`}, []string{`""`, `null`, long("a", 1025)}},
		"nullable patch":  {field{"f", textField, nullablePatch}, []string{`"a"`, `""`, `null`}, []string{long("a", 1025), `7`}},
		"sandbox id":      {field{"f", sandboxIDField, needed}, []string{long("é", 128)}, []string{long("a", 129), `""`, `"\u0000"`}},
		"boolean":         {field{"f", booleanField, needed}, []string{`true`, `false`}, []string{`"true"`, `1`, `null`}},
		"patched boolean": {field{"f", booleanField, patch}, []string{`true`}, []string{`null`, `0`}},
		"UUID": {field{"f", uuidField, needed}, []string{`"3C90C3CC-0d44-4b50-8888-8DD25736052a"`, `"00000000-0000-0000-0000-000000000000"`},
			[]string{`"3c90c3cc0d444b5088888dd25736052a"`, `"{3c90c3cc-0d44-4b50-8888-8dd25736052}"`, `"3c90c3cc-0d44-4b50-8888-8dd25736052g"`,
				`"3c90c3cc-0d44-4b50-88888-dd25736052a"`, `"3c90c3cc-0d44-4b50-8888-8dd25736052a\n"`, `""`}},
		"integer": {field{"f", integerField, needed}, []string{`0`, `9007199254740991`},
			[]string{`9007199254740992`, `-0`, `-1`, `1.0`, `1e2`, `"1"`, `99999999999999999999`}},
		"decimal": {field{"f", decimalField, needed}, []string{`0`, `0.0`, `999999999999.999999`, `1.500000`, `0.000001`},
			[]string{`1000000000000`, `1000000000000.0`, `0.0000001`, `1.0000000`, `-0`, `-0.1`, `1e2`, `"1"`}},
		"date": {field{"f", dateField, needed}, []string{`"2024-02-29"`, `"0001-01-01"`, `"9999-12-31"`},
			[]string{`"2026-02-29"`, `"0000-01-01"`, `"2026-1-1"`, `"2026-04-31"`, `"2026-01-01T00:00:00Z"`, `20260101`}},
		"object": {field{"f", objectField, needed}, []string{`{}`, object(65_536)}, []string{object(65_537), `[]`, `"{}"`, `null`,
			`{` + strings.Repeat(" ", 65_535) + `}`}},
	}
	p := compilePatterns()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			read := func(raw string) string {
				data, err := parseJSON([]byte(`{"f":`+raw+`}`), maxEventDepth)
				if err != nil {
					t.Fatalf("%.60s: %v", raw, err)
				}
				_, problem := p.readFields(data, []field{c.field})
				return problem
			}
			for _, raw := range c.sound {
				if problem := read(raw); problem != "" {
					t.Errorf("%.60s: %s", raw, problem)
				}
			}
			for _, raw := range c.unsound {
				if read(raw) == "" {
					t.Errorf("%.60s is accepted", raw)
				}
			}
		})
	}
}

func TestFormatDecimal(t *testing.T) {
	for millionths, want := range map[int64]string{0: "0", 1: "0.000001", 1_500_000: "1.5", 10_000_000: "10", maxDecimal: "999999999999.999999", 100_250_000: "100.25"} {
		if got := formatDecimal(millionths); got != want {
			t.Errorf("%d: %s, want %s", millionths, got, want)
		}
	}
}
