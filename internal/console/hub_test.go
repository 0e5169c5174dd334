package console

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"accountexport/internal/acts"
	"accountexport/internal/local/testrun"
)

// TestWhatHasFailedMayBeOver: whoever opens a page some time after a look has failed, as
// where the console was there before the projector, is shown what the next one finds.
func TestWhatHasFailedMayBeOver(t *testing.T) {
	h := newHub(func(context.Context) (*acts.Status, error) { return &acts.Status{}, nil }, func(_ string, do func() error) error { return do() })
	long := time.Now().Add(-5 * time.Second)
	h.last = &look{Began: long, At: long, Err: errWaiting}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		<-h.wake // by whoever opens the page
		h.run(ctx)
	})
	l, err := h.current(ctx)
	if err != nil || l.Err != nil || l.Status == nil {
		t.Errorf("the page shows %+v, %v", l, err)
	}
	cancel()
	running.Wait()
}

// TestTwoHundredConsolesCostOneLookASecond: by the statements that reach the database,
// while two hundred pages follow over real connections and as many are opened. Each of
// those that follow has all news.
func TestTwoHundredConsolesCostOneLookASecond(t *testing.T) {
	const consoles = 200
	s := newStack(t)
	var news [consoles]atomic.Int64
	var following, done sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	failed := make(chan error, 2*consoles)
	var open [consoles]*http.Response
	s.count.taken()
	began := time.Now()
	for i := range consoles {
		following.Go(func() {
			resp, err := client.Get(s.url + "/events?topic=overview")
			if err != nil {
				failed <- err
				return
			}
			open[i] = resp
			done.Go(func() {
				in := bufio.NewScanner(resp.Body)
				in.Buffer(nil, 1<<20)
				for in.Scan() {
					if strings.HasPrefix(in.Text(), "data: ") {
						news[i].Add(1)
					}
				}
			})
		})
	}
	following.Wait()
	t.Cleanup(done.Wait)
	for _, resp := range open {
		if resp != nil {
			t.Cleanup(func() { resp.Body.Close() })
		}
	}
	if len(failed) > 0 {
		t.Fatalf("%d pages cannot follow: %v", len(failed), <-failed)
	}
	all := func(n int64) func() bool {
		return func() bool {
			for i := range news {
				if news[i].Load() < n {
					return false
				}
			}
			return true
		}
	}
	testrun.Eventually(t, "all have the first news", all(1))

	var loading sync.WaitGroup
	for range consoles {
		loading.Go(func() {
			resp, err := client.Get(s.url + "/")
			if err == nil {
				_, err = readAll(resp)
			}
			if err != nil {
				failed <- err
			}
		})
	}
	loading.Wait()
	testrun.Eventually(t, "all have more news", all(4))
	seconds := time.Since(began).Seconds()
	// Each look asks once who is a member.
	looks, statements := 0, s.count.taken()
	for _, statement := range statements {
		if strings.Contains(statement, "FROM export.members m ORDER BY") {
			looks++
		}
	}
	if len(failed) > 0 {
		t.Errorf("%d pages were not loaded: %v", len(failed), <-failed)
	}
	if most := int(1.2*seconds) + 1; looks == 0 || looks > most { // one had begun before
		t.Errorf("%d looks within %.1f s, by %d pages that follow and %d that were opened: %d are the most", looks, seconds, consoles, consoles, most)
	}
	if len(statements) > 24*(looks+1) {
		t.Errorf("%d statements within %d looks: pages that are opened, or that follow, make statements of their own:\n%s",
			len(statements), looks, strings.Join(statements, "\n"))
	}
	t.Logf("%d statements and %d looks within %.1f s", len(statements), looks, seconds)
}

// TestTopicsAreBounded: there is one name for each topic, which is rendered once after each
// look, and no more pages follow than there is room for.
func TestTopicsAreBounded(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	for _, topic := range []string{"overview:1", "parked:x", "generations:", "generation", "generation:01", "generation:x", "job:none", "none"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // what is followed does not end
		if w := s.as(ctx, "", http.MethodGet, "/events?topic="+topic, ""); w.Code != http.StatusBadRequest {
			t.Errorf("topic %q: status %d", topic, w.Code)
		}
		cancel()
	}
	s.c.hub.mu.Lock()
	s.c.hub.most = 1
	s.c.hub.mu.Unlock()
	s.fragments(t, "generation:7", "it follows, and nobody else may", func(html string) bool {
		answer := s.get(t, "/events?topic=overview", http.StatusServiceUnavailable)
		return strings.Contains(html, "There is no generation 7") || strings.Contains(answer, "It serves 1 at once")
	})
	testrun.Eventually(t, "there is room again", func() bool {
		s.c.hub.mu.Lock()
		defer s.c.hub.mu.Unlock()
		return len(s.c.hub.viewers) == 0
	})
}
