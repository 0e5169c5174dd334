package console

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/local/testrun"
)

// follow follows a topic, and gives each fragment that comes.
func (s *stack) follow(t *testing.T, topic string) <-chan string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/events?topic="+topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	out := make(chan string, 100)
	go func() {
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var html string
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &html) == nil && html != "" {
				out <- html
			}
		}
	}()
	return out
}

// TestParkedScreenFollows: pages that are open see what is parked and dismissed by anybody;
// thirty of them cost at most one survey a second, and none while nothing changes.
func TestParkedScreenFollows(t *testing.T) {
	t.Parallel()
	s := newStack(t, func(c *Config) { c.AllowActs = true })
	s.badDeploy(t, 2)
	page := s.get(t, "/parked", http.StatusOK)
	contains(t, page, `data-live="parked"`, "<dt>Counting</dt><dd>20</dd>")
	var followers []<-chan string
	for range 30 {
		followers = append(followers, s.follow(t, "parked"))
	}
	totals := s.follow(t, "parked-totals")
	await := func(from <-chan string, wanted string) {
		t.Helper()
		for end := time.After(time.Minute); ; {
			select {
			case html := <-from:
				if strings.Contains(html, wanted) {
					return
				}
			case <-end:
				t.Fatalf("no fragment with %q has come", wanted)
			}
		}
	}
	s.count.taken()
	began := time.Now()
	for i := range 3 {
		m, err := events.NewUserEmailChanged(meta(fmt.Sprint("more", i)), parkedAccount(0), events.UserEmailChanged{Email: "WRONG"})
		m.Data = []byte(strings.Replace(string(m.Data), `"WRONG"`, `{}`, 1))
		s.publish(t, m, err)
		for _, f := range followers {
			await(f, fmt.Sprintf("<dt>Counting</dt><dd>%d</dd>", 21+i))
		}
	}
	await(totals, "23 messages count and 0 were dismissed")
	surveys := func() (n int) {
		for _, sql := range s.count.taken() {
			if strings.Contains(sql, "reason FROM export_g1.parked") {
				n++
			}
		}
		return n
	}
	most := int(time.Since(began)/lookEvery) + 2
	if n := surveys(); n < 3 || n > most {
		t.Errorf("%d surveys in %v", n, time.Since(began))
	}
	// While nothing changes, nothing is surveyed, and what is dismissed by another way is seen.
	looked := s.c.lastLook().At
	testrun.Eventually(t, "two more looks", func() bool { return s.c.lastLook().At.Sub(looked) > 2*lookEvery })
	if n := surveys(); n > 0 {
		t.Errorf("%d surveys while nothing changed", n)
	}
	took := func(d time.Duration) {
		s.c.parked.mu.Lock()
		defer s.c.parked.mu.Unlock()
		s.c.parked.took = d
	}
	took(time.Hour) // so many messages that it may be read once in ten hours
	if _, err := s.pool.Exec(t.Context(), `INSERT INTO export.dismissals (stream_name, stream_created, position, note)
SELECT stream_name, stream_created, (SELECT min(position) FROM export_g1.parked), 'x' FROM export.generations`); err != nil {
		t.Fatal(err)
	}
	testrun.Eventually(t, "a look sees it", func() bool {
		looked = s.c.lastLook().At
		return s.c.lastLook().Status.Dismissed == 1
	})
	testrun.Eventually(t, "a look after that", func() bool { return s.c.lastLook().At.After(looked) })
	if n := surveys(); n > 0 {
		t.Errorf("%d surveys although one takes an hour", n)
	}
	took(0)
	await(followers[29], "<dt>Dismissed</dt><dd>1</dd>")
	await(totals, "22 messages count and 1 was dismissed")
}
