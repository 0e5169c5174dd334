package importer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
)

// MaxLine is the longest line, in bytes: more than a message of a server with
// usual limits can be, in base64.
const MaxLine = 16 << 20

// place is one between two lines of an input, after decompression.
type place struct {
	Lines  int64  `json:"lines"`  // before it
	Bytes  int64  `json:"bytes"`  // before it
	SHA256 string `json:"sha256"` // of those bytes
}

// lineReader reads an input line by line.
type lineReader struct {
	in     *bufio.Reader
	sum    hash.Hash
	number int64 // of lines read
	offset int64 // of bytes read
	end    int64 // no line that begins behind it is read; 0: none
	long   []byte
}

// newLineReader reads plain text, or what gzip has compressed, as its first bytes say.
func newLineReader(in io.Reader) (*lineReader, error) {
	raw := bufio.NewReaderSize(in, 256<<10)
	if magic, err := raw.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(raw)
		if err != nil {
			return nil, fmt.Errorf("input: it begins as gzip does, and cannot be read: %w", err)
		}
		raw = bufio.NewReaderSize(z, 256<<10)
	}
	return &lineReader{in: raw, sum: sha256.New()}, nil
}

// position is the place after the last line read.
func (l *lineReader) position() place {
	return place{l.number, l.offset, hex.EncodeToString(l.sum.Sum(nil))}
}

// errLong is of a line that is longer than MaxLine.
var errLong = fmt.Errorf("found more than %d bytes without a line's end, want one event a line", MaxLine)

// next is the next line that is not empty, without its end and the spaces around
// it, and where it begins; io.EOF after the last one. The line is good until the
// next call.
func (l *lineReader) next() (line []byte, number, offset int64, err error) {
	for {
		offset = l.offset
		if l.end > 0 && offset >= l.end {
			return nil, l.number + 1, offset, io.EOF
		}
		line, err = l.read()
		if err != nil {
			return nil, l.number + 1, offset, err
		}
		if line = trimmed(line); len(line) > 0 {
			return line, l.number, offset, nil
		}
	}
}

// trimmed is a text without JSON's white space around it, which is less than Unicode's.
func trimmed(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

// read reads to the end of a line.
func (l *lineReader) read() (line []byte, err error) {
	l.long = l.long[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		l.sum.Write(part)
		l.offset += int64(len(part))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if len(l.long)+len(part) > MaxLine {
				return nil, errLong
			}
			l.long = append(l.long, part...)
			continue
		case errors.Is(err, io.EOF) && len(l.long)+len(part) == 0:
			return nil, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return nil, inputError{err}
		}
		l.number++
		if len(l.long) > 0 {
			part = append(l.long, part...)
			l.long = part
		}
		if len(part) > MaxLine+2 {
			return nil, errLong
		}
		return part, nil
	}
}

// inputError is of the input as a whole.
type inputError struct{ err error }

func (e inputError) Error() string {
	switch {
	case errors.Is(e.err, io.ErrUnexpectedEOF):
		return "it is gzip, and ends in the middle: it was cut off, or a few bytes are behind its end"
	case errors.Is(e.err, gzip.ErrHeader):
		return "it is gzip, and behind its end are bytes that are none: want nothing there, or more gzip"
	case errors.Is(e.err, gzip.ErrChecksum):
		return "it is gzip, and damaged: its checksum is of another content"
	}
	return e.err.Error()
}

func (e inputError) Unwrap() error { return e.err }

// skip reads on to a place without looking at the lines, which have to be the
// same as when it was noted.
func (l *lineReader) skip(ctx context.Context, to place) error {
	if to == (place{}) {
		return nil
	}
	buf, last := make([]byte, 256<<10), byte('\n')
	for l.offset < to.Bytes {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := l.in.Read(buf[:min(int64(len(buf)), to.Bytes-l.offset)])
		if n > 0 {
			last = buf[n-1]
		}
		l.sum.Write(buf[:n])
		l.offset += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return inputError{err}
		}
	}
	l.number = to.Lines
	if at := l.position(); at != to {
		return fmt.Errorf("%w: its first %d bytes differ from those of the input that lines were published from (found SHA-256 %.12s… of %d bytes, want %.12s…)",
			ErrOtherInput, to.Bytes, at.SHA256, at.Bytes, to.SHA256)
	}
	if last == '\n' {
		return nil
	}
	// The last line had no end then; it may have one now, and nothing else.
	rest, err := l.read()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	case len(trimmed(rest)) > 0:
		return &LineError{to.Lines, to.Bytes, fmt.Errorf("found %d bytes behind the line that was published, which had no line's end, want a line's end there, "+
			"and what was added in lines of its own", len(trimmed(rest))), false}
	}
	l.number-- // it was counted
	return nil
}

// ErrOtherInput means that a progress file is of another input.
var ErrOtherInput = errors.New("the progress file is of another input")
