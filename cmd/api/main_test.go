package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/cli/clitest"
	"accountexport/internal/local/postgres"
	"accountexport/internal/settings"
	"accountexport/readmodel"
)

func TestMain(m *testing.M) { clitest.Main(withPostgres{m}, "api", main) }

// withPostgres runs the tests with a PostgreSQL server that they may use.
type withPostgres struct{ *testing.M }

func (m withPostgres) Run() int { return postgres.Main(m.M) }

// theProgram has servers that cannot be reached, which it starts without.
func theProgram() clitest.Program {
	return clitest.Program{
		Name: settings.ForAPI, Root: func() *cobra.Command { return commands(nil, io.Discard, io.Discard).Root }, Run: run,
		Settings: map[string]clitest.Values{
			"DATABASE_URL":         {Right: "postgres://127.0.0.1:1/x", Wrong: "postgres://u:hunter2@127.0.0.1:port/x"},
			"DATABASE_DIRECT_URL":  {Right: "postgres://127.0.0.1:1/x", Wrong: "postgres://u:hunter2@127.0.0.1:port/x"},
			"HTTP_ADDR":            {Right: "127.0.0.1:0", Wrong: "8080"},
			"ADMIN_ADDR":           {Right: "127.0.0.1:0", Wrong: "9092"},
			"SUPABASE_URL":         {Right: "http://127.0.0.1:1", Wrong: "project"},
			"JWT_ISSUER":           {Right: "http://127.0.0.1:1/auth/v1", Wrong: "/auth/v1"},
			"JWT_JWKS_URL":         {Right: "http://127.0.0.1:1/keys", Wrong: "keys"},
			"JWT_SECRET":           {Right: secret, Wrong: "hunter2"},
			"JWT_AUDIENCE":         {Right: "authenticated"},
			"ALLOW_OAUTH_CLIENTS":  {Right: "a", Wrong: "a,,b"},
			"CORS_ALLOWED_ORIGINS": {Right: "https://app.example.com", Wrong: "app.example.com"},
			"CORS_ALLOWED_HEADERS": {Right: "X-Tenant", Wrong: "X Tenant"},
			"RATE_LIMIT":           {Right: "1", Wrong: "0"},
			"ADDRESS_RATE_LIMIT":   {Right: "1:5", Wrong: "1:0"},
			"TRUSTED_PROXIES":      {Right: "10.0.0.0/8", Wrong: "10.0.0.1/8"},
			"MAX_CONNECTIONS":      {Right: "10", Wrong: "0"},
			"API_MEMORY_LIMIT":     {Right: "512MiB", Wrong: "1MiB"},
			"API_SPOOL_DIR":        {Right: "/tmp", Wrong: "/does/not/exist"},
			"API_SPOOL_LIMIT":      {Right: "1GiB", Wrong: "much"},
			"WRITE_TIMEOUT":        {Right: "1s", Wrong: "1"},
			"DRAIN_DELAY":          {Right: "1ms", Wrong: "0s"},
			"SHUTDOWN_TIMEOUT":     {Right: "1s", Wrong: "-1s"},
			"LOG_LEVEL":            {Right: "error", Wrong: "nonsense"},
			"LOG_FORMAT":           {Right: "json", Wrong: "xml"},

			"OTEL_EXPORTER_OTLP_ENDPOINT":    {Right: "http://127.0.0.1:1", Wrong: "127.0.0.1:4318"},
			"OTEL_EXPORTER_OTLP_PROTOCOL":    {Right: "http/protobuf", Wrong: "https"},
			"OTEL_EXPORTER_OTLP_HEADERS":     {Right: "authorization=Bearer%20x", Wrong: "hunter2"},
			"OTEL_EXPORTER_OTLP_CERTIFICATE": {Right: "", Wrong: "/no/such/file"},
			"OTEL_SERVICE_NAME":              {Right: "projector", Wrong: "a\nb"},
			"OTEL_RESOURCE_ATTRIBUTES":       {Right: "deployment.environment.name=test", Wrong: "hunter2"},
			"OTEL_TRACES_SAMPLER":            {Right: "traceidratio", Wrong: "sometimes"},
			"OTEL_TRACES_SAMPLER_ARG":        {Right: "0.5", Wrong: "2"},
			"OTEL_SDK_DISABLED":              {Right: "true", Wrong: "yes"},
		},
	}
}

