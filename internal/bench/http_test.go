package bench

import (
	"bufio"
	"bytes"
	"errors"
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
	"accountexport/readmodel/export"
)

const (
	issuer = "https://bench.example/auth/v1"
	secret = "a secret that is long enough for HS256"
)

// serveBare serves what [copyDocuments] stored: one select by primary key, no token, and only the
// headers that describe the body.
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

// client is a connection that is kept open.
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

func closeAll(clients []client) {
	for _, c := range clients {
		c.Close()
	}
}

// encode makes the bytes of the requests beforehand, so that the client's work on them is not
// measured.
func encode(requests []string) (all [][]byte) {
	for _, r := range requests {
		all = append(all, []byte(r))
	}
	return all
}

// load lets every client send requests for this long, each after the answer to the one before, and
// returns the time that each took.
func load(b *testing.B, clients []client, asking []string, d time.Duration) (times []time.Duration) {
	b.Helper()
	requests := encode(asking)
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
				if err := readDocument(c.in); err != nil {
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

// readDocument reads one answer, which has to be a document, with a body of known or
// chunked length.
func readDocument(in *bufio.Reader) error {
	ok, length, err := readHeader(in)
	if err == nil && !ok {
		err = errors.New("the answer is not 200")
	}
	if err != nil || length >= 0 {
		_, discarded := in.Discard(max(0, length))
		return errors.Join(err, discarded)
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

// readHeader reads the status line and the header of an answer: whether it is 200,
// and the length of its body, or -1 when that is chunked.
func readHeader(in *bufio.Reader) (ok bool, length int, err error) {
	length = -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return false, 0, err
		}
		text := bytes.TrimRight(line, "\r\n")
		if first {
			ok = bytes.HasPrefix(text, []byte("HTTP/1.1 200"))
		}
		if len(text) == 0 {
			return ok, length, nil
		}
		if v, found := bytes.CutPrefix(text, []byte("Content-Length: ")); found {
			if length, err = strconv.Atoi(string(v)); err != nil {
				return false, 0, err
			}
		}
	}
}

// loadResult is what several clients measured.
type loadResult struct {
	times   []time.Duration // of each answer
	took    time.Duration   // until the last answer
	refused int
}

func (p *loadResult) add(q loadResult) {
	p.times, p.took, p.refused = append(p.times, q.times...), p.took+q.took, p.refused+q.refused
}

// loadAny is [load] for answers of any length, which may be refusals.
func loadAny(b *testing.B, clients []client, asking []string, d time.Duration) (p loadResult) {
	b.Helper()
	requests := encode(asking)
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for i, c := range clients {
		wg.Go(func() {
			var mine loadResult
			for ; len(mine.times) == 0 || time.Since(began) < d; i++ {
				asked := time.Now()
				if _, err := c.Write(requests[i%len(requests)]); err != nil {
					b.Error(err)
					return
				}
				ok, err := readAnswer(c.in)
				if err != nil {
					b.Error(err)
					return
				}
				mine.times = append(mine.times, time.Since(asked))
				if !ok {
					mine.refused++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			p.add(mine)
		})
	}
	wg.Wait()
	p.took = time.Since(began)
	return p
}

// readAnswer reads one answer with a length, and reports whether it is a document.
func readAnswer(in *bufio.Reader) (ok bool, err error) {
	ok, length, err := readHeader(in)
	if err == nil && length < 0 {
		err = net.ErrClosed
	}
	if err != nil {
		return false, err
	}
	_, err = in.Discard(length)
	return ok, err
}
