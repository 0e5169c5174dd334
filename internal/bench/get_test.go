package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/api"
	"accountexport/internal/auth"
	"accountexport/internal/auth/authtest"
	"accountexport/projections"
	"accountexport/readmodel"
)

const (
	issuer = "https://bench.example/auth/v1"
	secret = "a secret that is long enough for HS256"
)

// BenchmarkGet measures GET /v1/account/export with a token check, against a
// bare handler that selects one row with the same document by primary key.
func BenchmarkGet(b *testing.B) {
	const accounts = 200
	s := newStack(b)
	ids := publishAccounts(b, s, accounts)
	stop := s.run(b, projections.Options{})
	info, err := s.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	s.reached(b, info.Last)
	stop()

	exports := readmodel.NewExports(s.pool)
	size := copyDocuments(b, s, exports, ids)
	verifier, err := auth.New(auth.Config{Issuer: issuer, Audience: "authenticated", Secret: secret}, quiet())
	if err != nil {
		b.Fatal(err)
	}
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := events.ParseUUID(r.URL.Query().Get("id"))
		var doc []byte
		if err := s.pool.QueryRow(r.Context(), `SELECT document FROM bare WHERE account_id = $1`, [16]byte(id)).Scan(&doc); err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(doc)
	}))
	defer bare.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ours := api.NewServer(api.New(api.Config{Exports: exports, Verifier: verifier}), time.Minute, quiet())
	go func() { _ = ours.Serve(api.Listen(listener, 100)) }()
	defer ours.Close()

	var bareRequests, ourRequests []string
	for _, id := range ids {
		token, err := authtest.Mint(secret, issuer, id, "someone@example.org", time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		bareRequests = append(bareRequests, "GET /?id="+id.String()+" HTTP/1.1\r\nHost: bench\r\n\r\n")
		ourRequests = append(ourRequests, "GET /v1/account/export HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer "+token+"\r\n\r\n")
	}
	for b.Loop() {
		var bareN, ourN int
		var bareT, ourT []time.Duration
		for range 3 { // in turns, so that both meet the same neighbours
			n, t := load(b, bare.Listener.Addr().String(), bareRequests, 2*time.Second)
			bareN, bareT = bareN+n, append(bareT, t...)
			n, t = load(b, listener.Addr().String(), ourRequests, 2*time.Second)
			ourN, ourT = ourN+n, append(ourT, t...)
		}
		row(b, "bare select by primary key", rate(bareN, 6*time.Second), "p99 "+percentile(bareT, 0.99).String())
		row(b, fmt.Sprintf("GET export, %d bytes", size), rate(ourN, 6*time.Second), "p99 "+percentile(ourT, 0.99).String())
		share := float64(ourN) / float64(bareN)
		tail := percentile(ourT, 0.99).Seconds() / percentile(bareT, 0.99).Seconds()
		row(b, "  share of bare (aim: 90 %)", fmt.Sprintf("%.0f %%", share*100), fmt.Sprintf("p99 × %.2f", tail))
		b.ReportMetric(share, "of-bare")
		b.ReportMetric(tail, "p99-of-bare")
	}
}

// load sends requests over 8 kept connections and counts the answers.
func load(b *testing.B, addr string, requests []string, d time.Duration) (n int, times []time.Duration) {
	b.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for c := range 8 {
		wg.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close()
			in := bufio.NewReaderSize(conn, 16<<10)
			var mine []time.Duration
			for i := c; time.Now().Before(end); i++ {
				began := time.Now()
				if _, err := io.WriteString(conn, requests[i%len(requests)]); err != nil {
					b.Error(err)
					return
				}
				if err := answer(in); err != nil {
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
	return len(times), times
}

// answer reads one response with a body of known or chunked length.
func answer(in *bufio.Reader) error {
	length := -1
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text := strings.TrimSpace(string(line))
		if first && !strings.HasPrefix(text, "HTTP/1.1 200") {
			return fmt.Errorf("answer: %s", text)
		}
		if text == "" {
			break
		}
		if v, ok := strings.CutPrefix(text, "Content-Length: "); ok {
			if _, err := fmt.Sscan(v, &length); err != nil {
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