func TestFlagsOverrideTheEnvironment(t *testing.T) {
	t.Parallel()
	theProgram().FlagsOverride(t)
}

func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	theProgram().SecretsAreHidden(t)
}

func TestHelpNeedsNothing(t *testing.T) {
	t.Parallel()
	theProgram().HelpNeedsNothing(t)
}

func TestScripts(t *testing.T) { clitest.Scripts(t, nil) }

func TestScriptsShowEveryCommand(t *testing.T) { clitest.Covered(t, theProgram().Root()) }

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

// TestServesUntilItIsTold: with and without a command, it serves as the flags say,
// whatever the environment says, until it is signalled.
func TestServesUntilItIsTold(t *testing.T) {
	for _, command := range []string{"run", ""} {
		t.Run(command, func(t *testing.T) { testServing(t, strings.Fields(command)) })
	}
}

func testServing(t *testing.T, args []string) {
	url := postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	log, stdout := io.Pipe()
	done := make(chan int, 1)
	var stderr bytes.Buffer // read only after the program has ended
	go func() {
		status := run(ctx, append(args, "--http-addr=127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--database-url", url, "--jwt-audience=authenticated"),
			[]string{"DATABASE_URL=postgres://127.0.0.1:1/production", "HTTP_ADDR=127.0.0.1:1", "JWT_AUDIENCE=other",
				"SUPABASE_URL=http://localhost:54321", "JWT_SECRET=" + secret, "LOG_LEVEL=info"}, stdout, &stderr)
		stdout.Close()
		done <- status
	}()
	lines := bufio.NewScanner(log)
	if !lines.Scan() {
		t.Fatal(<-done, stderr.String())
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
	for _, name := range []string{`export_requests_total{code="503",reason="database"} `, `export_requests_total{code="503",reason="incomplete"} 0`, "export_time_to_first_byte_seconds_count ", "pgxpool_max_connections ", "export_waiting_requests 0",
		`export_spool_bytes{documents="large",state="held",where="files"} 0`, `export_spool_bytes{documents="medium",state="free",where="memory"} `,
		`export_spool_waiting_reads{documents="large"} 0`, "go_goroutines "} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("%s is not in %s", name, body)
		}
	}
	stop()
	// It is unready at once and still answers requests.
	for ready := ""; ready != "shutting down\n"; {
		_, ready = get(t, "http://"+said.Admin+"/readyz", "")
	}
	if status, body := get(t, "http://"+said.HTTP+"/v1/account/export", token); status != 503 {
		t.Errorf("told to stop: %d %s", status, body)
	}
	if status := <-done; status != 0 || stderr.Len() > 0 {
		t.Errorf("told to stop: exit %d: %s", status, stderr.String())
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
		status        int
		want          string
	}{
		{nil, nil, 2, "DATABASE_URL is not set"},
		{[]string{"--http-addr=x"}, good, 2, `HTTP_ADDR is "x"`},
		{nil, append(good, "HTTP_ADDR="+taken.Addr().String()), 1, "HTTP_ADDR: listen"},
		{nil, append(good, "API_SPOOL_DIR=/does/not/exist"), 2, `API_SPOOL_DIR is "/does/not/exist", and it is not there: it has to be a folder that can be written`},
		{nil, append(good, "API_SPOOL_DIR=/proc"), 1, "API_SPOOL_DIR: spool: open /proc"},
		{nil, append(good, "ADMIN_ADDR="+taken.Addr().String()), 1, "ADMIN_ADDR: listen"},
	} {
		var stderr strings.Builder
		status := run(t.Context(), test.args, test.environ, io.Discard, &stderr)
		if got := stderr.String(); status != test.status || !strings.Contains(got, test.want) || strings.Contains(got, "hunter2") {
			t.Errorf("%v: exit %d: %s; want %d and %q in it", test.args, status, got, test.status, test.want)
		}
	}
}

func TestDocumentedCallsAreRight(t *testing.T) {
	t.Parallel()
	theProgram().DocumentedCallsAreRight(t, "../..")
}
