package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// The server of net/http writes through a buffer of 4 KiB, so an answer that is
// longer, header included, takes several system calls; for a usual export they are
// the larger part of the handler's cost (measured: a sixth of the throughput). A
// coalescingConn holds a full buffer back until the next write, or the end of the
// answer, and sends both with one call. A large answer goes out in pieces of 64 KiB.
// The server has no setting for its buffers (golang/go#13870, open).
//
// Three facts used here are net/http's own and documented nowhere. Each has a test in
// buffers_test.go that checks it on the server of this compiler and fails if it no
// longer holds: TestServerWritesFullBuffers for fullBuffer,
// TestServerReadsIntoItsWholeBuffer for readBuffer, and TestAFullBufferIsNotKept for
// when the server reports the end of an answer. TestAnswersAreSentAtOnce counts the
// resulting writes on the network.

const (
	// The size of net/http's write buffer: a write of exactly this size is followed by
	// another, or by the end of the answer.
	fullBuffer = 4 << 10
	maxPending = 60 << 10 // the most that is held back
	// The size of net/http's read buffer: a shorter read means that it still holds
	// unparsed bytes.
	readBuffer = 4 << 10
)

// coalescingConn is a connection of [Listen].
type coalescingConn struct {
	net.Conn
	listener     *listener
	writeTimeout time.Duration
	countUnread  func(status int) // set before the server's goroutine of this connection begins

	// answered belongs to the goroutine that reads: an answer has ended, and nothing
	// was read since.
	answered bool

	// mu guards the fields below. Write and flush hold it while they write to the
	// client, at the client's pace: up to writeTimeout, and a quarter more, for each
	// piece that the client accepts. So Close does not wait for it.
	mu       sync.Mutex
	pending  []byte    // a full buffer, or several, that wait for what follows
	deadline time.Time // the write deadline that is set on Conn
}

// Write sends p after what is held back, or holds p back if it is a full buffer. The
// error of sending a buffer held back is returned by a later Write.
func (c *coalescingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == fullBuffer && len(c.pending) < maxPending {
		c.pending = append(c.pending, p...)
		return len(p), nil
	}
	size := len(p)
	if bytes.HasPrefix(p, []byte("HTTP/1.1 ")) {
		p = rewriteParseError(p, c.countUnread)
	}
	pending := len(c.pending)
	buffers := [...][]byte{c.pending, p}
	parts := net.Buffers(buffers[:])
	if pending == 0 {
		parts = parts[1:]
	}
	n, err := c.writeOut(parts)
	c.discard()
	if err == nil {
		return size, nil
	}
	return min(size, max(0, int(n)-pending)), err
}

// writeOut writes to the client, however slowly it reads. It fails once the client has
// accepted nothing for writeTimeout, or up to a quarter more. A deadline left over
// from an earlier answer only makes it check sooner. c.mu is locked.
func (c *coalescingConn) writeOut(parts net.Buffers) (n int64, err error) {
	lastProgress := time.Now()
	for now := lastProgress; ; now = time.Now() {
		if c.deadline.Sub(now) < c.writeTimeout/8 {
			c.deadline = now.Add(c.writeTimeout / 4)
			if err := c.SetWriteDeadline(c.deadline); err != nil {
				return n, err
			}
		}
		written, err := writeTo(c.Conn, &parts)
		if n += written; written > 0 {
			lastProgress = time.Now()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(lastProgress) >= c.writeTimeout {
			return n, err
		}
	}
}

// writeTo is parts.WriteTo, with a plain write for a single part, which is faster.
func writeTo(w io.Writer, parts *net.Buffers) (int64, error) {
	if len(*parts) != 1 {
		return parts.WriteTo(w)
	}
	n, err := w.Write((*parts)[0])
	(*parts)[0] = (*parts)[0][n:]
	return int64(n), err
}

func (c *coalescingConn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send()
}

// send sends what is held back. c.mu is locked.
func (c *coalescingConn) send() error {
	if len(c.pending) == 0 {
		return nil
	}
	_, err := c.writeOut(net.Buffers{c.pending})
	c.discard()
	return err
}

// discard drops what is held back. A large buffer is released, so that idle
// connections do not keep it. c.mu is locked.
func (c *coalescingConn) discard() {
	if c.pending = c.pending[:0]; cap(c.pending) > 2*fullBuffer {
		c.pending = nil
	}
}

// closeFlushTimeout is how long Close tries to send what is held back.
const closeFlushTimeout = 100 * time.Millisecond

// Close sends what is held back and closes the connection. It does not wait for a
// Write under way, which fails then.
func (c *coalescingConn) Close() (err error) {
	defer c.listener.ended(c)
	if c.mu.TryLock() {
		if len(c.pending) > 0 {
			if err = c.SetWriteDeadline(time.Now().Add(closeFlushTimeout)); err == nil {
				_, err = c.Conn.Write(c.pending)
			}
			c.pending = nil
		}
		c.mu.Unlock()
	}
	if closed := c.Conn.Close(); closed != nil {
		return closed
	}
	return err
}

// CloseWrite is called by net/http before it closes a connection whose client may
// still be sending.
func (c *coalescingConn) CloseWrite() error {
	if err := c.flush(); err != nil {
		return err
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}
