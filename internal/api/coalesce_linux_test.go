package api

import (
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tcpListener hands the connections that it accepts to the test.
type tcpListener struct {
	net.Listener
	accepted chan *net.TCPConn
}

func (l *tcpListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- c.(*net.TCPConn)
	}
	return c, err
}

// segments returns how many segments the system sent on a connection. On the loopback
// each write of this test fits into one segment.
func segments(t *testing.T, c *net.TCPConn) (n int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if failed := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); failed != nil || err != nil {
		t.Fatal(failed, err)
	}
	return int(info.Data_segs_out)
}

// TestAnswersAreSentAtOnce: header and body are sent together however the handler
// writes them, where net/http alone would send them buffer by buffer. The counts for
// net/http alone are what is saved, and show that segments are counted.
func TestAnswersAreSentAtOnce(t *testing.T) {
	for _, test := range []struct{ n, step, byItself, together int }{
		{1000, 0, 1, 1},
		{5000, 0, 2, 1},
		{9400, 0, 2, 1},
		{20_000, 0, 2, 1},
		{20_000, 100, 5, 1},
		{20_000, 2000, 5, 1},
		{20_000, fullBuffer, 5, 1},
		{20_000, 20_000, 3, 2}, // the end of an answer of unknown length is sent separately
	} {
		t.Run(fmt.Sprintf("%d bytes by %d", test.n, test.step), func(t *testing.T) {
			count := func(on func(net.Listener) net.Listener) int {
				under := &tcpListener{accepted: make(chan *net.TCPConn, 1)}
				s := serveSized(t, func(l net.Listener) net.Listener {
					under.Listener = l
					return on(under)
				})
				server := <-under.accepted
				s.ask(t, test.n, test.step)
				return segments(t, server)
			}
			if got := count(func(l net.Listener) net.Listener { return l }); got != test.byItself {
				t.Errorf("net/http by itself sends %d times, want %d", got, test.byItself)
			}
			if got := count(func(l net.Listener) net.Listener { return Listen(l, 100, time.Minute) }); got != test.together {
				t.Errorf("sent %d times, want %d", got, test.together)
			}
		})
	}
}
