package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"accountexport/internal/local/testrun"
	"accountexport/readmodel/export"
)

// TestSlowRequestsAreCutOff: a client that does not complete its header loses its
// connection, and delays no other client.
func TestSlowRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	a := start(t, newMemory())
	var slow []net.Conn
	for range 50 {
		c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, "GET "+exportPath+" HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	for _, c := range slow[:5] { // on a connection that was answered before, after one byte
		c.Close()
		c, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, "GET "+exportPath+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 401 {
			t.Fatal(resp, err)
		}
		if _, err := io.WriteString(c, "G"); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	slow = slow[5:]
	if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, complete)); got.status != 200 {
		t.Errorf("meanwhile: %d", got.status)
	}
	for _, c := range slow {
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a slow client keeps its connection")
		}
	}
}

// TestConnectionsAreBounded: a new connection beyond the limit replaces the one that
// has been idle for longest, and waits only while none is idle.
func TestConnectionsAreBounded(t *testing.T) {
	const most = 3
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	working, goOn := make(chan struct{}), make(chan struct{})
	srv := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/work" {
			working <- struct{}{}
			<-goOn
		}
	}), log)
	bounded := Listen(l, most, time.Minute).(*listener)
	go func() { _ = srv.Serve(bounded) }()
	t.Cleanup(func() { _ = srv.Close() })
	idle := func() int {
		bounded.mu.Lock()
		defer bounded.mu.Unlock()
		return bounded.idle.Len()
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(c net.Conn, path string) {
		t.Helper()
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(c net.Conn) {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	var all []net.Conn
	for i := range most {
		c := dial()
		all = append(all, c)
		ask(c, "/")
		answered(c)
		testrun.Eventually(t, "it is idle", func() bool { return idle() == i+1 })
	}
	ask(all[0], "/") // the second has been idle for longest now
	answered(all[0])
	testrun.Eventually(t, "all are idle", func() bool { return idle() == most })
	fourth := dial()
	ask(fourth, "/")
	answered(fourth)
	if err := all[1].SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := all[1].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the one that has been idle for longest: %v, want that it is closed", err)
	}
	for _, c := range []net.Conn{all[0], all[2], fourth} {
		ask(c, "/work")
		<-working
	}
	fifth := dial()
	ask(fifth, "/")
	close(goOn)
	answered(fifth)
}

// TestLargeDocumentIsOneSnapshot: changes that are committed while a document is
// being sent are not in it.
func TestLargeDocumentIsOneSnapshot(t *testing.T) {
	pool := database(t)
	a := start(t, export.NewReader(pool))
	resp := a.begin(t, parked)
	if _, err := io.CopyN(io.Discard, resp.Body, 1000); err != nil {
		t.Fatal(err)
	}
	other := "'" + strings.Replace(sandboxJSON, "last", "changed", 1) + "'"
	for _, sql := range []string{
		`UPDATE export_g1.account_export_pages SET body = ` + other,
		`UPDATE export_g1.account_export SET sandboxes_tail = ` + other + `, position = 99`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	rest, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(rest), "changed") || len(rest) < largePages*pageBytes || resp.Header.Get("Export-Position") != "77" {
		t.Errorf("%d bytes more, position %s, changed: %v, %v", len(rest), resp.Header.Get("Export-Position"), strings.Contains(string(rest), "changed"), err)
	}
	got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, parked))
	if got.header.Get("Export-Position") != "99" || strings.Count(got.body, `"changed"`) != largePages+1 {
		t.Errorf("the next: position %s, %d parts changed", got.header.Get("Export-Position"), strings.Count(got.body, `"changed"`))
	}
}
