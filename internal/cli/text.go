package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// Printable makes a text that came from elsewhere, above all from a message, safe to
// print: it is one line, and holds nothing that a terminal or a reader takes for more
// than a character: no ESC, no C1 control, no character that changes the direction of
// writing. These are escaped as in JSON, \u001b, and bytes that are not UTF-8 as \x9b.
func Printable(s string) string {
	if plain(s, "") {
		return s
	}
	return string(appendPrintable(nil, []byte(s), ""))
}

// plain tells whether a text needs no escaping. The characters of but need none.
func plain(s, but string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return !strconv.IsPrint(c) && !strings.ContainsRune(but, c) }) < 0
}

func appendPrintable(to, text []byte, but string) []byte {
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		switch {
		case c == utf8.RuneError && n == 1:
			to = fmt.Appendf(to, `\x%02x`, text[0])
		case strconv.IsPrint(c) || strings.ContainsRune(but, c):
			to = append(to, text[:n]...)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			to = fmt.Appendf(to, `\u%04x\u%04x`, high, low)
		default:
			to = fmt.Appendf(to, `\u%04x`, c)
		}
		text = text[n:]
	}
	return to
}

// layout are the characters with which programs lay out their own output.
const layout = "\n\t"

// output is standard output. It keeps the first error, for callers that ignore it, and
// escapes whatever [Printable] would, except ends of lines and tabs: a text that was
// printed without Printable can make up lines, and no more. JSON that is escaped in
// this way means the same.
type output struct {
	w     io.Writer
	err   error
	begun []byte // the beginning of a character whose end has not been written yet
}

func (o *output) Write(b []byte) (int, error) {
	text := b
	if len(o.begun) > 0 {
		text = append(o.begun, b...)
	}
	whole := len(text)
	for i := 1; i <= min(len(text), utf8.UTFMax-1); i++ {
		if utf8.RuneStart(text[len(text)-i]) {
			if !utf8.FullRune(text[len(text)-i:]) {
				whole -= i
			}
			break
		}
	}
	o.begun = append([]byte(nil), text[whole:]...)
	if text = text[:whole]; !plain(string(text), layout) {
		text = appendPrintable(nil, text, layout)
	}
	return len(b), o.put(text)
}

// end writes a character that was begun and never ended.
func (o *output) end() {
	if len(o.begun) > 0 {
		_ = o.put(appendPrintable(nil, o.begun, layout)) // output keeps the error
		o.begun = nil
	}
}

func (o *output) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := o.w.Write(b)
	if err != nil && o.err == nil {
		o.err = err
	}
	return err
}

// Exact is standard output for what has to arrive to the byte: a document or a payload
// that goes to a file or another program. On a terminal it escapes as out does.
func Exact(out io.Writer) io.Writer {
	o, ours := out.(*output)
	if !ours || OnTerminal(o.w) {
		return out
	}
	return exact{o}
}

// InPlace prints a text over what is on the terminal: each line clears the rest of the
// line before it, and the end clears everything below. The text itself is escaped as
// usual.
func InPlace(out io.Writer, text []byte) error {
	text = appendPrintable(nil, text, layout)
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))
	text = slices.Concat([]byte("\x1b[H"), text, []byte("\x1b[J"))
	if o, ours := out.(*output); ours {
		o.end()
		return o.put(text)
	}
	_, err := out.Write(text)
	return err
}

// OnTerminal tells whether out writes to a terminal.
func OnTerminal(out io.Writer) bool {
	if o, ours := out.(*output); ours {
		out = o.w
	}
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Width is how many characters a line holds: the width of the terminal, at least 80, or
// 120 where out is no terminal.
func Width(out io.Writer) int {
	if o, ours := out.(*output); ours {
		out = o.w
	}
	if file, ok := out.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			return max(80, width)
		}
	}
	return 120
}

// exact keeps errors as output does.
type exact struct{ o *output }

func (e exact) Write(b []byte) (int, error) {
	e.o.end()
	return len(b), e.o.put(b)
}
