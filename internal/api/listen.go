package api

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// Listen makes a listener's connections hold full buffers back, cuts clients
// off that take nothing of an answer for as long as patience, and bounds how
// many connections there are. Where there are as many as there may be, a new
// one has the place of the one that has been idle for longest; while none is
// idle it waits. One of which anything was read is not idle, so that what was
// read is answered. The server must have been made by [NewServer], which tells
// when answers end.
func Listen(l net.Listener, most int, patience time.Duration) net.Listener {
	return &listener{Listener: l, most: most, writeTimeout: patience, open: map[*coalescingConn]*list.Element{},
		idle: list.New(), freed: make(chan struct{}, 1), closed: make(chan struct{})}
}

type listener struct {
	net.Listener
	most         int
	writeTimeout time.Duration
	freed        chan struct{} // told that a connection has ended or become idle
	closed       chan struct{}
	once         sync.Once

	mu   sync.Mutex
	open map[*coalescingConn]*list.Element // where it is in idle; nil where it is not
	idle *list.List                        // connections, the longest idle one first
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h := &coalescingConn{Conn: c, of: l, writeTimeout: l.writeTimeout}
	for {
		room, out := l.enter(h)
		if out != nil {
			_ = out.Close() // it is out, whatever it says
		}
		if room {
			return h, nil
		}
		select {
		case <-l.freed:
		case <-l.closed:
			_ = c.Close() // nobody serves it
			return nil, net.ErrClosed
		}
	}
}

// enter takes the connection in where there is room, or where one is idle,
// which is out from then on: of that one no request is let in any more, and it
// is to be closed.
func (l *listener) enter(h *coalescingConn) (room bool, out *coalescingConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most {
		first := l.idle.Front()
		if first == nil {
			return false, nil
		}
		out = l.idle.Remove(first).(*coalescingConn)
		delete(l.open, out)
	}
	l.open[h] = nil
	return true, out
}

// Close also ends an Accept that waits for room.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// connState is the server's ConnState: an answer on a kept connection has ended
// when the connection is idle, and on any other when it is closed. The server
// calls it idle also while the next request has been read in part or whole, so
// it is only in the read after that that it may be.
func connState(c net.Conn, state http.ConnState) {
	h, ok := c.(*coalescingConn)
	if !ok {
		return
	}
	if h.answered = state == http.StateIdle; h.answered {
		_ = h.flush() // the next read or write meets the same error
	}
}

// Read tells the listener that the connection is idle for as long as it waits
// for the first of a request; what came before is in the server's buffer then,
// of which p is not the whole. From the first byte on the client has as long as
// for a header. Of a connection that is out nothing is read.
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
	c.of.markIdle(c)
	n, err := c.Conn.Read(p)
	if !c.of.markActive(c) {
		return 0, net.ErrClosed
	}
	if n > 0 && err == nil {
		err = c.begun()
	}
	return n, err
}

// begun sets the time for a header; the server does so at the fourth byte.
func (c *coalescingConn) begun() error { return c.SetReadDeadline(time.Now().Add(headerTimeout)) }

// markIdle says that the connection is idle.
func (l *listener) markIdle(h *coalescingConn) {
	l.mu.Lock()
	if at, open := l.open[h]; open && at == nil {
		l.open[h] = l.idle.PushBack(h)
	}
	l.mu.Unlock()
	l.tell()
}

// markActive says that it is no longer, and tells whether it is still in.
func (l *listener) markActive(h *coalescingConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, open := l.open[h]
	if at != nil {
		l.idle.Remove(at)
		l.open[h] = nil
	}
	return open
}

// ended is called when the connection is closed, maybe more than once.
func (l *listener) ended(h *coalescingConn) {
	l.mu.Lock()
	if at := l.open[h]; at != nil {
		l.idle.Remove(at)
	}
	delete(l.open, h)
	l.mu.Unlock()
	l.tell()
}

func (l *listener) tell() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}
