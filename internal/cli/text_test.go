package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostileText holds what terminals and readers take for more than characters.
const hostileText = "a\x1b[2Jb\u009bc\x9bd\u202ee\u2066f\nq\rr\x00s\x7ft\u200bu\U000e0041v\u2028wé→"

// TestPrintable shows how texts are escaped.
func TestPrintable(t *testing.T) {
	const want = `a\u001b[2Jb\u009bc\x9bd\u202ee\u2066f\u000aq\u000dr\u0000s\u007ft\u200bu\udb40\udc41v\u2028wé→`
	if got := Printable(hostileText); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
	for _, s := range []string{"", "plain", `with "quotes" and \ as it is`, "Ünïcode – 日本語 😀"} {
		if Printable(s) != s {
			t.Errorf("%s became %s", s, Printable(s))
		}
	}
}

// TestOutputIsPrintable: whatever is printed, in however many pieces, does not command
// a terminal; JSON means the same as before.
func TestOutputIsPrintable(t *testing.T) {
	text := "name\t" + hostileText + "\n"
	whole := ""
	for size := 1; size <= len(text); size++ {
		var b bytes.Buffer
		out := &output{w: &b}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if wrote, err := out.Write([]byte(rest[:n])); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		out.end()
		if size == 1 {
			whole = b.String()
		}
		if b.String() != whole {
			t.Errorf("in pieces of %d: %s, want\n%s", size, &b, whole)
		}
	}
	if !utf8.ValidString(whole) || strings.ContainsFunc(whole, func(c rune) bool { return !unicode.IsPrint(c) && c != '\n' && c != '\t' }) {
		t.Errorf("%q", whole)
	}
	said := strings.ToValidUTF8(hostileText, "")
	var b bytes.Buffer
	if err := json.NewEncoder(&output{w: &b}).Encode(said); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got != said {
		t.Errorf("as JSON it is %q, %v", got, err)
	}
}

// TestAnEndThatIsCutOff: half a character at the end is printed, too.
func TestAnEndThatIsCutOff(t *testing.T) {
	var b bytes.Buffer
	out := &output{w: &b}
	_, _ = out.Write([]byte("x\xe2\x86"))
	_, _ = Exact(out).Write([]byte("\x1b"))
	out.end()
	if want := "x\\xe2\\x86\x1b"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}
