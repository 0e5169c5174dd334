// Package tcpproxy stands between a client and a server in tests and disturbs their
// network: it can be slow, narrow, silent for a while, or cut. Bytes that it delivers
// are unchanged and in order.
package tcpproxy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Shape says how bad the network is, in each direction.
type Shape struct {
	Delay          time.Duration // of every byte; default none
	Jitter         time.Duration // at most this much is added at random; default none. The order stays
	BytesPerSecond int           // of each connection; default unlimited
}

// Proxy forwards connections to one address. It is safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	all      sync.WaitGroup // the goroutines that Close waits for

	mu       sync.Mutex // guards the fields below; never held over I/O but closing a connection
	shape    Shape
	flows    chan struct{} // closed unless the proxy is stalled
	links    map[*link]bool
	refusing bool
	closed   bool
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

// ForTest starts a proxy that is closed when the test ends.
func ForTest(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Addr is the address for clients.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes the network from now on.
func (p *Proxy) Set(s Shape) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shape = s
}

// Stall stops forwarding and closes nothing: both sides see a silent network. New
// connections are accepted and are silent too.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flows:
		p.flows = make(chan struct{})
	default: // stalled already
	}
}

// Resume ends a stall. Everything that was sent meanwhile is delivered.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flows:
	default:
		close(p.flows)
	}
}

// Blackhole loses the present connections, like a pulled cable: neither side hears
// from the other again, not even that it closed. New connections work. It returns how
// many were lost.
func (p *Proxy) Blackhole() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.lost = true
	}
	return len(p.links)
}

// Cut resets every connection: both sides get an error at once, and bytes under way
// are lost. It returns how many there were. New connections are accepted.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.links)
	for l := range p.links {
		l.reset()
	}
	clear(p.links) // a link that is reset need not be cut again
	return n
}

// Refuse has new connections reset at once, as if the server were down, until it is
// called with false.
func (p *Proxy) Refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = on
}

// Close stops the proxy, and returns once all its connections are closed.
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
		// As if no server listened.
		_ = client.SetLinger(0)
		client.Close()
		return
	}
	l := &link{client: client, server: conn.(*net.TCPConn), cut: make(chan struct{})}
	p.mu.Lock()
	if p.closed || p.refusing {
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

// current returns the shape of the network now.
func (p *Proxy) current() Shape {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shape
}

// due returns when a chunk read now is to be delivered.
func (s Shape) due(now time.Time) time.Time {
	now = now.Add(s.Delay)
	if s.Jitter > 0 {
		now = now.Add(rand.N(s.Jitter))
	}
	return now
}
