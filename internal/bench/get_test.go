package bench

import (
	"fmt"
	"testing"
	"time"

	"accountexport/readmodel/export"
)

// BenchmarkGet measures GET /v1/account/export with a token check, against a bare handler that
// selects one row with the same document by primary key. The two take turns of half a second, so
// that both share the machine with the same neighbours. The API writes its log to the null device.
func BenchmarkGet(b *testing.B) {
	const accounts, turn = 200, 500 * time.Millisecond
	turns := size(16, 4)
	s := newStack(b)
	ids := publishAccounts(b, s, accounts)
	s.projectAll(b)

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
			closeAll(left)
			closeAll(right)
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
