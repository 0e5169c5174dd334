package importer

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"
	"sync/atomic"

	"accountexport/internal/stream"
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

// unreadable is the error of reading a line: of that line, or of the input as a whole,
// which no line of it can mend.
func unreadable(number, offset int64, err error) error {
	if errors.As(err, new(inputError)) {
		return fmt.Errorf("behind line %d (byte %d): %w", number-1, offset, err)
	}
	return &LineError{number, offset, err, false}
}

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

// limits are what a message may have.
type limits struct {
	message int    // bytes with its headers; 0: not known
	setting string // that says so
}

// lineChecker checks lines in their order.
type lineChecker struct {
	park   bool
	limits limits
	ahead  *ahead // what is published already of the lines to come
	recent recent

	// begun: the lines are of a window that an earlier run has begun to publish. Any of
	// them may be in the stream, so none is refused that was not refused then; the
	// server says the rest.
	begun bool
}

// line reads a line that begins at this byte.
func (c *lineChecker) line(line []byte, number, offset int64) (event, *LineError) {
	wrong := func(err error) *LineError { return &LineError{number, offset, err, false} }
	e, err := parse(line)
	if err != nil {
		return e, wrong(err)
	}
	if c.begun {
		c.recent.add(e.id, number)
		return e, nil
	}
	if published, same := c.ahead.has(e.id, line); published && !same {
		return e, wrong(fmt.Errorf("id: found %.64q with another text than when it was published already, behind a line that was refused; "+
			"want this line as it was, or an id of its own for another event", e.id))
	} else if e.park != nil && !c.park && !published {
		return e, &LineError{number, offset, e.park, true}
	}
	header, size := e.size()
	if header > stream.MaxHeader {
		return e, wrong(fmt.Errorf("found a message with headers of %d bytes, want at most %d, as JetStream has it", header, stream.MaxHeader))
	}
	if c.limits.message > 0 && size > c.limits.message {
		return e, wrong(fmt.Errorf("found a message of %d bytes with its headers, want at most %d, %s", size, c.limits.message, c.limits.setting))
	}
	if before := c.recent.add(e.id, number); before > 0 {
		return e, wrong(fmt.Errorf("id: found %.64q, as in line %d, want an id of its own for each event: JetStream drops the second one as a retry", e.id, before))
	}
	return e, nil
}

// size is at least that of the message's headers, and of the message with them.
func (e event) size() (header, message int) {
	header = len("NATS/1.0\r\n\r\nNats-Msg-Id: \r\nNats-Expected-Last-Subject-Sequence: 18446744073709551615\r\n") + len(e.id)
	for name, values := range e.message.Header {
		for _, v := range values {
			header += len(name) + len(v) + len(": \r\n")
		}
	}
	return header, header + len(e.message.Data)
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
	return opt.check(ctx, l, progress{}, limits{})
}

// check judges what comes after what is done.
func (opt Options) check(ctx context.Context, l *lineReader, from progress, most limits) (sum Summary, err error) {
	if err := l.skip(ctx, from.Done); err != nil {
		return sum, err
	}
	pending := from.Window
	c := lineChecker{park: opt.Park, limits: most, ahead: from.Ahead, begun: pending != nil}
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
			return sum, unreadable(number, offset, err)
		}
		sum.Lines++
		e, bad := c.line(line, number, offset)
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
			pending, c.begun = nil, false
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
