package check

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

type value struct {
	Text string
	Line int64
}

func values(t *testing.T, in string) (all []value) {
	t.Helper()
	r, err := newReader(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	for {
		v, line, err := r.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, value{string(v), line})
	}
}

func TestValuesHoweverTheyAreLaidOut(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want []value
	}{
		"nothing":                        {"", nil},
		"white space alone":              {"\n \r\n\t\x00", nil},
		"a line each":                    {"{\"a\":1}\n{\"b\":2}\r\n", []value{{`{"a":1}`, 1}, {`{"b":2}`, 2}}},
		"without an end of the line":     {`{"a":1}`, []value{{`{"a":1}`, 1}}},
		"one after the other":            {`{"a":1}{"b":2} {"c":3}`, []value{{`{"a":1}`, 1}, {`{"b":2}`, 1}, {`{"c":3}`, 1}}},
		"zero bytes between them":        {"{\"a\":1}\x00{\"b\":\n2}\x00", []value{{`{"a":1}`, 1}, {"{\"b\":\n2}", 1}}},
		"pretty-printed":                 {"{\n  \"a\": {\n    \"b\": [\n      1\n    ]\n  }\n}\n\n{\n}\n", []value{{"{\n  \"a\": {\n    \"b\": [\n      1\n    ]\n  }\n}", 1}, {"{\n}", 9}}},
		"a list over lines":              {"[\n{\"a\":1},\n{\"b\":2}\n]\n{}", []value{{"[\n{\"a\":1},\n{\"b\":2}\n]", 1}, {"{}", 5}}},
		"brackets in texts":              {`{"a":"}]{","b":"\"}"}` + "\n{}", []value{{`{"a":"}]{","b":"\"}"}`, 1}, {"{}", 2}}},
		"cut off, then another line":     {"{\"a\":\n{\"b\":2}\n", []value{{`{"a":`, 1}, {`{"b":2}`, 2}}},
		"cut off in a text":              {"{\"a\":\"x\n{\"b\":2}\n", []value{{`{"a":"x`, 1}, {`{"b":2}`, 2}}},
		"cut off at the end":             {"{\"b\":2}\n{\"a\":[1,", []value{{`{"b":2}`, 1}, {`{"a":[1,`, 2}}},
		"cut off at a zero byte":         {"{\"a\":[1,\x00{\"b\":2}", []value{{`{"a":[1,`, 1}, {`{"b":2}`, 1}}},
		"a wrong bracket":                {"{\"a\":1]}\n{\"b\":2}", []value{{`{"a":1]}`, 1}, {`{"b":2}`, 2}}},
		"a wrong bracket, many lines":    {"{\n  \"a\": 1]\n  \"c\": 2\n}\n{\"b\":2}", []value{{"{\n  \"a\": 1]\n  \"c\": 2\n}", 1}, {`{"b":2}`, 5}}},
		"no JSON":                        {"hello world\n{}", []value{{"hello world", 1}, {"{}", 2}}},
		"a byte order mark":              {"\xEF\xBB\xBF{\n\"a\":1}\n{}", []value{{"\xEF\xBB\xBF{\n\"a\":1}", 1}, {"{}", 3}}},
		"a bracket on a line of its own": {"{\n\"a\":\n{\n\"b\":\n[\n1\n]\n}\n}\n{}", []value{{"{\n\"a\":\n{\n\"b\":\n[\n1\n]\n}\n}", 1}, {"{}", 10}}},
		"cut off in a list":              {"[{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n", []value{{`[{"a":1}`, 1}, {`{"b":2}`, 2}, {`{"c":3}`, 3}}},
		"cut off behind a comma":         {"{\"a\":[1,\n{\"b\":2}\n{\"c\":3}\n", []value{{`{"a":[1,`, 1}, {`{"b":2}`, 2}, {`{"c":3}`, 3}}},
		"cut off twice":                  {"{\"a\":[\n{\"b\":[1,\n{\"c\":3}\n{}", []value{{`{"a":[`, 1}, {`{"b":[1,`, 2}, {`{"c":3}`, 3}, {`{}`, 4}}},
		"cut off before a cut text":      {"{\"a\":[\n{\"b\":\"x\n{\"c\":3}", []value{{`{"a":[`, 1}, {`{"b":"x`, 2}, {`{"c":3}`, 3}}},
		"cut off before a zero byte":     {"{\"a\":[\n{\"b\":2}\x00{\"c\":3}", []value{{`{"a":[`, 1}, {`{"b":2}`, 2}, {`{"c":3}`, 2}}},
		"a list over lines, cut off":     {"[\n{\"a\":1},\n{\"b\":2},", []value{{"[\n{\"a\":1},\n{\"b\":2},", 1}}},
		"a list after one that is open":  {"{\"a\":\n[{}]", []value{{`{"a":`, 1}, {`[{}]`, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, values(t, tc.in)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if tc.in == "" {
				return
			}
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = z.Write([]byte(tc.in))
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, values(t, b.String())); diff != "" {
				t.Errorf("gzip: -want +got:\n%s", diff)
			}
		})
	}
}

