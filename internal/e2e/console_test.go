package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/internal/local/tcpproxy"
)

// TestConsoleOutlivesItsServers: a console that is started before NATS and the database
// answer says for what it waits, and goes on by itself. A page that follows is told what is
// away and since when, and goes on by itself as well. SIGTERM ends the program within
// SHUTDOWN_TIMEOUT, whatever is followed and whatever act is under way.
func TestConsoleOutlivesItsServers(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.startProjector(t)
	database := tcpproxy.ForTest(t, s.databaseAddr())
	nats := tcpproxy.ForTest(t, strings.TrimPrefix(s.nats.URL(), "nats://"))
	database.Refuse(true)
	nats.Refuse(true)
	settings := maps.Clone(s.settings)
	settings["DATABASE_URL"], settings["NATS_URL"] = s.databaseThrough(t, database), "nats://"+nats.Addr()
	settings["CONSOLE_ADDR"], settings["SHUTDOWN_TIMEOUT"] = freeAddr(t), "4s"
	console, url := launch(t, "projector", settings, "console", "--allow-acts"), "http://"+settings["CONSOLE_ADDR"]

	eventually(t, "the console to say for what it waits", time.Minute, func(ctx context.Context) error {
		status, header, body, err := get(ctx, url+"/", "")
		if err != nil || status != http.StatusServiceUnavailable || header.Get("Refresh") == "" || !strings.Contains(string(body), "It waits for NATS at nats://"+nats.Addr()) {
			return fmt.Errorf("status %d, %v, %v: %s", status, header, err, body)
		}
		return nil
	})
	for path, want := range map[string]int{"/livez": http.StatusOK, "/api/overview": http.StatusServiceUnavailable, "/assets/console.css": http.StatusOK} {
		if status, _, body, err := get(t.Context(), url+path, ""); err != nil || status != want {
			t.Errorf("%s: status %d, %v: %s", path, status, err, body)
		}
	}

	news := followConsole(t, url)
	nats.Refuse(false)
	away := func(what string) {
		t.Helper()
		waitNews(t, news, what+" to be away", func(html string) bool {
			return strings.Contains(html, `role="alert"`) && strings.Contains(html, "since 20")
		})
	}
	back := func(what string) {
		t.Helper()
		waitNews(t, news, what+" to be back", func(html string) bool { return strings.Contains(html, `id="partitions"`) })
	}
	away("the database")
	database.Refuse(false)
	back("the database")
	for what, network := range map[string]*tcpproxy.Proxy{"the database": database, "NATS": nats} {
		network.Refuse(true)
		network.Cut()
		away(what)
		network.Refuse(false)
		back(what)
	}

	database.Stall() // so that an act does not end
	status, body := ask(t, url+"/api/acts/pause")
	if status != http.StatusAccepted {
		t.Errorf("an act of which the database does not answer: status %d: %s", status, body)
	}
	console.signal(syscall.SIGTERM)
	ended := make(chan int, 1)
	go func() { ended <- console.wait() }()
	select {
	case exit := <-ended:
		if exit != 0 {
			t.Errorf("exit status %d", exit)
		}
	case <-time.After(patience(20 * time.Second)):
		t.Error("SIGTERM has not ended it, with a SHUTDOWN_TIMEOUT of 4 s")
	}
	database.Resume()
}

// ask asks for an act.
func ask(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(`{"note":"a test"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// followConsole follows the overview, as a page does, until the test ends; the channel has
// the fragments that have changed.
func followConsole(t *testing.T, url string) <-chan string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/events?topic=overview", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("following: status %d", resp.StatusCode)
	}
	news := make(chan string, 1000)
	go func() {
		defer close(news)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			var html string
			if data, is := strings.CutPrefix(in.Text(), "data: "); is && json.Unmarshal([]byte(data), &html) == nil && html != "" {
				news <- html
			}
		}
	}()
	return news
}

func waitNews(t *testing.T, news <-chan string, what string, is func(html string) bool) {
	t.Helper()
	limit, last := time.After(patience(time.Minute)), ""
	for {
		select {
		case html, open := <-news:
			if !open {
				t.Fatalf("waiting for %s: the console has ended what the page follows", what)
			}
			if last = html; is(html) {
				t.Logf("%s: %.300s", what, html)
				return
			}
		case <-limit:
			t.Fatalf("waiting for %s: the last was %s", what, last)
		}
	}
}
