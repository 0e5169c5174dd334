package bench

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/readmodel/export"
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
