package tcpproxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// link is a client's connection, and the one to the server that belongs to it.
type link struct {
	client, server *net.TCPConn

	once sync.Once // of reset
	cut  chan struct{}

	lost bool // guarded by Proxy.mu
}

// reset closes both connections with a reset.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.cut)
		for _, c := range []*net.TCPConn{l.client, l.server} {
			_ = c.SetLinger(0)
			c.Close()
		}
	})
}

// chunk is what one read returned, and when it may be delivered.
type chunk struct {
	data []byte
	due  time.Time
}

// inFlight is how many chunks a direction buffers. Beyond that the sender has to
// wait, as for a full network.
const inFlight = 64

// forward copies one direction until its end or an error. An error resets the other
// direction as well.
func (p *Proxy) forward(l *link, from, to *net.TCPConn) {
	chunks := make(chan chunk, inFlight)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(chunks)
		p.read(l, from, chunks)
	})
	p.write(l, to, chunks)
	reading.Wait()
}

// read reads one direction into chunks, each with the time at which it may be
// delivered.
func (p *Proxy) read(l *link, from *net.TCPConn, chunks chan<- chunk) {
	for {
		buf := make([]byte, 16<<10)
		n, err := from.Read(buf)
		if n > 0 {
			shape := p.current()
			select {
			case chunks <- chunk{buf[:n], shape.due(time.Now())}:
			case <-l.cut:
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && p.flowing(l) {
				l.reset()
			}
			return
		}
	}
}

// write delivers chunks when they are due, at the pace of the shape, and waits during
// a stall.
func (p *Proxy) write(l *link, to *net.TCPConn, chunks <-chan chunk) {
	var free time.Time // when a narrow network has room again
	for {
		var c chunk
		var ok bool
		select {
		case c, ok = <-chunks:
		case <-l.cut:
			return
		}
		if !p.flowing(l) {
			return
		}
		if !ok {
			_ = to.CloseWrite()
			return
		}
		if free.After(c.due) {
			c.due = free
		}
		if !l.until(c.due) || !p.flowing(l) {
			return
		}
		if _, err := to.Write(c.data); err != nil {
			l.reset()
			return
		}
		if shape := p.current(); shape.BytesPerSecond > 0 {
			free = time.Now().Add(time.Duration(len(c.data)) * time.Second / time.Duration(shape.BytesPerSecond))
		}
	}
}

// flowing waits for the end of a stall. It returns false once the link is cut, which
// is also how a lost link ends.
func (p *Proxy) flowing(l *link) bool {
	p.mu.Lock()
	flows := p.flows
	if l.lost {
		flows = nil
	}
	p.mu.Unlock()
	select {
	case <-flows:
		return true
	case <-l.cut:
		return false
	}
}

// until waits for a time. It returns false if the link is cut before.
func (l *link) until(due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.cut:
		return false
	}
}
