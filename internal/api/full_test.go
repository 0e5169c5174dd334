package api

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
)

// pipeliningClient is a client that sends some requests in two parts, and some of them
// pipelined. It counts the answers.
type pipeliningClient struct {
	t        *testing.T
	rng      *rand.Rand
	addr     string
	first    int // number of its first request
	conn     net.Conn
	answers  *bufio.Reader
	answered map[int]bool
	lost     int // connections that were closed
}

// send sends n requests and reads answers until one is missing.
func (c *pipeliningClient) send(number, n int) {
	if c.conn == nil {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			c.t.Error(err)
			return
		}
		c.conn, c.answers = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		c.t.Error(err)
	}
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", number+i)
	}
	all := text.String()
	cut := c.rng.IntN(len(all) + 1)
	_, err := io.WriteString(c.conn, all[:cut])
	if err == nil {
		for range c.rng.IntN(20) {
			runtime.Gosched()
		}
		_, err = io.WriteString(c.conn, all[cut:])
	}
	for i := range n { // even if not all of them were sent
		var resp *http.Response
		var body []byte
		var failed error
		if resp, failed = http.ReadResponse(c.answers, nil); failed == nil {
			body, failed = io.ReadAll(resp.Body)
		}
		if err = failed; err != nil {
			break
		}
		if string(body) != strconv.Itoa(number+i) {
			c.t.Errorf("request %d is answered %q", number+i, body)
		}
		c.answered[number+i] = true
	}
	if err != nil {
		c.lost++
		c.conn.Close()
		c.conn = nil
	}
}

// TestRequestsOnFullListenersAreAnswered: with far more clients than connections,
// connections are evicted all the time, but none that has a request: every request
// that reached the handler is answered to its client.
func TestRequestsOnFullListenersAreAnswered(t *testing.T) {
	const most, clients = 4, 14
	rounds := 300
	if testrun.Long() {
		rounds = 5000
	}
	seed := testrun.Seed(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	reached := map[int]bool{}
	srv := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		number, err := strconv.Atoi(r.URL.Path[1:])
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		reached[number] = true
		mu.Unlock()
		for range number % 50 {
			runtime.Gosched()
		}
		_, _ = io.WriteString(w, r.URL.Path[1:])
	}), slog.New(slog.DiscardHandler))
	bounded := Listen(l, most, time.Minute).(*listener)
	go func() { _ = srv.Serve(bounded) }()
	t.Cleanup(func() { _ = srv.Close() })

	all := make([]*pipeliningClient, clients)
	var asking sync.WaitGroup
	for i := range all {
		c := &pipeliningClient{t: t, rng: rand.New(rand.NewPCG(seed, uint64(i))), addr: l.Addr().String(), first: i * rounds * 3, answered: map[int]bool{}}
		all[i] = c
		asking.Go(func() {
			for round := range rounds {
				c.send(c.first+3*round, 1+c.rng.IntN(3))
			}
			if c.conn != nil {
				c.conn.Close()
			}
		})
	}
	asking.Wait()
	mu.Lock()
	defer mu.Unlock()
	unanswered, lost := len(reached), 0
	for _, c := range all {
		lost += c.lost
		for number := range c.answered {
			if !reached[number] {
				t.Errorf("request %d was answered by nobody", number)
			}
			unanswered--
		}
	}
	if unanswered != 0 {
		t.Errorf("%d of %d requests that reached the handler were not answered", unanswered, len(reached))
	}
	if lost < 10 {
		t.Errorf("%d connections were closed for others; the test shows nothing", lost)
	}
	t.Logf("%d requests reached the handler; %d connections were closed for others", len(reached), lost)
}