// TestLinesMayEndBetweenAnyTokens: a value that is sound is one, wherever in it lines
// begin.
func TestLinesMayEndBetweenAnyTokens(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 5))
	tokens := regexp.MustCompile(`"(\\.|[^"\\])*"|[{}\[\],:]|[^{}\[\],:"]+`).FindAllString(
		structuredEvent("a", "sandbox.created", `{"id":"s","template":"t \"{[\" \\","metadata":{"list":[1,{"x":"{["},[],{},[[{"deep":[{}]}]]],"o":{}}}`), -1)
	for range 500 {
		var want []string
		for range 3 {
			var b strings.Builder
			for i, token := range tokens {
				if i > 0 {
					b.WriteString([]string{"", "\n", "\r\n", " "}[random.IntN(4)])
				}
				b.WriteString(token)
			}
			want = append(want, b.String())
		}
		var got []string
		for _, v := range values(t, strings.Join(want, "\n")) {
			got = append(got, v.Text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	}
}

// TestOpenListsAreNotReadOverAndOver: lines that each begin a value inside of the one before
// are told apart without reading all that follows once for each of them.
func TestOpenListsAreNotReadOverAndOver(t *testing.T) {
	const lines = 200_000
	if got := values(t, strings.Repeat("[\n", lines)); len(got) != lines || got[lines-1] != (value{"[", lines}) {
		t.Errorf("%d values", len(got))
	}
}

// TestBrokenValuesLeaveTheOthers: whatever bytes of a line are changed, every other line
// is read as it is.
func TestBrokenValuesLeaveTheOthers(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 4))
	line := structuredEvent("a", "sandbox.created", `{"id":"s","template":"t \"quoted\" \\","metadata":{"list":[1,{"x":"{["}]}}`)
	for range 5000 {
		b := []byte(line)
		for range 1 + random.IntN(3) {
			if b[random.IntN(len(b))] = "{}[]\"\\:,x "[random.IntN(10)]; b[0] != '{' {
				b[0] = '{'
			}
		}
		broken := string(b[:1+random.IntN(len(b))])
		got := values(t, line+"\n"+broken+"\n"+line+"\n"+line)
		if len(got) < 4 || got[0] != (value{line, 1}) || got[len(got)-1] != (value{line, 4}) || got[len(got)-2] != (value{line, 3}) {
			t.Fatalf("%s\n%+v", broken, got)
		}
	}
}

func TestInputThatIsCutOff(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(strings.Repeat(structuredEvent("a", "user.restored", "{}")+"\n", 1000)))
	_ = z.Close()
	err := (&Checker{}).File(t.Context(), "in.gz", bytes.NewReader(b.Bytes()[:b.Len()-9]), func(Verdict) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "in.gz: it is gzip, and ends in the middle") {
		t.Errorf("%v", err)
	}
	if err := (&Checker{}).File(t.Context(), "empty", strings.NewReader("\n"), nil); !errors.Is(err, ErrNothing) || !strings.HasPrefix(err.Error(), "empty: ") {
		t.Errorf("%v", err)
	}
}

