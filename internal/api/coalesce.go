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

// The server of net/http writes through a buffer of 4 KiB, so an answer whose
// header and body together are longer goes out in several system calls, which
// for a usual export is the larger part of the handler's own cost (measured: a
// sixth of the throughput). Coalesce holds a full buffer back until what
// follows it, or the end of the answer, and sends both at once; a large answer
// goes out in pieces of 64 KiB. The server has no setting for its buffers
// (golang/go#13870, open).
//
// Three things of this are net/http's own and promised nowhere. Each has a test in
// buffers_test.go that asks the server of this compiler, and fails where it does
// another thing: TestServerWritesFullBuffers for fullBuffer,
// TestServerReadsIntoItsWholeBuffer for readBuffer, and TestAFullBufferIsNotKept
// for when the server says that an answer has ended. TestAnswersAreSentAtOnce
// counts what then goes out on the network.

const (
	fullBuffer = 4 << 10  // of net/http: a write of just this size has another behind it, or the end of the answer
	mostHeld   = 60 << 10 // held back at most
	readBuffer = 4 << 10  // of net/http: a read of less has something before it that was not used yet
)

// coalescingConn is a connection of [Listen].
type coalescingConn struct {
	net.Conn
	of           *listener
	writeTimeout time.Duration
	answered     bool // and nothing was read since; only for the one goroutine that reads
	mu           sync.Mutex
	held         []byte
	until        time.Time // what is written now may wait, at least
}

// Write sends p after what is held, or holds it where it is a full buffer. An
// error of what was held comes with the next Write.
func (c *coalescingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == fullBuffer && len(c.held) < mostHeld {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	whole := len(p)
	if bytes.HasPrefix(p, []byte("HTTP/1.1 ")) {
		p = rewriteParseError(p)
	}
	before := len(c.held)
	both := [...][]byte{c.held, p}
	parts := net.Buffers(both[:])
	if before == 0 {
		parts = parts[1:]
	}
	n, err := c.push(parts)
	c.forget()
	if err == nil {
		return whole, nil
	}
	return min(whole, max(0, int(n)-before)), err
}

// push writes at the client's pace. It is cut off when it takes nothing for as
// long as it may, or a quarter more. A deadline that comes sooner, since it was
// set for an answer before, only has it look sooner.
func (c *coalescingConn) push(parts net.Buffers) (n int64, err error) {
	took := time.Now()
	for now := took; ; now = time.Now() {
		if c.until.Sub(now) < c.writeTimeout/8 {
			c.until = now.Add(c.writeTimeout / 4)
			if err := c.SetWriteDeadline(c.until); err != nil {
				return n, err
			}
		}
		some, err := writeTo(c.Conn, &parts)
		if n += some; some > 0 {
			took = time.Now()
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(took) >= c.writeTimeout {
			return n, err
		}
	}
}

// writeTo is parts.WriteTo, which for a single part takes longer than a write.
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

// send sends what is held; c.mu is locked.
func (c *coalescingConn) send() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.push(net.Buffers{c.held})
	c.forget()
	return err
}

// forget empties what is held; the memory for much of it is not kept while a
// connection is idle.
func (c *coalescingConn) forget() {
	if c.held = c.held[:0]; cap(c.held) > 2*fullBuffer {
		c.held = nil
	}
}

// closeFlushTimeout is how long a connection that is closed tries to send what is held.
const closeFlushTimeout = 100 * time.Millisecond

// Close sends what is held first, except while somebody writes, which it ends.
func (c *coalescingConn) Close() (err error) {
	defer c.of.ended(c)
	if c.mu.TryLock() {
		if len(c.held) > 0 {
			if err = c.SetWriteDeadline(time.Now().Add(closeFlushTimeout)); err == nil {
				_, err = c.Conn.Write(c.held)
			}
			c.held = nil
		}
		c.mu.Unlock()
	}
	if closed := c.Conn.Close(); closed != nil {
		return closed
	}
	return err
}

// CloseWrite is what net/http calls before it closes a connection whose client
// may still be sending.
func (c *coalescingConn) CloseWrite() error {
	if err := c.flush(); err != nil {
		return err
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}
