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
// idle it waits. The server must have been made by [NewServer], which tells
// when answers begin and end.
func Listen(l net.Listener, most int, patience time.Duration) net.Listener {
	return &listener{Listener: l, most: most, patience: patience, open: map[*heldConn]*list.Element{},
		idle: list.New(), freed: make(chan struct{}, 1), closed: make(chan struct{})}
}

type listener struct {
	net.Listener
	most     int
	patience time.Duration
	freed    chan struct{} // told that a connection has ended or become idle
	closed   chan struct{}
	once     sync.Once

	mu   sync.Mutex
	open map[*heldConn]*list.Element // where it is in idle; nil where it is not
	idle *list.List                  // connections, the longest idle one first
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h := &heldConn{Conn: c, of: l, patience: l.patience}
	for {
		room, idle := l.enter(h)
		switch {
		case room:
			return h, nil
		case idle != nil:
			_ = idle.Close() // it makes room, whatever it says
			continue
		}
		select {
		case <-l.freed:
		case <-l.closed:
			_ = c.Close() // nobody serves it
			return nil, net.ErrClosed
		}
	}
}

// enter takes the connection in where there is room, and otherwise says which
// one is to make it.
func (l *listener) enter(h *heldConn) (room bool, idle *heldConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) < l.most {
		l.open[h] = nil
		return true, nil
	}
	if first := l.idle.Front(); first != nil {
		return false, first.Value.(*heldConn)
	}
	return false, nil
}

// Close also ends an Accept that waits for room.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// connState is the server's ConnState: an answer on a kept connection has ended
// when the connection is idle, and on any other when it is closed.
func connState(c net.Conn, state http.ConnState) {
	h, ok := c.(*heldConn)
	if !ok {
		return
	}
	if state == http.StateIdle {
		_ = h.flush() // the next read or write meets the same error
	}
	h.of.idles(h, state == http.StateIdle)
}

func (l *listener) idles(h *heldConn, idle bool) {
	l.mu.Lock()
	at, open := l.open[h]
	switch {
	case !open || idle == (at != nil):
		l.mu.Unlock()
		return
	case idle:
		l.open[h] = l.idle.PushBack(h)
	default:
		l.idle.Remove(at)
		l.open[h] = nil
	}
	l.mu.Unlock()
	if idle {
		l.tell()
	}
}

// ended is called when the connection is closed, maybe more than once.
func (l *listener) ended(h *heldConn) {
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
