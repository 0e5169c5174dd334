package importer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"sync/atomic"
)

// LineError is what is wrong with a line.
type LineError struct {
	Line, Byte int64 // counted from 1, and where the line begins, from 0, after decompression
	Err        error
	Parkable   bool // with Options.Park it would be published
}

func (e *LineError) Error() string {
	hint := ""
	if e.Parkable {
		hint = "; the projector would park it, and --park publishes it all the same"
	}
	return fmt.Sprintf("line %d (byte %d): %v%s", e.Line, e.Byte, e.Err, hint)
}

// Unwrap is what is wrong.
func (e *LineError) Unwrap() error { return e.Err }

// LinesError is of lines that cannot be published, so that none was.
type LinesError struct {
	First []*LineError // in the order of the input
	Count int64        // of all
}

func (e *LinesError) Error() string {
	var b strings.Builder
	for i, l := range e.First {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(l.Error())
	}
	if more := e.Count - int64(len(e.First)); more > 0 {
		fmt.Fprintf(&b, "\nand %d more lines", more)
	}
	return b.String()
}

const shownLines = 10 // of those that are wrong

// lineChecker checks lines in their order.
type lineChecker struct {
	park       bool
	maxPayload int // of the server; 0: not known
	recent     recent
}

// line reads a line that begins at this byte.
func (j *lineChecker) line(line []byte, number, offset int64) (event, *LineError) {
	e, err := parse(line)
	if err != nil {
		return e, &LineError{number, offset, err, false}
	}
	if e.park != nil && !j.park {
		return e, &LineError{number, offset, e.park, true}
	}
	if size := e.size(); j.maxPayload > 0 && size > j.maxPayload {
		return e, &LineError{number, offset, fmt.Errorf("found a message of %d bytes with its headers, want at most %d, the server's max_payload", size, j.maxPayload), false}
	}
	if before := j.recent.add(e.id, number); before > 0 {
		return e, &LineError{number, offset, fmt.Errorf("id: found %.64q, as in line %d, want an id of its own for each event: JetStream drops the second one as a retry", e.id, before), false}
	}
	return e, nil
}

// size is at least that of the message with its headers.
func (e event) size() int {
	n := len(e.message.Data) + len("NATS/1.0\r\n\r\nNats-Msg-Id: \r\nNats-Expected-Last-Subject-Sequence: 18446744073709551615\r\n") + len(e.id)
	for name, values := range e.message.Header {
		for _, v := range values {
			n += len(name) + len(v) + len(": \r\n")
		}
	}
	return n
}

// recentLines is how many lines back an id that is there twice is noticed.
const recentLines = 1 << 18

// recent knows the ids of the last lines, by their hashes.
type recent struct {
	seed  maphash.Seed
	lines map[uint64]int64
	ring  []uint64
	next  int
}

// add tells in which line the id was before; 0: in none.
func (r *recent) add(id string, line int64) (before int64) {
	if r.lines == nil {
		r.seed, r.lines = maphash.MakeSeed(), map[uint64]int64{}
	}
	h := maphash.String(r.seed, id)
	if before, ok := r.lines[h]; ok {
		return before
	}
	if len(r.ring) < recentLines {
		r.ring = append(r.ring, h)
	} else {
		delete(r.lines, r.ring[r.next])
		r.ring[r.next] = h
		r.next = (r.next + 1) % recentLines
	}
	r.lines[h] = line
	return 0
}

// Check judges every line of an input and publishes none. How many there are it
// returns with a [*LinesError], too.
func Check(ctx context.Context, in io.Reader, opt Options) (sum Summary, err error) {
	opt.read = new(atomic.Int64)
	l, err := newLineReader(opt.counted(in))
	if err != nil {
		return sum, err
	}
	return opt.check(ctx, l, progress{}, 0)
}

// check judges what comes after what is done.
func (opt Options) check(ctx context.Context, l *lineReader, from progress, maxPayload int) (sum Summary, err error) {
	if err := l.skip(ctx, from.Done); err != nil {
		return sum, err
	}
	j := lineChecker{park: opt.Park, maxPayload: maxPayload}
	pending := from.Window
	wrong := &LinesError{}
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if ctx.Err() != nil {
				return sum, ctx.Err()
			}
			opt.progress(Checking, sum.Lines)
		}
		line, number, offset, err := l.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sum, &LineError{number, offset, err, false}
		}
		sum.Lines++
		e, bad := j.line(line, number, offset)
		if bad != nil {
			if wrong.Count++; wrong.Count <= shownLines {
				wrong.First = append(wrong.First, bad)
			}
		}
		if e.park != nil {
			sum.Parked++
		}
		if pending != nil && l.offset >= pending.End.Bytes {
			if l.position() != pending.End {
				return sum, pending.differs()
			}
			pending = nil
		}
	}
	if pending != nil {
		return sum, pending.differs()
	}
	if wrong.Count > 0 {
		return sum, wrong
	}
	return sum, nil
}

// differs is the error where lines that may be published are others now.
func (w *window) differs() error {
	return fmt.Errorf("%w: some of the lines up to %d may be published already, and they have changed since (found another SHA-256 of the first %d bytes, want %.12s…)",
		ErrOtherInput, w.End.Lines, w.End.Bytes, w.End.SHA256)
}
