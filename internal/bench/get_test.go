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
	r := newReport(b, "GET of an ordinary document")
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
		r.add("size", "bytes", float64(size))
		for _, clients := range []int{1, 8, 64} {
			left, right := dial(b, bare, clients), dial(b, ours, clients)
			load(b, left, bareRequests, turn) // warm
			load(b, right, ourRequests, turn)
			of := fmt.Sprintf("%d clients: ", clients)
			for range turns {
				bareT, ourT := load(b, left, bareRequests, turn), load(b, right, ourRequests, turn)
				r.add(of+"bare handler", "thousand/s", perSecond(len(bareT), turn)/1000)
				r.add(of+"GET export", "thousand/s", perSecond(len(ourT), turn)/1000)
				r.add(of+"share (aim: 95)", "%", 100*float64(len(ourT))/float64(len(bareT)))
				p99, ourP99 := percentile(bareT, 0.99), percentile(ourT, 0.99)
				r.add(of+"p99 of the bare handler", "ms", milliseconds(p99))
				r.add(of+"p99", "ms", milliseconds(ourP99))
				r.add(of+"p99 over the bare handler's (aim: 1.2)", "×", ourP99.Seconds()/p99.Seconds())
			}
			closeAll(left)
			closeAll(right)
		}
	}
}
