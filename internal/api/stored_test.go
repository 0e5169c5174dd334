package api

import (
	"strconv"
	"strings"
	"testing"

	"accountexport/events"
	"accountexport/readmodel/export"
	compressing "accountexport/readmodel/segments"
)

// TestStoredCoding: a large document that is stored compressed is sent as it is stored
// to whoever takes gzip no less than anything else, whole, with its length, and with the
// headers that it has otherwise; others get what they prefer. Ordinary documents, and
// those that are not stored so, are as before.
func TestStoredCoding(t *testing.T) {
	pool := database(t)
	account, small := events.UUID{31}, events.UUID{32}
	paged(t, pool, account, 300, 4000)
	paged(t, pool, small, 30, 4000)
	ask := func(account events.UUID, method string, headers ...string) answer {
		t.Helper()
		a := start(t, export.NewReader(pool)) // which knows nothing of earlier requests
		return a.ask(t, method, exportPath, append([]string{"Authorization", bearer(t, account)}, headers...)...)
	}
	plain := ask(account, "GET")
	before := ask(account, "GET", "Accept-Encoding", "gzip, zstd")
	if before.header.Get("Content-Encoding") != "zstd" || before.header.Get("Content-Length") != "" {
		t.Errorf("before it is stored: %v", before.header)
	}
	if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET owner = 'one'`); err != nil {
		t.Fatal(err)
	}
	w := compressing.NewWalker(pool, "one", 1<<40, func(int) {})
	w.Resting = 0
	if _, err := w.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for accept, coding := range map[string]string{
		"gzip": "gzip", "gzip, zstd": "gzip", "zstd, *": "gzip", "identity;q=0, gzip;q=0.1": "gzip",
		"zstd": "zstd", "gzip;q=0.9, zstd": "zstd", "": "", "identity, gzip;q=0.5": "", "*": "",
	} {
		got := ask(account, "GET", "Accept-Encoding", accept)
		if got.status != 200 || got.header.Get("Content-Encoding") != coding {
			t.Errorf("%q: %d, %v", accept, got.status, got.header)
			continue
		}
		body := got.body
		if coding != "" {
			body = string(decoded(t, coding, []byte(body)))
		}
		stored := coding == "gzip"
		if body != plain.body || stored && (got.header.Get("Content-Length") != strconv.Itoa(len(got.body)) || got.header.Get("Accept-Ranges") != "") {
			t.Errorf("%q: %d bytes of %d, %v", accept, len(body), len(plain.body), got.header)
		}
		if stored && got.header.Get("Etag") != "W/"+plain.header.Get("Etag") || strings.Join(got.header["Vary"], ",") != strings.Join(plain.header["Vary"], ",") {
			t.Errorf("%q: %v, plain %v", accept, got.header, plain.header)
		}
		head := ask(account, "HEAD", "Accept-Encoding", accept)
		for name := range got.header {
			if name != "Date" && name != "X-Request-Id" && name != "Transfer-Encoding" && head.header.Get(name) != got.header.Get(name) {
				t.Errorf("%q: HEAD has %s %q, GET %q", accept, name, head.header.Get(name), got.header.Get(name))
			}
		}
	}
	whole := ask(account, "GET", "Accept-Encoding", "gzip", "Range", "bytes=10-20")
	if whole.status != 200 || string(decoded(t, "gzip", []byte(whole.body))) != plain.body {
		t.Errorf("a range of the stored body: %d, %v", whole.status, whole.header)
	}
	if part := ask(account, "GET", "Range", "bytes=10-20"); part.status != 206 || part.body != plain.body[10:21] {
		t.Errorf("a range of plain JSON: %d %q", part.status, part.body)
	}
	if same := ask(account, "GET", "Accept-Encoding", "gzip", "If-None-Match", plain.header.Get("Etag")); same.status != 304 {
		t.Errorf("unchanged: %d", same.status)
	}
	if got := ask(small, "GET", "Accept-Encoding", "gzip, zstd"); got.header.Get("Content-Encoding") != "zstd" {
		t.Errorf("an ordinary document: %v", got.header)
	}
}
