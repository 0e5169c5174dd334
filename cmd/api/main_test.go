package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/postgres"
	"accountexport/readmodel"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

const secret = "super-secret-jwt-token-with-at-least-32-characters-long"

func get(t *testing.T, url, token string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestRunServesUntilItIsTold(t *testing.T) {
	url := postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, stdout := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"run", "--http-addr=127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, []string{"DATABASE_URL=" + url,
			"SUPABASE_URL=http://localhost:54321", "JWT_SECRET=" + secret, "LOG_LEVEL=info"}, stdout)
		stdout.Close()
		done <- err
	}()
	lines := bufio.NewScanner(log)
	if !lines.Scan() {
		t.Fatal(<-done)
	}
	var said struct{ HTTP, Admin string }
	if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
		t.Fatal(err)
	}
	rest := make(chan struct{})
	go func() {
		defer close(rest)
		for lines.Scan() {
		}
	}()

	if status, body := get(t, "http://"+said.Admin+"/readyz", ""); status != 503 || !strings.Contains(body, "database: ") {
		t.Errorf("without a generation: %d %s", status, body)
	}
	token, err := authtest.Mint(secret, "http://localhost:54321/auth/v1", events.UUID{1}, "a@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, "http://"+said.HTTP+"/v1/account/export", token); status != 503 {
		t.Errorf("without a generation: %d %s", status, body)
	}
	_, body := get(t, "http://"+said.Admin+"/metrics", "")
	for _, name := range []string{`export_requests_total{code="503"} `, "pgxpool_max_connections ", "export_waiting_requests 0", "go_goroutines "} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("%s is not in %s", name, body)
		}
	}
	stop()
	// Unready at once, and still answering.
	for ready := ""; ready != "shutting down\n"; {
		_, ready = get(t, "http://"+said.Admin+"/readyz", "")
	}
	if status, body := get(t, "http://"+said.HTTP+"/v1/account/export", token); status != 503 {
		t.Errorf("told to stop: %d %s", status, body)
	}
	if err := <-done; err != nil {
		t.Errorf("told to stop: %v", err)
	}
	<-rest
	if _, err := net.DialTimeout("tcp", said.HTTP, time.Second); err == nil {
		t.Error("it still listens")
	}
}

func TestStartNamesWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := []string{"DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/x", "SUPABASE_URL=http://localhost:54321", "HTTP_ADDR=127.0.0.1:0",
		"ADMIN_ADDR=127.0.0.1:0"}
	for _, test := range []struct {
		args, environ []string
		want          string
	}{
		{nil, nil, "DATABASE_URL is not set"},
		{[]string{"serve"}, good, `["serve"] is not a command`},
		{[]string{"--no-such-flag"}, good, "unknown flag"},
		{[]string{"--http-addr=x"}, good, `HTTP_ADDR is "x"`},
		{nil, append(good, "HTTP_ADDR="+taken.Addr().String()), "HTTP_ADDR: listen"},
		{nil, append(good, "API_SPOOL_DIR=/does/not/exist"), "API_SPOOL_DIR: spool: open /does/not/exist"},
		{nil, append(good, "ADMIN_ADDR="+taken.Addr().String()), "ADMIN_ADDR: listen"},
	} {
		err := run(t.Context(), test.args, test.environ, io.Discard)
		if got := fmt.Sprint(err); !strings.Contains(got, test.want) || strings.Contains(got, "hunter2") {
			t.Errorf("%v: got %s, want %q in it", test.args, got, test.want)
		}
	}
}

func TestHelpListsTheSettings(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"--help"}, nil, &out); err != nil {
		t.Error(err)
	}
	for _, flag := range []string{"--database-url", "--jwt-secret", "--http-addr"} {
		if !strings.Contains(out.String(), flag) {
			t.Errorf("%s is not in %s", flag, out.String())
		}
	}
}
