package api

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// sized answers with the requested number of bytes of the body: in one piece and with
// a Content-Length, or in pieces of step bytes and without.
func sized(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		step, _ := strconv.Atoi(r.URL.Query().Get("step"))
		if step == 0 {
			w.Header().Set("Content-Length", strconv.Itoa(n))
			step = n + 1
		}
		for at := 0; at < n; at += step {
			if _, err := w.Write(body[at:min(n, at+step)]); err != nil {
				return
			}
		}
	})
}

// TestCoalescedAnswersArriveWhole requests bodies of every size around those of the
// buffers, with and without a known length, on kept and on closing connections, and
// reads each to its end.
func TestCoalescedAnswersArriveWhole(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	srv := NewServer(sized(body), slog.New(slog.DiscardHandler))
	go func() { _ = srv.Serve(Listen(l, 100, time.Minute)) }()
	t.Cleanup(func() { _ = srv.Close() })
	for _, keep := range []bool{true, false} {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keep}}
		for _, step := range []int{0, 100, fullBuffer} {
			sizes := []int{0, 1, fullBuffer, 2 * fullBuffer, maxPending, maxPending + fullBuffer, 65536, 200_000, 300_000}
			for n := fullBuffer - 400; n < fullBuffer+100; n += 7 {
				sizes = append(sizes, n)
			}
			for _, n := range sizes {
				resp, err := client.Get(fmt.Sprintf("http://%s/?n=%d&step=%d", l.Addr(), n, step))
				if err != nil {
					t.Fatalf("%d bytes by %d: %v", n, step, err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(got, body[:n]) {
					t.Fatalf("%d bytes by %d, kept %v: got %d bytes, %v", n, step, keep, len(got), err)
				}
			}
		}
		client.CloseIdleConnections()
	}
}
