package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/local/testrun"
)

// followed is a console of which the hub looks at something that changes with each look,
// and that has a topic of a size.
func followed(t *testing.T, size int, server func(*http.Server), change ...func(*Config)) *front {
	t.Helper()
	cfg := Config{Pool: noDatabase(t), User: "tester", Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	cfg.Pool = noDatabase(t)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	looks := 0
	c.hub.read = func(context.Context) (*acts.Status, error) {
		looks++
		return &acts.Status{Position: uint64(looks)}, nil
	}
	c.hub.topics["numbered"] = func(string) ([]byte, error) {
		c.hub.mu.Lock()
		defer c.hub.mu.Unlock()
		if c.hub.last == nil {
			return nil, errWaiting
		}
		return fmt.Appendf(nil, "look %d%s", c.hub.last.Status.Position, strings.Repeat(".", size)), nil
	}
	s := c.Server()
	if server != nil {
		server(s)
	}
	f := serveFront(t, "127.0.0.1:0", c, s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	c.jobs.begin(ctx)
	go func() { defer close(ended); c.hub.run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// page is a page that follows.
type page struct {
	body io.Closer
	in   *bufio.Reader
}

func (f *front) follow(t *testing.T, topic string) *page {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + f.addr + "/events?topic=" + topic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("following %s: status %d", topic, resp.StatusCode)
	}
	return &page{resp.Body, bufio.NewReader(resp.Body)}
}

// next is the next piece of news.
func (p *page) next() (string, error) {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if data, is := strings.CutPrefix(line, "data: "); is {
			return data, nil
		}
	}
}

func (f *front) viewers() int {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	return len(f.hub.viewers)
}

// TestFollowingOutlivesTheLimitsOfRequests: the times of a request and of an answer are
// not those of a page that follows.
func TestFollowingOutlivesTheLimitsOfRequests(t *testing.T) {
	t.Parallel()
	f := followed(t, 0, func(s *http.Server) {
		s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 300*time.Millisecond, 300*time.Millisecond, 300*time.Millisecond
	})
	p := f.follow(t, "numbered")
	for range 3 { // three looks are two seconds at least
		if _, err := p.next(); err != nil {
			t.Fatalf("the page was let go of: %v", err)
		}
	}
}

// TestClientsHaveATimeForEachPart: who sends a request a byte at a time, or does not end
// it, is let go of.
func TestClientsHaveATimeForEachPart(t *testing.T) {
	t.Parallel()
	c, err := New(Config{Pool: noDatabase(t), User: "tester", AllowActs: true})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Server()
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("the server has no end for something: %+v", s)
	}
	s.ReadHeaderTimeout, s.ReadTimeout = 100*time.Millisecond, 200*time.Millisecond
	f := serveFront(t, "127.0.0.1:0", c, s)
	for what, sent := range map[string]string{
		"headers that do not end": "GET / HTTP/1.1\r\nHost: " + f.addr + "\r\nX-A: ",
		"nothing":                 "",
		"a body that does not":    "POST /api/acts/pause HTTP/1.1\r\nHost: " + f.addr + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		conn, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
			t.Errorf("%s: the connection is still open", what)
		}
	}
	if got := f.raw(t, "", f.addr, "GET / HTTP/1.1\nHost: {host}\nCookie: "+strings.Repeat("a", 32<<10)+"\n\n"); got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("32 KiB of headers: status %d", got.StatusCode)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestASlowPageHoldsNobodyUp: one that does not take what it is sent is let go of, and the
// others have all news meanwhile. Pages that leave are forgotten, and leave nothing behind.
func TestASlowPageHoldsNobodyUp(t *testing.T) {
	before := runtime.NumGoroutine()
	f := followed(t, 6<<20, nil, func(c *Config) { c.sendWithin = 300 * time.Millisecond })
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /events?topic=numbered HTTP/1.1\r\nHost: %s\r\n\r\n", f.addr); err != nil {
		t.Fatal(err)
	}
	reader := f.follow(t, "numbered")
	testrun.Eventually(t, "the slow page is let go of", func() bool {
		if _, err := reader.next(); err != nil {
			t.Fatalf("the page that reads was let go of: %v", err)
		}
		return f.viewers() == 1
	})
	if _, err := reader.next(); err != nil {
		t.Errorf("the page that reads was let go of afterwards: %v", err)
	}
	reader.body.Close()
	testrun.Eventually(t, "nobody follows", func() bool { return f.viewers() == 0 })
	testrun.Eventually(t, "goroutines are as many as before", func() bool {
		return runtime.NumGoroutine() <= before+10 // the server, the hub, the pool, and the slow client's connection
	})
}

// TestAPageThatFollowsBeforeTheFirstLook waits for it: it is a page of before the console
// was started anew. What nobody knows is refused, so that a browser does not ask again.
func TestAPageThatFollowsBeforeTheFirstLook(t *testing.T) {
	c, err := New(Config{Pool: noDatabase(t), User: "tester"})
	if err != nil {
		t.Fatal(err)
	}
	f := serveFront(t, "127.0.0.1:0", c, c.Server())
	p := f.follow(t, "overview")
	for _, topic := range []string{"", "none", "job:none", "layout"} {
		if got := f.raw(t, "", f.addr, "GET /events?topic="+topic+" HTTP/1.1\nConnection: close\nHost: {host}\n\n"); got.StatusCode != http.StatusBadRequest {
			t.Errorf("topic %q: status %d", topic, got.StatusCode)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.hub.read = func(context.Context) (*acts.Status, error) { return nil, errors.New("a server is away") }
	c.jobs.begin(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); c.hub.run(ctx) }()
	if news, err := p.next(); err != nil || !strings.Contains(news, "a server is away") {
		t.Errorf("the first news: %v: %s", err, news)
	}
	cancel() // the program ends, and so does what follows
	if _, err := io.Copy(io.Discard, p.in); err != nil {
		t.Errorf("the end is none that a browser would take for one: %v", err)
	}
	<-ended
}
