package api

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// Listen wraps a listener. Its connections write full buffers together with what
// follows them, and are closed when the client has accepted nothing of an answer for
// patience. At most most connections are open: a further one replaces the connection
// that has been idle for longest, and waits while none is idle. A connection from
// which any byte of a request was read is not idle, so a request that was begun to be
// read is answered. The server has to come from [NewServer], whose ConnState hook
// reports when answers end.
func Listen(l net.Listener, maxOpen int, writeTimeout time.Duration) net.Listener {
	return &listener{Listener: l, maxOpen: maxOpen, writeTimeout: writeTimeout, open: map[*coalescingConn]*list.Element{},
		idle: list.New(), freed: make(chan struct{}, 1), closed: make(chan struct{})}
}

// listener is what [Listen] returns. The server calls Accept from one goroutine, and
// the connections call markIdle, markActive and ended from theirs.
type listener struct {
	net.Listener
	maxOpen      int
	writeTimeout time.Duration

	freed  chan struct{} // wakes Accept: a connection has ended or become idle
	closed chan struct{} // closed by Close
	once   sync.Once     // of Close

	mu   sync.Mutex                        // guards the fields below; never held over I/O
	open map[*coalescingConn]*list.Element // the element in idle; nil while it is not idle
	idle *list.List                        // connections, the longest idle one first
}

// Accept returns the next connection, as soon as there is room for it.
func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &coalescingConn{Conn: raw, listener: l, writeTimeout: l.writeTimeout, countUnread: func(int) {}}
	for {
		admitted, evicted := l.admit(conn)
		if evicted != nil {
			_ = evicted.Close() // it is closed in any case
		}
		if admitted {
			return conn, nil
		}
		select {
		case <-l.freed:
		case <-l.closed:
			_ = raw.Close() // it will not be served
			return nil, net.ErrClosed
		}
	}
}

// admit admits the connection if there is room, or if a connection is idle, which is
// evicted: no request is read from that one any more, and the caller closes it.
func (l *listener) admit(c *coalescingConn) (admitted bool, evicted *coalescingConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.maxOpen {
		first := l.idle.Front()
		if first == nil {
			return false, nil
		}
		evicted = l.idle.Remove(first).(*coalescingConn)
		delete(l.open, evicted)
	}
	l.open[c] = nil
	return true, evicted
}

// Close also ends an Accept that waits for room.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// connState returns the server's ConnState hook. A new connection is told who counts what
// the server answers by itself. An answer has ended when a kept
// connection becomes idle, or another one is closed. The server reports idle also
// when part or all of the next request has been read, so only the following Read can
// tell whether the connection is idle.
func connState(countUnread func(status int)) func(net.Conn, http.ConnState) {
	return func(c net.Conn, state http.ConnState) {
		conn, ok := c.(*coalescingConn)
		if !ok {
			return
		}
		if state == http.StateNew {
			conn.countUnread = countUnread
			return
		}
		conn.changed(state)
	}
}

// changed is told the state of the connection.
func (c *coalescingConn) changed(state http.ConnState) {
	if c.answered = state == http.StateIdle; c.answered {
		_ = c.flush() // the next read or write returns the same error
	}
}

// Read marks the connection idle for as long as it waits for the first byte of a
// request. Before that, whatever the client sent is in the server's buffer, and the
// server's read is then shorter than that buffer. From the first byte on the client
// has headerTimeout for the header. Nothing is read from an evicted connection.
func (c *coalescingConn) Read(p []byte) (int, error) {
	if !c.answered {
		return c.Conn.Read(p)
	}
	c.answered = false
	if len(p) < readBuffer {
		if err := c.begun(); err != nil {
			return 0, err
		}
		return c.Conn.Read(p)
	}
	c.listener.markIdle(c)
	n, err := c.Conn.Read(p)
	if !c.listener.markActive(c) {
		return 0, net.ErrClosed
	}
	if n > 0 && err == nil {
		err = c.begun()
	}
	return n, err
}

// begun sets the deadline for a header; the server itself sets it only at the fourth
// byte.
func (c *coalescingConn) begun() error { return c.SetReadDeadline(time.Now().Add(headerTimeout)) }

// markIdle marks the connection idle.
func (l *listener) markIdle(c *coalescingConn) {
	l.mu.Lock()
	if at, open := l.open[c]; open && at == nil {
		l.open[c] = l.idle.PushBack(c)
	}
	l.mu.Unlock()
	l.signalFreed()
}

// markActive ends that, and reports whether the connection is still admitted.
func (l *listener) markActive(c *coalescingConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, open := l.open[c]
	if at != nil {
		l.idle.Remove(at)
		l.open[c] = nil
	}
	return open
}

// ended removes a connection that is closed. It may be called more than once.
func (l *listener) ended(c *coalescingConn) {
	l.mu.Lock()
	if at := l.open[c]; at != nil {
		l.idle.Remove(at)
	}
	delete(l.open, c)
	l.mu.Unlock()
	l.signalFreed()
}

// signalFreed wakes Accept, or has its next wait end at once.
func (l *listener) signalFreed() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}
