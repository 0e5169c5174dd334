// Package tcpproxy stands between a client and a server in tests and makes
// their network bad: slow, narrow, silent for a while, or cut.
package tcpproxy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Shape is how bad a network is, in each direction.
type Shape struct {
	Delay          time.Duration // of every byte; default none
	Jitter         time.Duration // most that is added to it at random; default none. Order is kept
	BytesPerSecond int           // of each connection; default without limit
}

// Proxy forwards connections to one address. Its methods may be called at any
// time, by several goroutines.
type Proxy struct {
	target   string
	listener net.Listener
	all      sync.WaitGroup

	mu     sync.Mutex
	shape  Shape
	flows  chan struct{} // closed while bytes are forwarded
	links  map[*link]bool
	away   bool
	closed bool
}

// Start starts a proxy on a free port of the loopback.
func Start(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy for %s: %w", target, err)
	}
	p := &Proxy{target: target, listener: l, flows: make(chan struct{}), links: map[*link]bool{}}
	close(p.flows)
	p.all.Go(p.accept)
	return p, nil
}

// ForTest starts a proxy that ends with the test.
func ForTest(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set makes the network this bad from now on.
func (p *Proxy) Set(s Shape) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shape = s
}

// Stall stops forwarding and closes nothing: both sides see a silent network.
// New connections are accepted and are as silent.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flows:
		p.flows = make(chan struct{})
	default: // stalled already
	}
}

// Resume ends a stall; nothing was lost in it.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flows:
	default:
		close(p.flows)
	}
}

// Blackhole forgets the connections there are, as a network does that a cable was
// pulled out of: neither side hears anything of the other any more, not even
// that it ends. New connections work.
func (p *Proxy) Blackhole() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.lost = true
	}
	return len(p.links)
}

// Cut resets every connection: both sides get an error at once, and what was
// under way is lost. It tells how many there were; new ones are accepted.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.reset()
	}
	clear(p.links) // what is reset is not cut again
	return n
}

// Refuse resets new connections at once, until it is told otherwise, as where
// the server is away.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = on
}

// Close ends the proxy and waits until nothing of it is left.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
	p.all.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve forwards one connection in both directions until both have ended.
func (p *Proxy) serve(client *net.TCPConn) {
	conn, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		// As a server that is not there would answer.
		_ = client.SetLinger(0)
		client.Close()
		return
	}
	l := &link{client: client, server: conn.(*net.TCPConn), cut: make(chan struct{})}
	p.mu.Lock()
	if p.closed || p.away {
		l.reset()
	}
	p.links[l] = true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.forward(l, l.client, l.server) })
	both.Go(func() { p.forward(l, l.server, l.client) })
	both.Wait()
	l.client.Close()
	l.server.Close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// current is how the network is right now.
func (p *Proxy) current() Shape {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shape
}

// due is when a chunk that was read at this time arrives.
func (s Shape) due(now time.Time) time.Time {
	now = now.Add(s.Delay)
	if s.Jitter > 0 {
		now = now.Add(rand.N(s.Jitter))
	}
	return now
}