// TestBrokenInputsHoldNothingUp: whatever is wrong with an input as a whole, what came
// before that is checked, the error names the input, and another is checked after it.
func TestBrokenInputsHoldNothingUp(t *testing.T) {
	line := structuredEvent("a", "user.restored", "{}") + "\n"
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(line))
	_ = z.Close()
	damaged := bytes.Clone(b.Bytes())
	damaged[len(damaged)-8]++
	for name, tc := range map[string]struct{ in, want string }{
		"cut off":         {b.String()[:b.Len()-3], "in: it is gzip, and ends in the middle: it was cut off"},
		"zeros behind it": {b.String() + strings.Repeat("\x00", 512), "in: it is gzip, and something else is behind that: want gzip alone"},
		"text behind it":  {b.String() + strings.Repeat("hello ", 100), "in: it is gzip, and something else is behind that: want gzip alone"},
		"damaged":         {string(damaged), "in: it is gzip, and damaged: its checksum is another"},
		"too long":        {line + "{" + strings.Repeat(" ", maxValue), "in: line 2: found more than 67108864 bytes without an end, want one event after the other"},
	} {
		t.Run(name, func(t *testing.T) {
			c, n := &Checker{}, 0
			count := func(Verdict) error { n++; return nil }
			var broken *InputError
			if err := c.File(t.Context(), "in", strings.NewReader(tc.in), count); !errors.As(err, &broken) || err.Error() != tc.want {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if err := c.File(t.Context(), "another", strings.NewReader(line), count); err != nil || n != 2 || c.Events != 2 {
				t.Errorf("%v after %d events", err, n)
			}
		})
	}
}

// TestUTF16IsSaidOnce: a file that is UTF-16 is told as such, whichever byte is first, with
// and without a byte order mark; what only begins with bytes alike is read.
func TestUTF16IsSaidOnce(t *testing.T) {
	line := structuredEvent("a", "user.restored", "{}") + "\r\n"
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, mark := range []string{"\uFEFF", ""} {
			var b []byte
			for _, unit := range utf16.Encode([]rune(mark + line + line)) {
				b = order.AppendUint16(b, unit)
			}
			var broken *InputError
			err := (&Checker{}).File(t.Context(), "in", bytes.NewReader(b), func(v Verdict) error { return fmt.Errorf("%+v", v) })
			if !errors.As(err, &broken) || !strings.HasPrefix(err.Error(), "in: it is UTF-16, as > of Windows PowerShell writes it, want UTF-8: ") {
				t.Errorf("%v, mark %q: %v", order, mark, err)
			}
		}
	}
	for in, want := range map[string]int{"\x00" + line: 1, "{\x00" + line: 2, "{\x00\x00{\x00": 2, "{}\x00": 1} {
		if got := values(t, in); len(got) != want {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

// TestNothingIsLostOrReadTwice: whatever an input is, its values are all of it but white
// space and zero bytes, in order, each in the line that it is said to begin in.
func TestNothingIsLostOrReadTwice(t *testing.T) {
	random := rand.New(rand.NewPCG(20, 6))
	for range 20_000 {
		b := make([]byte, 1+random.IntN(40))
		for i := range b {
			b[i] = "{}[]{[\n\n\n\n:,,\"\\1 \x00"[random.IntN(18)]
		}
		at, line := 0, int64(1)
		for _, v := range values(t, "x\n"+string(b)) {
			begin := strings.Index(("x\n" + string(b))[at:], v.Text)
			if begin < 0 || v.Text == "" {
				t.Fatalf("%q: %+v", b, v)
			}
			between := ("x\n" + string(b))[at : at+begin]
			if line += int64(strings.Count(between, "\n")); line != v.Line || strings.Trim(between, " \n\x00") != "" {
				t.Fatalf("%q: %+v begins in line %d, behind %q", b, v, line, between)
			}
			at += begin + len(v.Text)
			line += int64(strings.Count(v.Text, "\n"))
		}
		if rest := string(b)[max(at-2, 0):]; strings.Trim(rest, " \n\x00") != "" {
			t.Fatalf("%q: %q is left", b, rest)
		}
	}
}
