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

// Printable is a text that came from elsewhere, out of a message above all, in
// one line and without anything that a terminal or a reader would take for more
// than a character: no ESC, no C1 control, none that turns the direction of
// writing. Those are written as JSON writes them, \u001b, and bytes that are no
// UTF-8 as \x9b.
func Printable(s string) string {
	if plain(s, "") {
		return s
	}
	return string(appendPrintable(nil, []byte(s), ""))
}

// plain tells whether nothing has to be escaped, beside those characters.
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

// layout are the characters that programs lay their own output out with.
const layout = "\n\t"

// output is standard output. It keeps the first error, for whoever prints without
// looking, and lets nothing through that [Printable] would not, but for ends of
// lines and tabs: whoever prints a text of others without Printable may have
// lines made up, and no more. In JSON what it writes stands for the same text.
type output struct {
	w     io.Writer
	err   error
	begun []byte // of a character whose end is in the next piece
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

// end writes what was begun and never ended.
func (o *output) end() {
	if len(o.begun) > 0 {
		_ = o.put(appendPrintable(nil, o.begun, layout)) // kept
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

// Exact is standard output for what has to arrive as it is, to the byte: a
// document or a payload that goes into a file or another program. On a terminal
// it is what out is.
func Exact(out io.Writer) io.Writer {
	o, ours := out.(*output)
	if !ours || OnTerminal(o.w) {
		return out
	}
	return exact{o}
}

// InPlace prints text in the place of what is on the terminal: each line clears
// what is left of the one before it, and the end all that is below. What the text
// itself would have the terminal do is escaped as ever.
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

// OnTerminal tells whether it is a terminal that is written to.
func OnTerminal(out io.Writer) bool {
	if o, ours := out.(*output); ours {
		out = o.w
	}
	file, ok := out.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Width is how many characters a line of it holds: the terminal's, 80 at least, or
// 120 where it is none.
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

// exact keeps the error as output does.
type exact struct{ o *output }

func (e exact) Write(b []byte) (int, error) {
	e.o.end()
	return len(b), e.o.put(b)
}
