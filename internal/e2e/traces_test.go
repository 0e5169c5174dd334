package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"accountexport/events"
)

// traced is a system whose programs are told where the traces go.
type traced struct {
	*system
	account events.UUID
	serve   string // where the API listens
	n       int    // events so far
}

// with are the settings of a program with these.
func (s *traced) with(more map[string]string) map[string]string {
	out := maps.Clone(s.settings)
	maps.Copy(out, more)
	return out
}

// start starts both programs with these settings beside the usual.
func (s *traced) start(t *testing.T, more map[string]string) (projector, api *process) {
	t.Helper()
	s.serve = freeAddr(t)
	settings := s.with(more)
	settings["LOG_FORMAT"] = "json"
	projector = launch(t, "projector", settings, "run")
	maps.Copy(settings, map[string]string{"HTTP_ADDR": s.serve, "JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret})
	return projector, launch(t, "api", settings)
}

// publish publishes an event by `projector publish`, and gives its position.
func (s *traced) publish(t *testing.T, more map[string]string, typ, key, data string) uint64 {
	t.Helper()
	s.n++
	out, status := command(t, "projector", s.with(more), "publish", eventFile(t, s.n, typ, key, data))
	first, _, _ := strings.Cut(out, "\n")
	position, err := strconv.ParseUint(strings.TrimPrefix(first, "position "), 10, 64)
	if status != 0 || err != nil {
		t.Fatalf("publish: exit %d: %s", status, out)
	}
	return position
}

// read waits until the API serves the account as of a position.
func (s *traced) read(t *testing.T, position uint64, header http.Header) {
	t.Helper()
	eventually(t, "the document", 30*time.Second, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/v1/account/export?min_position=%d", s.serve, position), nil)
		if err != nil {
			return err
		}
		maps.Copy(req.Header, header)
		req.Header.Set("Authorization", "Bearer "+mintToken(t, s.account))
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", answer.StatusCode)
		}
		return nil
	})
}

// header is that of the message at a position.
func (s *traced) header(t *testing.T, position uint64) map[string][]string {
	t.Helper()
	m, err := s.client.Get(t.Context(), position)
	if err != nil {
		t.Fatal(err)
	}
	return m.Header
}

// TestTraces follows one system: without a setting nothing is traced; with one, events and requests
// are, from the programs' front doors to their statements; and a collector that never answers
// holds up nobody.
func TestTraces(t *testing.T) {
	t.Parallel()
	s := &traced{system: newSystem(t), account: uuid(t, someone)}
	t.Run("off", s.checkOff)
	t.Run("on", s.checkOn)
	t.Run("collector stalls", s.checkStalled)
}

// checkOff: nothing is said to a collector where one would be by default, messages have no
// traceparent, and lines of the log name no trace.
func (s *traced) checkOff(t *testing.T) {
	usual, err := net.Listen("tcp", "127.0.0.1:4318") // another program may have it
	if err == nil {
		defer usual.Close()
		go func() {
			if conn, err := usual.Accept(); err == nil {
				conn.Close()
				t.Error("somebody has connected to the collector's usual port")
			}
		}()
	}
	for _, more := range []map[string]string{{"OTEL_SERVICE_NAME": "projector"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}} {
		projector, api := s.start(t, more)
		s.publish(t, more, "user.registered.v1", someone, `{"email":"someone@example.org","tier":"free","quota_tier_id":"free"}`)
		s.publish(t, more, "quota_tier.defined.v1", "free", `{"id":"free","display_name":"Free","max_concurrent_sandboxes":3,"daily_sandbox_creates":50,"daily_gb_hours":1.5}`)
		position := s.publish(t, more, "team.created.v1", someone, `{"id":"`+someTeam+`","name":"Team","slug":"team","quota_tier_id":"free"}`)
		s.read(t, position, http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
		if h := s.header(t, position); h["traceparent"] != nil {
			t.Errorf("a message has a traceparent: %v", h)
		}
		projector.stop(t)
		api.stop(t)
		for _, out := range []string{projector.out.tail(1 << 20), api.out.tail(1 << 20)} {
			if strings.Contains(out, "trace_id") || strings.Contains(out, "traces") {
				t.Errorf("the log speaks of traces: %s", out)
			}
		}
	}
}

// hostileTraceparents are not right, or not sampled: none of them is followed.
func hostileTraceparents() [][]string {
	const right = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	return [][]string{
		{""}, {"0"}, {strings.Repeat("0", 30_000)}, {right + "-" + strings.Repeat("x", 30_000)}, {"\x00\x01\xff"}, {"ff" + right[2:]}, {right[:54]}, {right + "0"}, {right, right},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01"}, {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"},
		{strings.ToUpper(right)}, {strings.Replace(right, "-", "_", 3)}, {right[:53] + "00"}, {right[:53] + "zz"},
	}
}

