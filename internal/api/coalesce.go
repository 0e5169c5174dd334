package api

import (
	"net"
	"net/http"
	"sync"
)

// The server of net/http writes through a buffer of 4 KiB, so an answer whose
// header and body together are longer goes out in several system calls, which
// for a usual export is the larger part of the handler's own cost (measured: a
// sixth of the throughput). Coalesce holds a full buffer back until what
// follows it, or the end of the answer, and sends both at once; a large answer
// goes out in pieces of 64 KiB.

const (
	fullBuffer = 4 << 10  // of net/http: a write of just this size has another behind it, or the end of the answer
	mostHeld   = 60 << 10 // held back at most
)

// Listen makes a listener's connections hold full buffers back, and bounds how
// many there are at once; more wait in the system's queue. The server must have
// been made by [NewServer], which tells them when an answer ends.
func Listen(l net.Listener, most int) net.Listener {
	return &listener{Listener: l, open: make(chan struct{}, most), closed: make(chan struct{})}
}

type listener struct {
	net.Listener
	open   chan struct{} // holds one for each connection
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case l.open <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.open
		return nil, err
	}
	return &heldConn{Conn: c, ended: sync.OnceFunc(func() { <-l.open })}, nil
}

// Close also ends an Accept that waits for a connection to close.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// answerEnded is the server's ConnState: an answer on a kept connection has
// ended when the connection is idle, and on any other when it is closed.
func answerEnded(c net.Conn, state http.ConnState) {
	if h, ok := c.(*heldConn); ok && state == http.StateIdle {
		_ = h.flush() // the next read or write meets the same error
	}
}

type heldConn struct {
	net.Conn
	ended func()
	mu    sync.Mutex
	held  []byte
}

// Write sends p after what is held, or holds it where it is a full buffer. An
// error of what was held comes with the next Write.
func (c *heldConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == fullBuffer && len(c.held) < mostHeld {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	if len(c.held) == 0 {
		return c.Conn.Write(p)
	}
	before := len(c.held)
	parts := net.Buffers{c.held, p}
	n, err := parts.WriteTo(c.Conn)
	c.held = c.held[:0]
	return max(0, int(n)-before), err
}

func (c *heldConn) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.send()
}

// send sends what is held; c.mu is locked.
func (c *heldConn) send() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = c.held[:0]
	return err
}

// Close sends what is held first, except while somebody writes, which it ends.
func (c *heldConn) Close() (err error) {
	defer c.ended()
	if c.mu.TryLock() {
		err = c.send()
		c.mu.Unlock()
	}
	if closed := c.Conn.Close(); closed != nil {
		return closed
	}
	return err
}

// CloseWrite is what net/http calls before it closes a connection whose client
// may still be sending.
func (c *heldConn) CloseWrite() error {
	if err := c.flush(); err != nil {
		return err
	}
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}
