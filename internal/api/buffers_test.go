package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/internal/local/testrun"
)

// These tests check what coalescingConn assumes of net/http, which only the source of
// net/http says. If one of them fails after a change of the compiler, coalesce.go and
// listen.go have to change with it.

// sizedConn is a client's connection to a server of [sized], on a listener of the
// test's choice.
type sizedConn struct {
	net.Conn
	answers *bufio.Reader
}

func serveSized(t *testing.T, on func(net.Listener) net.Listener) *sizedConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(sized(bytes.Repeat([]byte("x"), 300_000)), slog.New(slog.DiscardHandler))
	go func() { _ = srv.Serve(on(l)) }()
	t.Cleanup(func() { _ = srv.Close() })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &sizedConn{c, bufio.NewReader(c)}
}

// request requests n bytes in pieces of step, or in one piece; following is sent
// together with the request.
func (s *sizedConn) request(t *testing.T, n, step int, header, following string) {
	t.Helper()
	if _, err := fmt.Fprintf(s, "GET /?n=%d&step=%d HTTP/1.1\r\nHost: x\r\n%s\r\n%s", n, step, header, following); err != nil {
		t.Fatal(err)
	}
}

// ask sends a request and reads the answer to its end.
func (s *sizedConn) ask(t *testing.T, n, step int) {
	t.Helper()
	s.request(t, n, step, "", "")
	s.answered(t, n)
}

func (s *sizedConn) answered(t *testing.T, n int) {
	t.Helper()
	resp, err := http.ReadResponse(s.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.Copy(io.Discard, resp.Body); err != nil || got != int64(n) {
		t.Fatalf("%d bytes of %d: %v", got, n, err)
	}
}

// recordingListener is a listener whose connections record how net/http uses them.
type recordingListener struct {
	net.Listener
	accepted chan *recordedConn
}

func (l *recordingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &recordedConn{Conn: c}
	l.accepted <- conn
	return conn, nil
}

type recordedConn struct {
	net.Conn
	mu     sync.Mutex
	writes []string
	reads  []int // lengths of the buffers passed to Read
}

func (c *recordedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, string(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *recordedConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	c.reads = append(c.reads, len(p))
	c.mu.Unlock()
	return c.Conn.Read(p)
}

// written returns the lengths of the writes since the last call, and all that they
// wrote.
func (c *recordedConn) written() (lengths []int, whole string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.writes {
		lengths = append(lengths, len(w))
	}
	whole = strings.Join(c.writes, "")
	c.writes = nil
	return lengths, whole
}

// requestReads returns the lengths of the buffers into which requests were read.
// While a handler runs, net/http reads a single byte, to notice a client that closes.
func (c *recordedConn) requestReads() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(c.reads), func(length int) bool { return length == 1 })
}

// serveNoted is serveSized without [Listen].
func serveNoted(t *testing.T) (*sizedConn, *recordedConn) {
	t.Helper()
	l := &recordingListener{accepted: make(chan *recordedConn, 1)}
	s := serveSized(t, func(under net.Listener) net.Listener {
		l.Listener = under
		return l
	})
	return s, <-l.accepted
}

// headerOf returns the length of the header of an answer with four digits.
func headerOf(t *testing.T, header string) int {
	t.Helper()
	s, server := serveNoted(t)
	s.request(t, 1000, 0, header, "")
	s.answered(t, 1000)
	_, whole := server.written()
	return len(whole) - 1000
}

// TestServerWritesFullBuffers: each write of an answer but the last is a full buffer,
// and another write follows it. With buffers of another size, coalescingConn would
// hold nothing back, or hold back what nothing follows.
func TestServerWritesFullBuffers(t *testing.T) {
	header := headerOf(t, "")
	s, server := serveNoted(t)
	for _, n := range []int{fullBuffer - header - 1, fullBuffer - header, fullBuffer - header + 1, 9400} {
		t.Run(fmt.Sprintf("%d bytes at once", n), func(t *testing.T) {
			s.ask(t, n, 0)
			want := []int{header + n}
			if header+n > fullBuffer { // what does not fit bypasses the buffer
				want = []int{fullBuffer, header + n - fullBuffer}
			}
			if got, _ := server.written(); !cmp.Equal(got, want) {
				t.Errorf("written by %v, want %v", got, want)
			}
		})
	}
	for _, step := range []int{100, 2000, fullBuffer} {
		t.Run(fmt.Sprintf("in pieces of %d", step), func(t *testing.T) {
			s.ask(t, 30_000, step)
			got, whole := server.written()
			var want []int
			for left := len(whole); left > 0; left -= fullBuffer {
				want = append(want, min(left, fullBuffer))
			}
			if !cmp.Equal(got, want) {
				t.Errorf("written by %v, want %v", got, want)
			}
		})
	}
	t.Run("at once, of unknown length", func(t *testing.T) {
		s.ask(t, 30_000, 30_000)
		const end = "\r\n0\r\n\r\n"
		got, whole := server.written()
		if want := []int{fullBuffer, len(whole) - fullBuffer - len(end), len(end)}; !cmp.Equal(got, want) {
			t.Errorf("written by %v, want %v", got, want)
		}
	})
}

// TestServerReadsIntoItsWholeBuffer: if nothing is left of what was read before, the
// next request is read into the whole buffer, and otherwise into the part that the
// rest leaves free. This is how coalescingConn recognises an idle connection.
func TestServerReadsIntoItsWholeBuffer(t *testing.T) {
	for _, test := range []struct {
		name, following string
		want            []int
	}{
		{"nothing is left", "", []int{readBuffer, readBuffer}},
		{"the next request has begun", "GET", []int{readBuffer, readBuffer - len("GET")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, server := serveNoted(t)
			s.request(t, 10, 0, "", test.following)
			s.answered(t, 10)
			testrun.Eventually(t, "the next request is read", func() bool { return len(server.requestReads()) >= len(test.want) })
			if got := server.requestReads(); !cmp.Equal(got, test.want) {
				t.Errorf("read into %v, want %v", got, test.want)
			}
		})
	}
}

// TestAFullBufferIsNotKept: an answer of exactly a full buffer, which nothing
// follows, is sent when the server reports the connection idle, or closes it.
func TestAFullBufferIsNotKept(t *testing.T) {
	for _, test := range []struct{ name, header string }{{"kept", ""}, {"ended", "Connection: close\r\n"}} {
		t.Run(test.name, func(t *testing.T) {
			n := fullBuffer - headerOf(t, test.header)
			s := serveSized(t, func(l net.Listener) net.Listener { return Listen(l, 100, time.Minute) })
			s.request(t, n, 0, test.header, "")
			if _, err := io.ReadFull(s, make([]byte, fullBuffer)); err != nil {
				t.Error(err)
			}
		})
	}
}
