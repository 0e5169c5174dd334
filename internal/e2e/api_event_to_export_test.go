package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// someTeam is the team of someone.
const someTeam = "7a90c3cc-0d44-4b50-8888-8dd25736052a"

// eventFile writes one structured CloudEvent to a file.
func eventFile(t *testing.T, n int, typ, key, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "event.json")
	text := fmt.Sprintf(`{"specversion":"1.0","id":"e-%d","source":"/test","type":"controlplane.%s","time":"2026-03-25T07:11:48.777Z","partitionkey":%q,"data":%s}`,
		n, typ, key, data)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFromEventToExport follows events from `projector publish` to the document that the real API
// serves. `status`, `parked` and `export` agree with it, and both programs exit with 0 when they
// are asked to end.
func TestFromEventToExport(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	watch, serve, apiWatch := freeAddr(t), freeAddr(t), freeAddr(t)
	s.settings["ADMIN_ADDR"] = watch
	projector := s.startProjector(t)
	api := launch(t, "api", map[string]string{"DATABASE_URL": s.database, "HTTP_ADDR": serve, "ADMIN_ADDR": apiWatch,
		"JWT_ISSUER": issuer, "JWT_SECRET": jwtSecret})
	account := uuid(t, someone)
	token := mintToken(t, account)
	url := "http://" + serve + "/v1/account/export"
	expect := func(what string, want int, check func(http.Header, []byte) error) {
		t.Helper()
		eventually(t, what, 10*time.Second, func(ctx context.Context) error {
			status, header, body, err := get(ctx, url, token)
			switch {
			case err != nil:
				return err
			case status != want:
				return fmt.Errorf("status %d: %s", status, body)
			case check != nil:
				return check(header, body)
			}
			return nil
		})
	}
	n := 0
	publish := func(typ, key, data string) int {
		t.Helper()
		n++
		out, status := command(t, "projector", s.settings, "publish", eventFile(t, n, typ, key, data))
		position, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(out, "position ")))
		if status != 0 || err != nil {
			t.Fatalf("publish: exit %d: %s", status, out)
		}
		return position
	}

	expect("never heard of", http.StatusNotFound, nil)
	publish("user.registered.v1", someone, `{"email":"someone@example.org","tier":"free","quota_tier_id":"free"}`)
	expect("without a team", http.StatusServiceUnavailable, nil)
	publish("team.created.v1", someone, `{"id":"`+someTeam+`","name":"Team","slug":"team","quota_tier_id":"free"}`)
	publish("quota_tier.defined.v1", "free", `{"id":"free","display_name":"Free","max_concurrent_sandboxes":3,"daily_sandbox_creates":50,"daily_gb_hours":1.5}`)
	publish("sandbox.created.v1", someone, `{"id":"sbx-1","template":"base","metadata":{"a":1e400}}`)
	// `projector publish` refuses what would be parked; other producers can publish it.
	s.publishRaw(t, "controlplane.account."+someone, "hello")
	last := publish("user.profile_updated.v1", someone, `{"name":"By hand"}`)

	var document []byte
	expect("the whole document", http.StatusOK, func(h http.Header, body []byte) error {
		if h.Get("Export-Position") != strconv.Itoa(last) {
			return fmt.Errorf("at position %s of %d", h.Get("Export-Position"), last)
		}
		document = body
		return nil
	})
	for _, part := range []string{`{"user":{"id":"` + someone, `"name":"By hand"`, `"quota_tier":{"id":"free"`, `"sandboxes":[{"id":"sbx-1"`, `{"a":1e400}`} {
		if !strings.Contains(string(document), part) {
			t.Errorf("the document lacks %s: %s", part, document)
		}
	}
	out, status := command(t, "projector", s.settings, "export", "--account", someone)
	if status != 0 || strings.TrimSpace(out) != string(document) {
		t.Errorf("export: exit %d:\n%s\nthe API has\n%s", status, out, document)
	}
	s.checkPast(t, last, string(document))
	out, status = command(t, "projector", s.settings, "parked", "list", "--account", someone)
	if status != 0 || !strings.Contains(out, "payload") || strings.Count(out, "\n") != 2 {
		t.Errorf("parked list: exit %d: %s", status, out)
	}
	s.checkStatus(t, last)
	s.checkMetrics(t, watch, apiWatch)

	projector.signal(syscall.SIGTERM)
	api.signal(syscall.SIGINT)
	if a, b := projector.wait(), api.wait(); a != 0 || b != 0 {
		t.Errorf("asked to end, the projector exits %d and the API %d", a, b)
	}
	// `status` reports that nobody projects what was published since.
	publish("user.profile_updated.v1", someone, `{"name":"Nobody reads this"}`)
	if out, status = command(t, "projector", s.settings, "status"); status != 1 || !strings.Contains(out, "NOT progressing") {
		t.Errorf("status: exit %d: %s", status, out)
	}
}

