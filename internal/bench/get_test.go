package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/api"
	"accountexport/internal/auth"
	"accountexport/internal/auth/authtest"
	"accountexport/projections/engine"
	"accountexport/readmodel/export"
)

const (
	issuer = "https://bench.example/auth/v1"
	secret = "a secret that is long enough for HS256"
)

// BenchmarkGet measures GET /v1/account/export with a token check, against a
// bare handler that selects one row with the same document by primary key. The
// two take turns of half a second, so that both meet the same neighbours. Ours
// writes its log line to the null device.
func BenchmarkGet(b *testing.B) {
	const accounts, turn = 200, 500 * time.Millisecond
	turns := size(16, 4)
	s := newStack(b)
	ids := publishAccounts(b, s, accounts)
	stop := s.run(b, engine.Options{})
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.reached(b, info.Last)
	stop()

	exports := export.NewReader(s.pool)
	size := copyDocuments(b, s, exports, ids)
	bare := serveBare(b, s)
	ours := serveOurs(b, exports)
	var bareRequests, ourRequests []string
	for _, id := range ids {
		bareRequests = append(bareRequests, "GET /?id="+id.String()+" HTTP/1.1\r\nHost: bench\r\n\r\n")
		ourRequests = append(ourRequests, getExport(b, id))
	}
	for b.Loop() {
		row(b, fmt.Sprintf("GET of %d bytes, aim: 95 %%, × 1.2", size), "   bare handler", "GET export", "     share", "p99 of bare, of ours")
		for _, clients := range []int{1, 8, 64} {
			left, right := dial(b, bare, clients), dial(b, ours, clients)
			load(b, left, bareRequests, turn) // warm
			load(b, right, ourRequests, turn)
			var bareT, ourT []time.Duration
			for range turns {
				bareT = append(bareT, load(b, left, bareRequests, turn)...)
				ourT = append(ourT, load(b, right, ourRequests, turn)...)
			}
			hangUp(left)
			hangUp(right)
			share := float64(len(ourT)) / float64(len(bareT))
			p99, ourP99 := percentile(bareT, 0.99), percentile(ourT, 0.99)
			tail := ourP99.Seconds() / p99.Seconds()
			row(b, fmt.Sprintf("  %d clients", clients), rate(len(bareT), time.Duration(turns)*turn), rate(len(ourT), time.Duration(turns)*turn),
				fmt.Sprintf("%.0f %%", share*100), fmt.Sprintf("%v  %v  × %.2f", p99.Round(time.Microsecond), ourP99.Round(time.Microsecond), tail))
			b.ReportMetric(share, fmt.Sprintf("of-bare-%d", clients))
			b.ReportMetric(tail, fmt.Sprintf("p99-of-bare-%d", clients))
		}
	}
}

// serveBare serves what [copyDocuments] stored: one select by primary key, no
// token, and no header but the two that say what the body is.
func serveBare(b *testing.B, s *stack) (addr string) {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := events.ParseUUID(r.URL.Query().Get("id"))
		var doc []byte
		if err := s.pool.QueryRow(r.Context(), `SELECT document FROM bare WHERE account_id = $1`, [16]byte(id)).Scan(&doc); err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
		_, _ = w.Write(doc)
	}))
	b.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// serveOurs serves the API as cmd/api does.
func serveOurs(b *testing.B, exports *export.Reader) (addr string) {
	b.Helper()
	verifier, err := auth.New(auth.Config{Issuer: issuer, Audience: "authenticated", Secret: secret}, quiet())
	if err != nil {
		b.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(null, nil))
	server := api.NewServer(api.New(api.Config{Exports: exports, Verifier: verifier, Logger: log}), log)
	go func() { _ = server.Serve(api.Listen(listener, 1000, time.Minute)) }()
	b.Cleanup(func() {
		server.Close()
		null.Close()
	})
	return listener.Addr().String()
}

// getExport is a request with a token of the account.
func getExport(b *testing.B, account events.UUID, headers ...string) string {
	b.Helper()
	token, err := authtest.Mint(secret, issuer, account, "someone@example.org", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	request := "GET /v1/account/export HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer " + token + "\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	return request + "\r\n"
}

// client is a kept connection.
type client struct {
	net.Conn
	in *bufio.Reader
}

func dial(b *testing.B, addr string, n int) []client {
	b.Helper()
	clients := make([]client, n)
	for i := range clients {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		clients[i] = client{conn, bufio.NewReaderSize(conn, 16<<10)}
	}
	return clients
}

func hangUp(clients []client) {
	for _, c := range clients {
		c.Close()
	}
}

// ready is what is asked as it is sent, made before, so that what a client does
// with a longer request and answer is not counted as the server's.
func ready(requests []string) (all [][]byte) {
	for _, r := range requests {
		all = append(all, []byte(r))
	}
	return all
}

// load has every client send requests for this long, each after the answer to
// the one before, and gives the time that each took.
func load(b *testing.B, clients []client, asking []string, d time.Duration) (times []time.Duration) {
	b.Helper()
	requests := ready(asking)
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for i, c := range clients {
		wg.Go(func() {
			var mine []time.Duration
			for ; time.Now().Before(end); i++ {
				began := time.Now()
				if _, err := c.Write(requests[i%len(requests)]); err != nil {
					b.Error(err)
					return
				}
				if err := answer(c.in); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
		})
	}
	wg.Wait()
	return times
}

// answer reads one response with a body of known or chunked length.
func answer(in *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := bytes.TrimRight(line, "\r\n")
		if first && !bytes.HasPrefix(text, []byte("HTTP/1.1 200")) {
			return fmt.Errorf("answer: %s", text)
		}
		if len(text) == 0 {
			break
		}
		if v, ok := bytes.CutPrefix(text, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(v)); err != nil {
				return err
			}
		}
	}
	if length >= 0 {
		_, err := in.Discard(length)
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		var size int
		if _, err := fmt.Sscanf(line, "%x", &size); err != nil {
			return err
		}
		if _, err := in.Discard(size + 2); err != nil || size == 0 {
			return err
		}
	}
}
