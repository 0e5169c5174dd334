package ops

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// serve runs the server and returns its URL and a function that stops it.
func serve(t *testing.T, s *Server) (url string, end func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	return "http://" + l.Addr().String(), func() error { cancel(); return <-done }
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestReadinessNamesWhatFails(t *testing.T) {
	var database, keys error
	s := NewServer(Registry(), quiet(),
		Check{"database", func(context.Context) error { return database }},
		Check{"keys", func(context.Context) error { return keys }})
	url, end := serve(t, s)
	for _, test := range []struct {
		database, keys error
		status         int
		body           string
	}{
		{nil, nil, 200, "ok\n"},
		{errors.New("away"), nil, 503, "database: away\n"},
		{errors.New("away"), errors.New("none"), 503, "database: away\nkeys: none\n"},
		{nil, nil, 200, "ok\n"},
	} {
		database, keys = test.database, test.keys
		if status, body := get(t, url+"/readyz"); status != test.status || body != test.body {
			t.Errorf("got %d %q, want %d %q", status, body, test.status, test.body)
		}
	}
	s.Drain()
	if status, body := get(t, url+"/readyz"); status != 503 || body != "shutting down\n" {
		t.Errorf("draining: got %d %q", status, body)
	}
	if status, _ := get(t, url+"/livez"); status != 200 {
		t.Errorf("draining: /livez says %d", status)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestMetricsAreServed(t *testing.T) {
	url, end := serve(t, NewServer(Registry(), quiet()))
	_, body := get(t, url+"/metrics")
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if !strings.Contains(body, "\n"+name+" ") {
			t.Errorf("%s is missing", name)
		}
	}
	if build := regexp.MustCompile(`(?m)^accountexport_build_info\{goversion="go1[^"]*",program="[^"]+",revision="[^"]+",version="[^"]+"\} 1$`); !build.MatchString(body) {
		t.Errorf("what it was built from is not in %s", body)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// TestOpenMetricsWhereAskedFor: metrics are in OpenMetrics format if the scraper asks
// for it, and in the older format otherwise.
func TestOpenMetricsWhereAskedFor(t *testing.T) {
	url, end := serve(t, NewServer(Registry(), quiet()))
	for accept, want := range map[string]string{
		"": "text/plain; version=0.0.4",
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5": "application/openmetrics-text; version=1.0.0",
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), want) || strings.HasSuffix(string(body), "# EOF\n") != (accept != "") {
			t.Errorf("Accept: %s: %s, %v", accept, resp.Header.Get("Content-Type"), err)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestServeFailsWhereTheListenerDoes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := NewServer(Registry(), quiet()).Run(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestPoolMetrics(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/none?pool_max_conns=7")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	reg := Registry()
	reg.MustRegister(PoolCollector(pool))
	want := "# HELP pgxpool_max_connections Most connections that the pool opens.\n" +
		"# TYPE pgxpool_max_connections gauge\npgxpool_max_connections 7\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "pgxpool_max_connections"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}
