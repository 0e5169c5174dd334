package bench

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel/export"
	"accountexport/readmodel/segments"
)

// codings are the content codings that are compared.
var codings = []string{"identity", "gzip", "zstd"}

// BenchmarkCodings measures GET of a document of 100,000 sandboxes, and of ordinary ones, plain and
// compressed, in turns. Rates are of the document and not of what is sent.
func BenchmarkCodings(b *testing.B) {
	const turns, clients = 5, 8
	r := newReport(b, "GET compressed")
	s, usual, large := newLargeStack(b)
	addr := serveOurs(b, export.NewReader(s.pool))
	for b.Loop() {
		for range turns {
			var plain time.Duration
			var size int64
			for _, coding := range codings { // identity first
				began := time.Now()
				sent := download(b, addr, large, coding)
				took := time.Since(began)
				if coding == "identity" {
					plain, size = took, sent
				}
				of := "100,000 sandboxes, " + coding
				r.add(of, "MB/s", float64(size)/took.Seconds()/1e6)
				r.add(of+": share of plain", "%", 100*plain.Seconds()/took.Seconds())
				r.add(of+": sent of its size", "%", 100*float64(sent)/float64(size))
			}
		}
		requests, length := map[string][]string{}, map[string]int64{}
		for _, coding := range codings {
			for _, id := range usual {
				requests[coding] = append(requests[coding], getExport(b, id, "Accept-Encoding: "+coding))
			}
			length[coding] = download(b, addr, usual[0], coding)
		}
		kept := dial(b, addr, clients)
		for range 2 * turns {
			plain := 0
			for _, coding := range codings {
				n := len(load(b, kept, requests[coding], 500*time.Millisecond))
				if coding == "identity" {
					plain = n
				}
				of := fmt.Sprintf("ordinary, %d clients, %s", clients, coding)
				r.add(of, "thousand/s", perSecond(n, 500*time.Millisecond)/1000)
				r.add(of+": share of plain", "%", 100*float64(n)/float64(plain))
			}
		}
		closeAll(kept)
		for _, coding := range codings {
			r.add("ordinary, "+coding+": sent of its size", "%", 100*float64(length[coding])/float64(length["identity"]))
		}
	}
}

// BenchmarkStored measures GET of a document of 100,000 sandboxes in turns: plain,
// compressed as it is read, and put together of what is stored compressed. None of them
// finds the document in memory. Then what it costs to store it so.
func BenchmarkStored(b *testing.B) {
	turns := size(9, 5)
	s, _, large := newLargeStack(b)
	addr := serveOurs(b, export.NewReader(s.pool))
	r := newReport(b, "GET compressed, as stored")
	execute := func(sql string) {
		b.Helper()
		if _, err := s.pool.Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
	read := func(what, coding string) (sent int64) {
		time.Sleep(1500 * time.Millisecond) // what was read is not kept for longer than a second
		began := time.Now()
		sent = download(b, addr, large, coding)
		r.add(what, "MB/s", 37.9/time.Since(began).Seconds())
		return sent
	}
	execute(`UPDATE export.checkpoints SET owner = 'bench'`)
	for b.Loop() {
		for range turns {
			execute(`TRUNCATE export_g1.account_export_segments`)
			read("plain", "identity")
			read("zstd on the way", "zstd")
			onTheWay := read("gzip on the way", "gzip")
			compressed := 0
			w := segments.NewWalker(s.pool, "bench", 1<<50, func(n int) { compressed += n })
			w.Resting = 0
			began := time.Now()
			for end := false; !end; {
				var err error
				if end, err = w.Next(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			r.add("compressing pages at rest", "MB/s", float64(compressed)/1e6/time.Since(began).Seconds())
			execute(`VACUUM ANALYZE export_g1.account_export_segments`)
			stored := read("gzip as stored", "gzip")
			read("plain, with segments beside", "identity")
			r.add("sent as stored, of on the way", "%", 100*float64(stored)/float64(onTheWay))
			var disk float64
			if err := s.pool.QueryRow(b.Context(), `
SELECT 100.0 * pg_total_relation_size('export_g1.account_export_segments') / (pg_total_relation_size('export_g1.account_export_pages')
    + pg_total_relation_size('export_g1.account_export_items') + pg_total_relation_size('export_g1.account_export'))`).Scan(&disk); err != nil {
				b.Fatal(err)
			}
			r.add("disk, of what the account has", "%", disk)
		}
	}
}

// download is how many bytes of a body are sent.
func download(b *testing.B, addr string, account events.UUID, coding string) int64 {
	b.Helper()
	c := dial(b, addr, 1)
	defer closeAll(c)
	if _, err := io.WriteString(c[0], getExport(b, account, "Accept-Encoding: "+coding)); err != nil {
		b.Fatal(err)
	}
	resp, err := http.ReadResponse(c[0].in, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || coding != "identity" && resp.Header.Get("Content-Encoding") != coding {
		b.Fatalf("%d %v %v", resp.StatusCode, resp.Header, err)
	}
	return n
}