// checkPast exports earlier documents: the name is not in the one before the last event, and there
// is none before the tier was defined.
func (s *system) checkPast(t *testing.T, last int, document string) {
	t.Helper()
	past := func(at string) (string, int) {
		return command(t, "projector", s.settings, "export", "--account", someone, "--at", at)
	}
	before := strings.Replace(document, `"name":"By hand"`, `"name":null`, 1)
	if out, status := past(strconv.Itoa(last - 1)); status != 0 || strings.TrimSpace(out) != before {
		t.Errorf("export before the last event: exit %d:\n%s\nwant\n%s", status, out, before)
	}
	if out, status := past(time.Now().Add(time.Minute).Format(time.RFC3339)); status != 0 || strings.TrimSpace(out) != document {
		t.Errorf("export as of now: exit %d: %s", status, out)
	}
	if out, status := past("2"); status != 1 || !strings.Contains(out, "quota_tier") {
		t.Errorf("export before the tier: exit %d: %s", status, out)
	}
	if out, status := past("2020-01-01T00:00:00Z"); status != 1 || !strings.Contains(out, "never heard of") {
		t.Errorf("export before the stream: exit %d: %s", status, out)
	}
	if out, status := past("soon"); status != 2 || !strings.Contains(out, `"soon"`) {
		t.Errorf("export at a bad moment: exit %d: %s", status, out)
	}
	out, status := command(t, "projector", s.settings, "history", "--account", someone)
	for _, want := range []string{"user.registered.v1  applied\n    user.id: – → \"" + someone, "  parked: payload", `user.name: null → "By hand"`} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("history: exit %d, lacks %q:\n%s", status, want, out)
		}
	}
}

func (s *system) checkStatus(t *testing.T, last int) {
	t.Helper()
	var st struct {
		Position int `json:"position"`
		Lag      int `json:"lag_events"`
		Parked   int
		Outcomes map[string]int
		Members  []struct{ Partitions int }
	}
	eventually(t, "status without lag", 10*time.Second, func(context.Context) error {
		out, status := command(t, "projector", s.settings, "status", "--json")
		if err := json.Unmarshal(jsonPart(out), &st); err != nil || status != 0 {
			return fmt.Errorf("exit %d, %v: %s", status, err, out)
		}
		if st.Lag != 0 {
			return fmt.Errorf("lag %d", st.Lag)
		}
		return nil
	})
	if st.Position != last || st.Parked != 1 || st.Outcomes["parked"] != 1 || st.Outcomes["applied"] != last-1 || len(st.Members) != 1 || st.Members[0].Partitions != 16 {
		t.Errorf("status says %+v after %d messages", st, last)
	}
}

func (s *system) checkMetrics(t *testing.T, projector, api string) {
	t.Helper()
	for addr, wants := range map[string][]string{
		projector: {`projector_events_total{outcome="applied",type="user.registered.v1"} 1`, `projector_events_total{outcome="parked",type="other"} 1`,
			`projector_position{partition="0"}`, "projector_lag_events 0", "projector_lag_seconds 0", "projector_batch_events_count",
			"projector_batch_duration_seconds_count", "projector_event_to_commit_seconds_count", "projector_parked_events 1",
			`projector_generation_info{generation="1",version="1.0"} 1`, `projector_restarts_total{reason="store"} 0`,
			"projector_last_progress_timestamp_seconds", "pgxpool_", "go_goroutines", "process_cpu_seconds_total"},
		api: {`export_requests_total{code="200",reason=""}`, `export_requests_total{code="404",reason=""}`, "export_request_duration_seconds_count",
			"export_response_bytes_count", `export_token_failures_total{reason="expired"} 0`, "pgxpool_"},
	} {
		for _, path := range []string{"/livez", "/readyz"} {
			eventually(t, addr+path, 10*time.Second, func(ctx context.Context) error {
				if status, _, body, err := get(ctx, "http://"+addr+path, ""); err != nil || status != http.StatusOK {
					return fmt.Errorf("status %d, %v: %s", status, err, body)
				}
				return nil
			})
		}
		eventually(t, "metrics of "+addr, 10*time.Second, hasMetrics(addr, wants...))
	}
}
