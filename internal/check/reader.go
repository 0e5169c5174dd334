package check

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/klauspost/compress/gzip"
)

// maxValue is the longest value: more than a message of a server with usual limits can
// be, in base64.
const maxValue = 64 << 20

// reader cuts an input into JSON values by their brackets, without judging them, so
// that what is wrong with one is found by whoever decodes it, and the next is read all
// the same.
//
// What is broken ends where the next value visibly begins: at a zero byte, or at a { or
// [ that begins a line. Where such a bracket could be a part of the value before it,
// being what a member or a list waits for there, it is one if what follows it goes on
// soundly, and otherwise what was read since is read again, as the next value. A text
// cannot go over the end of a line, so a quote that is missing is found there.
type reader struct {
	in    *bufio.Reader
	again []byte // to be read before in
	line  int64  // of the next byte, from 1
}

// newReader reads plain text or what gzip has compressed, as the first bytes say.
func newReader(in io.Reader) (*reader, error) {
	raw := bufio.NewReaderSize(in, 64<<10)
	if magic, err := raw.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, fmt.Errorf("it begins as gzip does, and cannot be read: %w", err)
		}
		raw = bufio.NewReaderSize(z, 64<<10)
	}
	if start, _ := raw.Peek(4); isUTF16(start) {
		return nil, errUTF16
	}
	return &reader{in: raw, line: 1}, nil
}

// next is the next value, without the white space around it, and the line that it
// begins in; io.EOF after the last one.
func (r *reader) next() (value []byte, line int64, err error) {
	c, err := r.skipSpace()
	if err != nil {
		return nil, 0, err
	}
	line = r.line
	if b, _ := r.peek(4); bytes.Equal(b, []byte("\xEF\xBB\xBF{")) {
		value, c = append(value, b[:3]...), '{' // a byte order mark is part of the value, and wrong
		for range 3 {
			if _, err := r.byte(); err != nil {
				return nil, line, err
			}
		}
	}
	if c != '{' && c != '[' {
		value, err = r.restOfLine(nil)
		return bytes.TrimSpace(value), line, err
	}
	var s scan
	var inner marks
	for {
		c, err := r.byte()
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return nil, line, err
		case err == nil && c != 0 && len(value) < maxValue: // it goes on
		case inner.any():
			if err == nil {
				value = append(value, c)
			}
			return r.back(value, inner), line, nil
		case err == nil && c != 0:
			return nil, line, fmt.Errorf("line %d: found more than %d bytes without an end, want one event after the other", line, maxValue)
		default:
			return bytes.TrimSpace(value), line, nil // with brackets open: it is cut off
		}
		value = append(value, c)
		switch s.read(c) {
		case whole:
			return value, line, nil
		case broken:
			if inner.any() {
				return r.back(value, inner), line, nil
			}
			if c != '\n' {
				if value, err = r.restOfLine(value); err != nil {
					return nil, line, err
				}
			}
			value, err = r.brokenLines(value)
			return bytes.TrimSpace(value), line, err
		}
		inner.follow(c, &s)
		if c != '\n' {
			continue
		}
		if next, _ := r.peek(1); string(next) != "{" && string(next) != "[" {
			continue
		}
		switch {
		case s.wants() && len(inner) < maxMarks:
			inner = append(inner, mark{len(value), r.line, len(s.open)})
		case inner.any():
			return r.back(value, inner), line, nil
		default:
			return bytes.TrimSpace(value), line, nil
		}
	}
}

// back ends the value before the outermost mark, from which on it is read again.
func (r *reader) back(value []byte, inner marks) []byte {
	first := inner[0]
	r.again = slices.Concat(value[first.at:], r.again)
	r.line = first.line
	return bytes.TrimSpace(value[:first.at])
}

// peek gives up to n bytes of what follows, which are not read.
func (r *reader) peek(n int) ([]byte, error) {
	if len(r.again) >= n {
		return r.again[:n], nil
	}
	b, err := r.in.Peek(n - len(r.again))
	if len(r.again) == 0 {
		return b, err
	}
	if b = slices.Concat(r.again, b); err != nil && errors.Is(err, io.EOF) {
		err = nil // of what is there already, nothing is missing
	}
	return b, err
}

// brokenLines reads the lines that belong to a broken value, unless a zero byte has ended
// it in the last one.
func (r *reader) brokenLines(value []byte) ([]byte, error) {
	for len(value) < maxValue && bytes.HasSuffix(value, []byte("\n")) {
		next, err := r.peek(1)
		if errors.Is(err, io.EOF) || err == nil && (next[0] == '{' || next[0] == '[' || next[0] == 0) {
			return value, nil
		}
		if err != nil {
			return nil, readError(err)
		}
		if value, err = r.restOfLine(value); err != nil {
			return nil, err
		}
	}
	return value, nil
}

// restOfLine reads up to the end of the line, or to a zero byte.
func (r *reader) restOfLine(value []byte) ([]byte, error) {
	for {
		c, err := r.byte()
		switch {
		case errors.Is(err, io.EOF), err == nil && c == 0:
			return value, nil
		case err != nil:
			return nil, err
		case len(value) < maxValue:
			value = append(value, c)
		}
		if c == '\n' {
			return value, nil
		}
	}
}

// skipSpace gives the first byte of what follows, which is not read.
func (r *reader) skipSpace() (byte, error) {
	for {
		b, err := r.peek(1)
		if err != nil {
			return 0, readError(err)
		}
		switch b[0] {
		case ' ', '\t', '\r', '\n', 0:
			if _, err := r.byte(); err != nil {
				return 0, err
			}
		default:
			return b[0], nil
		}
	}
}

func (r *reader) byte() (byte, error) {
	var c byte
	var err error
	if len(r.again) > 0 {
		c, r.again = r.again[0], r.again[1:]
	} else {
		c, err = r.in.ReadByte()
	}
	if c == '\n' {
		r.line++
	}
	return c, readError(err)
}

// readError says what is wrong with an input that cannot be read any further.
func readError(err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is gzip, and ends in the middle: it was cut off")
	case errors.Is(err, gzip.ErrHeader):
		return errors.New("it is gzip, and something else is behind that: want gzip alone")
	case errors.Is(err, gzip.ErrChecksum):
		return errors.New("it is gzip, and damaged: its checksum is another")
	case errors.As(err, &path):
		return path.Err // whoever tells it names the input
	}
	return err
}
