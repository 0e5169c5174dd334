package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/console"
	"accountexport/internal/local/natsserver"
	"accountexport/internal/local/postgres"
	"accountexport/internal/local/testrun"
	"accountexport/internal/stream"
	"accountexport/readmodel"
)

// TestCommandsOfTheConsolesParkedScreen: each command that the console shows for parked
// messages, typed into a shell as it stands, is right, and is of as many messages as the
// page says.
func TestCommandsOfTheConsolesParkedScreen(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	database, nats := postgres.TestDatabase(t), natsserver.ForTest(t).URL()
	environ := []string{"DATABASE_URL=" + database, "NATS_URL=" + nats, "ADMIN_ADDR=127.0.0.1:0", "LOG_LEVEL=error"}
	call := func(args ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), args, environ, &stdout, &stderr)
		return status, stdout.String() + stderr.String()
	}
	if status, out := call("provision"); status != 0 {
		t.Fatal(out)
	}
	running, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(running, []string{"run"}, environ, io.Discard, io.Discard) }()
	defer func() { stop(); <-ended }()

	client, err := stream.Connect(t.Context(), stream.Config{URL: nats, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	subject := events.AccountSubject(events.UUID{15: 1})
	const head = `{"specversion":"1.0","id":"1","source":"/x","time":"2026-03-25T07:11:48Z",`
	var last uint64
	for _, m := range []events.Message{
		{Subject: subject, Data: []byte(head + `"type":"controlplane.user.email_changed.v1","data":{"email":{}}}`)},
		{Subject: subject, Data: []byte(head + `"type":"controlplane.user.email_changed.v1","data":{"email":""}}`)},
		{Subject: subject, Data: []byte(head + `"type":"controlplane.user.restored.v1","source":"","data":{}}`)},
		{Subject: subject, Data: []byte(strings.Replace(head, "2026", "then", 1) + `"type":"it's $(false) a \"type\" that ; nobody knows","data":{}}`)},
		{Subject: subject, Data: []byte("hello")},
		{Subject: "controlplane.account.nobody", Data: []byte(`{}`)},
	} {
		if last, err = client.PublishRaw(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	testrun.Eventually(t, "everything is projected", func() bool {
		g, err := readmodel.LiveGeneration(t.Context(), pool)
		if err != nil {
			return false
		}
		lowest, err := readmodel.LowestPosition(t.Context(), pool, g.Number)
		return err == nil && lowest >= last
	})
	for _, privacy := range []console.Privacy{console.Masked, console.Full} {
		t.Run(string(privacy), func(t *testing.T) {
			c, err := console.New(console.Config{Pool: pool, User: "tester", Privacy: privacy, Connect: func(context.Context) (acts.Target, error) {
				return acts.Target{}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			var all parkedJSON
			all.read(t, c, "/api/parked")
			if len(all.Groups) < 5 {
				t.Fatalf("%d groups", len(all.Groups))
			}
			pages := []string{"/api/parked", "/api/parked?view=list", fmt.Sprintf("/api/parked/%d", last), "/api/parked?since=2h", "/api/parked?type=user.restored.v1&from=2"}
			for _, g := range all.Groups {
				pages = append(pages, "/api"+g.Link)
			}
			calls := 0
			for _, page := range pages { // what one page has dismissed, the next one takes back
				var v parkedJSON
				v.read(t, c, page)
				for _, a := range v.Acts {
					if a.Page != "" {
						var confirm parkedJSON
						confirm.read(t, c, "/api"+a.Page)
						if confirm.Command != a.Command {
							t.Errorf("%s shows `%s`, and its page of confirmation `%s`", page, a.Command, confirm.Command)
						}
					}
					args := shellWords(t, a.Command)
					status, out := call(args[1:]...)
					if calls++; args[0] != "projector" || status != 0 {
						t.Errorf("%s shows `%s`, which ends with %d: %s", page, a.Command, status, out)
					}
					if page == "/api/parked" && a.Act == "parked-dismiss" && !strings.Contains(out, fmt.Sprintf("%d of %[1]d parked messages are dismissed", v.Figures.Messages)) {
						t.Errorf("`%s` is not of %d messages: %s", a.Command, v.Figures.Messages, out)
					}
				}
			}
			if _, out := call("parked", "undismiss", "--all", "--note", "for the next"); !strings.Contains(out, "are no longer dismissed") {
				t.Error(out)
			}
			if calls < 15 {
				t.Errorf("%d commands were shown", calls)
			}
		})
	}
}

// parkedJSON is what the test reads of the console's JSON.
type parkedJSON struct {
	Command string
	Figures struct{ Messages int64 }
	Groups  []struct{ Link string }
	Acts    []struct{ Act, Page, Command string }
}

func (v *parkedJSON) read(t *testing.T, c *console.Console, path string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1"+path, nil)
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), v); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %v: %s", path, w.Code, err, w.Body)
	}
}

// shellWords are the words of a command, as a shell reads them.
func shellWords(t *testing.T, command string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\0' `+command).Output()
	words := strings.Split(string(out), "\x00")
	if err != nil || len(words) < 3 {
		t.Fatalf("`%s` cannot be typed: %v", command, err)
	}
	return words[:len(words)-1]
}
