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
	s, usual, large := newLargeStack(b)
	addr := serveOurs(b, export.NewReader(s.pool))
	for b.Loop() {
		took, sent := map[string]time.Duration{}, map[string]int64{}
		for range turns {
			for _, coding := range codings {
				began := time.Now()
				sent[coding] = download(b, addr, large, coding)
				took[coding] += time.Since(began)
			}
		}
		size := sent["identity"]
		row(b, fmt.Sprintf("GET of %.1f MB, 100,000 sandboxes", float64(size)/1e6), "  MB/s", "  of plain", "  of the size is sent")
		for _, coding := range codings {
			share := took["identity"].Seconds() / took[coding].Seconds()
			row(b, "  "+coding, fmt.Sprintf("%6.0f", float64(size)*turns/took[coding].Seconds()/1e6),
				fmt.Sprintf("%6.0f %%", 100*share), fmt.Sprintf("%6.1f %%", 100*float64(sent[coding])/float64(size)))
			b.ReportMetric(share, coding+"-of-plain")
		}
		requests, answers, length := map[string][]string{}, map[string]int{}, map[string]int64{}
		for _, coding := range codings {
			for _, id := range usual {
				requests[coding] = append(requests[coding], getExport(b, id, "Accept-Encoding: "+coding))
			}
			length[coding] = download(b, addr, usual[0], coding)
		}
		kept := dial(b, addr, clients)
		for range 2 * turns {
			for _, coding := range codings {
				answers[coding] += len(load(b, kept, requests[coding], 500*time.Millisecond))
			}
		}
		closeAll(kept)
		row(b, fmt.Sprintf("GET of %d bytes, 8 clients", length["identity"]), "          rate", "     of plain", "  of the size is sent")
		for _, coding := range codings {
			row(b, "  "+coding, rate(answers[coding], turns*time.Second), fmt.Sprintf("%6.0f %%", 100*float64(answers[coding])/float64(answers["identity"])),
				fmt.Sprintf("%6.1f %%", 100*float64(length[coding])/float64(length["identity"])))
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