func (s *traced) checkOn(t *testing.T) {
	c := newCollector(t)
	more := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hunter2",
		"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
	projector, api := s.start(t, more)
	position := s.publish(t, more, "user.profile_updated.v1", someone, `{"name":"Traced"}`)
	published := c.one(t, "projector publish")
	if got := s.header(t, position)["traceparent"]; !slices.Equal(got, []string{published.traceparent()}) {
		t.Errorf("the message has the traceparent %q, and its span is %s", got, published.traceparent())
	}
	var hostile []uint64
	for i, value := range hostileTraceparents() {
		m, err := events.NewUserProfileUpdated(events.Meta{ID: fmt.Sprintf("hostile-%d", i), Source: "/test", Time: events.TimeOf(time.Now())}, s.account,
			events.UserProfileUpdated{Name: events.Some(fmt.Sprint("Hostile ", i))})
		if err != nil {
			t.Fatal(err)
		}
		m.Header = map[string][]string{"traceparent": value, "Content-Type": m.Header["Content-Type"]}
		at, _, err := s.client.Publish(t.Context(), m)
		if err != nil {
			t.Fatal(i, err)
		}
		hostile = append(hostile, at)
	}
	last := hostile[len(hostile)-1]
	s.read(t, last, http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
	s.checkParked(t)
	for _, args := range [][]string{{"verify", "--account", someone}, {"rebuild", "--yes"}} {
		if out, status := command(t, "projector", s.with(more), args...); status != 0 {
			t.Errorf("%v: exit %d: %s", args, status, out)
		}
	}
	for act, phases := range map[string][]string{"projector verify": {"verify account"}, "projector rebuild": {"begin", "build", "compare", "cut over"}} {
		root := c.one(t, act)
		for _, phase := range phases {
			i := slices.IndexFunc(c.children(root), func(s *span) bool { return s.Name == phase })
			if i < 0 || len(c.below(c.children(root)[i])) == 0 {
				t.Errorf("%s has no phase %s with statements: %v", act, phase, c.children(root))
			}
		}
	}

	projector.stop(t)
	api.stop(t) // and has delivered what it had
	var batch *span
	for _, b := range c.all(func(s *span) bool { return s.Name == "batch" }) {
		if b.linkedTo(published) {
			batch = b
		}
		for _, l := range b.Links {
			if hex.EncodeToString(l.TraceId) == "0af7651916cd43dd8448eb211c80319c" {
				t.Errorf("a batch is linked to a traceparent that is not right: %v", b)
			}
		}
	}
	if batch == nil {
		t.Fatalf("no batch is linked to the event's publishing")
	}
	for name, statement := range map[string]string{"fold": "SELECT", "commit": "export.advance_checkpoints"} {
		i := slices.IndexFunc(c.children(batch), func(s *span) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("the batch has no %s below it", name)
		}
		part := c.children(batch)[i]
		if !slices.ContainsFunc(c.below(part), func(s *span) bool { return strings.Contains(s.text("db.query.text"), statement) }) {
			t.Errorf("below %s no statement has %s: %v", name, statement, c.below(part))
		}
	}
	var answered *span
	for _, r := range c.all(func(s *span) bool { return s.Name == "GET /v1/account/export" }) {
		if len(r.ParentSpanId) > 0 || len(r.Links) != 1 || r.service != "accountexport-api" {
			t.Errorf("a request's span follows the client's, or is not linked to it: %v", r)
		}
		if slices.ContainsFunc(c.below(r), func(s *span) bool { return strings.HasPrefix(strings.TrimSpace(s.text("db.query.text")), "SELECT") }) {
			answered = r
		}
	}
	if answered == nil {
		t.Fatal("no request has a statement below it")
	}
	if line := `"trace_id":"` + hex.EncodeToString(answered.TraceId) + `","span_id":"` + hex.EncodeToString(answered.SpanId) + `"`; !strings.Contains(api.out.tail(1<<20), line) {
		t.Errorf("no line of the API's log has %s: %s", line, api.out.tail(4000))
	}
	if c.sent.Get("Authorization") != "Bearer hunter2" {
		t.Errorf("the collector was sent %v", c.sent)
	}
	for _, span := range c.all(func(*span) bool { return true }) {
		text := span.String()
		for _, secret := range []string{someone, "someone@example.org", "Traced", "Hostile", "Bearer", "hunter2"} {
			if strings.Contains(text, secret) {
				t.Errorf("a span has %q: %s", secret, text)
			}
		}
	}
}

// checkParked: what a traceparent is has parked nothing.
func (s *traced) checkParked(t *testing.T) {
	t.Helper()
	if out, status := command(t, "projector", s.settings, "parked", "list"); status != 0 || strings.Contains(out, "hostile") {
		t.Errorf("parked list: exit %d: %s", status, out)
	}
	var parked int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export_g1.parked`).Scan(&parked); err != nil || parked > 0 {
		t.Errorf("%d messages are parked: %v", parked, err)
	}
}

// one waits for the one span with a name.
func (c *collector) one(t *testing.T, name string) (out *span) {
	t.Helper()
	eventually(t, name, 30*time.Second, func(context.Context) error {
		found := c.all(func(s *span) bool { return s.Name == name })
		if len(found) != 1 {
			return fmt.Errorf("%d spans", len(found))
		}
		out = found[0]
		return nil
	})
	return out
}

// checkStalled: a collector that takes connections and never answers holds up neither an event nor
// a request, nor the end of a program, and is complained of once by each.
func (s *traced) checkStalled(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	more := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + silent.Addr().String(), "SHUTDOWN_TIMEOUT": "5s", "TRUSTED_PROXIES": "127.0.0.0/8"}
	projector, api := s.start(t, more)
	s.read(t, s.publish(t, more, "user.profile_updated.v1", someone, `{"name":"Nobody waits"}`),
		http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}})
	projector.signal(syscall.SIGTERM)
	api.signal(syscall.SIGTERM)
	for _, p := range []*process{projector, api} {
		if status := p.wait(); status != 0 {
			t.Errorf("%s exits %d: %s", filepath.Base(p.cmd.Path), status, p.out.tail(4000))
		}
		if n := strings.Count(p.out.tail(1<<20), "traces are not delivered"); n != 1 {
			t.Errorf("%s says %d times that traces are not delivered: %s", filepath.Base(p.cmd.Path), n, p.out.tail(4000))
		}
	}
	if !strings.Contains(api.out.tail(1<<20), `"trace_id":"0af7651916cd43dd8448eb211c80319c"`) {
		t.Errorf("the trace of a trusted proxy is not followed: %s", api.out.tail(4000))
	}
}
