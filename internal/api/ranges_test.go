package api

import (
	"fmt"
	"testing"

	"accountexport/events"
	"accountexport/readmodel/export"
)

// TestRanges: single ranges of uncompressed documents, of those that one statement
// reads and of one of which only some pages are read.
func TestRanges(t *testing.T) {
	const none = "none"
	pool := database(t)
	a := start(t, export.NewReader(pool))
	medium, large := events.UUID{20}, events.UUID{21}
	paged(t, pool, medium, 25, 4000)
	paged(t, pool, large, 300, 4000)
	for _, account := range []events.UUID{complete, medium, large} {
		whole := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account))
		size, etag := len(whole.body), whole.header.Get("Etag")
		end := fmt.Sprint(size)
		for _, test := range []struct {
			ranges, condition string // empty condition: no If-Range
			from, to          int    // of 206; both 0 for the whole document with 200
		}{
			{"bytes=0-0", none, 0, 1},
			{"bytes=0-", none, 0, size},
			{"BYTES=5-9", none, 5, 10},
			{"bytes=100-200000", none, 100, min(size, 200_001)},
			{"bytes=-1", none, size - 1, size},
			{"bytes=-900", none, size - 900, size},
			{"bytes=-99999999999999999999", none, 0, size},
			{"bytes=7-99999999999999999999", etag, 7, size},
			{"bytes=" + fmt.Sprint(size-1) + "-" + end, none, size - 1, size},
			{"bytes=0-1,4-5", none, 0, 0},
			{"bytes=5-4", none, 0, 0},
			{"bytes=-", none, 0, 0},
			{"bytes=a-b", none, 0, 0},
			{"bytes 0-1", none, 0, 0},
			{"lines=0-1", none, 0, 0},
			{"bytes=0-1", `"1.0-1-1"`, 0, 0},
			{"bytes=0-1", "", 0, 0},
			{"bytes=0-1", "W/" + etag, 0, 0},
			{"bytes=0-1", "Wed, 25 Nov 2026 00:00:00 GMT", 0, 0},
		} {
			headers := []string{"Authorization", bearer(t, account), "Range", test.ranges}
			if test.condition != none {
				headers = append(headers, "If-Range", test.condition)
			}
			got := a.ask(t, "GET", exportPath, headers...)
			status, span := 200, ""
			if test.to > 0 {
				status, span = 206, fmt.Sprintf("bytes %d-%d/%d", test.from, test.to-1, size)
			} else {
				test.to = size
			}
			if got.status != status || got.body != whole.body[test.from:test.to] || got.header.Get("Content-Range") != span ||
				got.header.Get("Etag") != etag || got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
				t.Errorf("%d bytes, %q, %q: %d, %d bytes, %q", size, test.ranges, test.condition, got.status, len(got.body), got.header.Get("Content-Range"))
			}
			head := a.ask(t, "HEAD", exportPath, headers...)
			if head.status != 200 || head.header.Get("Content-Length") != end || head.header.Get("Content-Range") != "" {
				t.Errorf("HEAD with %q: %d %v", test.ranges, head.status, head.header)
			}
		}
		for _, beyond := range []string{"bytes=" + end + "-", "bytes=-0"} {
			got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", beyond)
			checkProblem(t, got, 416, "range-not-satisfiable")
			if got.header.Get("Content-Range") != "bytes */"+end {
				t.Errorf("%q: %q", beyond, got.header.Get("Content-Range"))
			}
		}
		if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", "bytes=0-1", "If-None-Match", etag); got.status != 304 {
			t.Errorf("a range of what is known: %d", got.status)
		}
		checkProblem(t, a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", "bytes=0-1", "If-Match", `"1.0-1-1"`), 412, "precondition-failed")
		if got := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", "bytes=0-1", "If-Match", etag); got.status != 206 {
			t.Errorf("a range of what it is: %d", got.status)
		}
		coded := a.ask(t, "GET", exportPath, "Authorization", bearer(t, account), "Range", "bytes=0-1", "Accept-Encoding", "gzip")
		if coded.status != 200 || coded.header.Get("Etag") != "W/"+etag || string(decoded(t, "gzip", []byte(coded.body))) != whole.body {
			t.Errorf("a range of a coded answer: %d %v", coded.status, coded.header)
		}
	}
}
