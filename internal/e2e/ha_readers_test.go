package e2e

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"accountexport/events"
)

// haReader reads documents of one API in turns, as its clients do.
type haReader struct {
	mu       sync.Mutex
	answers  map[int]int
	back     map[events.UUID]uint64 // by how many positions an account's document went back
	lastOK   time.Time
	longest  time.Duration // without a document
	unusable []string      // answers that no client should get
}

// read reads from an API until the returned function is called, which waits for the reader's end.
func (h *haSystem) read(t *testing.T, url string) (r *haReader, end func()) {
	t.Helper()
	r = &haReader{answers: map[int]int{}, back: map[events.UUID]uint64{}, lastOK: time.Now()}
	ids := h.completeAccounts(t)
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = mintToken(t, id)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		highest := map[events.UUID]uint64{}
		for n := 0; ctx.Err() == nil; n++ {
			id := ids[n%len(ids)]
			status, header, body, err := get(ctx, url, tokens[n%len(ids)])
			if ctx.Err() != nil {
				return
			}
			position, _ := strconv.ParseUint(header.Get("Export-Position"), 10, 64)
			r.mu.Lock()
			r.answers[status]++
			switch {
			case err != nil, status != http.StatusOK && status != http.StatusServiceUnavailable && status != http.StatusGone:
				r.unusable = append(r.unusable, strconv.Itoa(status)+" "+string(body[:min(len(body), 200)]))
			case status == http.StatusOK:
				r.longest, r.lastOK = max(r.longest, time.Since(r.lastOK)), time.Now()
				if position < highest[id] {
					r.back[id] = max(r.back[id], highest[id]-position)
				}
				highest[id] = max(highest[id], position)
			}
			r.mu.Unlock()
			_ = sleep(ctx, 5*time.Millisecond)
		}
	})
	return r, func() {
		stop()
		all.Wait()
	}
}

// readAll reads from every API. end ends that, reports answers that nobody should get, and
// returns how many documents went back.
func (h *haSystem) readAll(t *testing.T) (end func() (back int)) {
	t.Helper()
	var readers []*haReader
	var ends []func()
	for _, url := range h.apis {
		r, end := h.read(t, url)
		readers, ends = append(readers, r), append(ends, end)
	}
	return func() (back int) {
		t.Helper()
		for i, r := range readers {
			ends[i]()
			if len(r.unusable) > 0 {
				t.Errorf("API %d answered %d times so that nobody can use it, at first %s", i+1, len(r.unusable), r.unusable[0])
			}
			if r.answers[http.StatusOK] == 0 {
				t.Errorf("API %d served nobody", i+1)
			}
			back += len(r.back)
			t.Logf("API %d: answers %v, the longest without a document %.1f s, documents that went back %v", i+1, r.answers, r.longest.Seconds(), r.back)
		}
		return back
	}
}

// checkReached requires that a document is no older than the position that was asked for.
func checkReached(t *testing.T, header http.Header, position uint64) {
	t.Helper()
	if at, err := strconv.ParseUint(header.Get("Export-Position"), 10, 64); err != nil || at < position {
		t.Errorf("who asked for %d was given %q", position, header.Get("Export-Position"))
	}
}
