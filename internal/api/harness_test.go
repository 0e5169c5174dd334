package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"accountexport/events"
	"accountexport/internal/auth"
	"accountexport/internal/auth/authtest"
	"accountexport/readmodel/export"
)

const (
	sharedSecret = "super-secret-jwt-token-with-at-least-32-characters-long"
	issuer       = "https://p.supabase.co/auth/v1"
)

// patience is how long a test's API waits for a client that accepts nothing.
const patience = 2 * time.Second

// memory is an in-memory exports; its documents have no sections.
type memory struct {
	mu      sync.Mutex
	metas   map[events.UUID]export.Meta
	err     error
	opened  int
	changes bool // at every opening of a document
}

func (m *memory) Meta(_ context.Context, account events.UUID) (export.Meta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.metas[account], m.err
}

func (m *memory) OpenGzip(ctx context.Context, account events.UUID, choose export.RangeFunc) (*export.Document, error) {
	return m.OpenRange(ctx, account, choose)
}

func (m *memory) OpenRange(_ context.Context, account events.UUID, _ export.RangeFunc) (*export.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened++
	if m.err != nil {
		return nil, m.err
	}
	if account == panics {
		panic("a defect with hunter2 in it")
	}
	meta := m.metas[account]
	if m.changes {
		meta.Position++
	}
	return &export.Document{Meta: meta}, nil
}

// fail has every read fail, until it is told nil.
func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// resetOpened returns how many documents were opened since the last call, and sets the
// counter to n.
func (m *memory) resetOpened(n int) (was int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, m.opened = m.opened, n
	return was
}

var (
	complete   = events.UUID{1}
	parked     = events.UUID{2}
	incomplete = events.UUID{3}
	erased     = events.UUID{4}
	unknown    = events.UUID{5}
	panics     = events.UUID{6}
	somePages  = events.UUID{7}
)

func newMemory() *memory {
	asOf := time.Date(2026, 11, 24, 2, 3, 4, 500e6, time.UTC)
	return &memory{metas: map[events.UUID]export.Meta{
		complete:   {State: export.Complete, Position: 77, TierPosition: 3, Major: 1, AsOf: asOf},
		parked:     {State: export.Complete, Position: 78, TierPosition: 3, Major: 1, AsOf: asOf, Parked: 2},
		incomplete: {State: export.Incomplete, Missing: []string{"team", "quota_tier"}},
		erased:     {State: export.Erased},
	}}
}

// api is a running API.
type api struct {
	url string
	reg *prometheus.Registry
	log *logText
}

// logText is the log. The line of a request comes after its answer.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, x exports) *api {
	t.Helper()
	v, err := auth.New(auth.Config{Issuer: issuer, Audience: "authenticated", Secret: sharedSecret}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, x, v)
}

func startWith(t *testing.T, x exports, v verifier, change ...func(*Config)) *api {
	t.Helper()
	a := &api{reg: prometheus.NewRegistry(), log: &logText{}}
	log := slog.New(slog.NewTextHandler(a.log, nil))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Exports: x, Verifier: v, Registry: a.reg, Logger: log}
	for _, f := range change {
		f(&c)
	}
	server := NewServer(New(c), log)
	done := make(chan error, 1)
	go func() { done <- server.Serve(Listen(l, 1000, patience)) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	a.url = "http://" + l.Addr().String()
	return a
}

func bearer(t testing.TB, account events.UUID) string {
	t.Helper()
	token, err := authtest.Mint(sharedSecret, issuer, account, "a@example.com", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token
}

// serviceKey creates an older service-role key of the project.
func serviceKey() (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": "supabase", "ref": "p", "role": "service_role",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(sharedSecret))
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers are name, value, name, value…
func (a *api) ask(t *testing.T, method, path string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.describes(t, r, resp, body)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// request is a request for an account's document.
func (a *api) request(t *testing.T, account events.UUID) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", a.url+exportPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", bearer(t, account))
	return r
}

// begin requests an account's document and leaves the body to the caller.
func (a *api) begin(t *testing.T, account events.UUID, header ...string) *http.Response {
	t.Helper()
	r := a.request(t, account)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := plain.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func checkProblem(t *testing.T, got answer, status int, kind string) {
	t.Helper()
	var p map[string]any
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	if got.status != status || p["status"] != float64(status) || p["type"] != problemType+kind {
		t.Errorf("got %d %s, want %d %s", got.status, got.body, status, kind)
	}
	for _, member := range []string{"title", "detail"} {
		if p[member] == nil || p[member] == "" {
			t.Errorf("no %s in %s", member, got.body)
		}
	}
	for name, value := range map[string]string{"Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff",
		"Cache-Control": "no-store"} {
		if got.header.Get(name) != value {
			t.Errorf("%s: %q", name, got.header.Get(name))
		}
	}
	if status == 503 && got.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if (status == 401 || kind == "invalid-request") && got.header.Get("Www-Authenticate") == "" {
		t.Error("no challenge")
	}
	for _, secret := range []string{"hunter2", "SELECT", "goroutine"} {
		if strings.Contains(got.body, secret) {
			t.Errorf("%s is in %s", secret, got.body)
		}
	}
}

// samples returns the counts of the histograms and of the token failures.
func samples(t *testing.T, a *api) map[string]uint64 {
	t.Helper()
	families, err := a.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil {
				counts[f.GetName()] = h.GetSampleCount()
			}
			if n := m.GetCounter().GetValue(); f.GetName() == "export_token_failures_total" && n > 0 {
				counts[f.GetName()+" "+m.GetLabel()[0].GetValue()] = uint64(n)
			}
		}
	}
	return counts
}

// counted returns how many requests were answered 503 for the reason.
func (a *api) counted(t *testing.T, why reason) int { return a.answered(t, "503", why) }

// answered returns how many requests were answered with the code and reason.
func (a *api) answered(t *testing.T, code string, why reason) (n int) {
	t.Helper()
	families, err := a.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != "export_requests_total" {
				continue
			}
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["code"] == code && labels["reason"] == string(why) {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}
