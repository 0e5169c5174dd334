package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"accountexport/events"
	"accountexport/internal/auth/authtest"
	"accountexport/internal/local/testrun"
	"accountexport/internal/workload"
	"accountexport/readmodel/export"
)

// TestPeersFoldAsWeDo: what is measured beside ours does the same work. Each program of
// bench/peers serves the same documents as the projector's, value by value, of a stream
// without what it says that it leaves out.
func TestPeersFoldAsWeDo(t *testing.T) {
	peers, serve := buildPeers(t), testrun.GoTool(t, "../../bench/peers", "./serve")
	s := newPeerStack(t, newStackWith(t, stackOptions{undurable: true}))
	n, accounts := publishUnbroken(t, s.stack, workload.NewBacklog(3, 20, 600))
	for _, p := range peers {
		s.forgetPeer(t, p)
		s.catchUpPeer(t, p, uint64(n))
	}
	last := publishEachType(t, s.stack)
	for _, p := range peers {
		s.catchUpPeer(t, p, last) // nothing counts twice
	}
	s.projectAll(t)
	accounts = append(accounts, eachType)
	exports := export.NewReader(s.pool)
	want := map[events.UUID]any{}
	for _, id := range accounts {
		want[id] = values(t, []byte(ourDocument(t, exports, id)))
	}
	for read, from := range map[string]string{"documents of permessage": "permessage", "documents of watermill": "watermill",
		"six-queries of batches": "batches", "json-agg of batches": "batches"} {
		how, _, _ := strings.Cut(read, " ")
		cmd := exec.Command(serve)
		cmd.Env = append(os.Environ(), "READ="+how)
		server := startServer(t, cmd, s.in(from))
		for _, id := range accounts {
			if diff := cmp.Diff(want[id], values(t, getFrom(t, server.HTTP, id))); diff != "" {
				t.Errorf("%s of %s (- ours, + theirs):\n%s", read, id, diff)
			}
		}
		server.stop(t)
	}
}

// publishUnbroken publishes a backlog without its invalid and early messages, and gives
// how many there are, and the accounts.
func publishUnbroken(t testing.TB, s *stack, backlog *workload.Backlog) (n int, accounts []events.UUID) {
	t.Helper()
	there := map[string]bool{}
	n, err := s.client.PublishAll(t.Context(), func() (events.Message, bool) {
		for {
			m, ok := backlog.Next()
			if !ok {
				return events.Message{}, false
			}
			var e struct {
				Type string
				Data struct {
					ID     string
					Status any
				}
			}
			if err := json.Unmarshal(m.Data, &e); err != nil {
				t.Error(err)
			}
			_, number := e.Data.Status.(float64)
			switch what := strings.TrimPrefix(e.Type, "controlplane."); {
			case what == "sandbox.created.v1":
				there[e.Data.ID] = true
			case what == "user.registered.v1":
				accounts = append(accounts, events.ParseSubject(m.Subject).Account)
			case number, strings.HasPrefix(what, "sandbox.") && !there[e.Data.ID]:
				continue
			}
			return message(m.Subject, m.Header, m.Data), true
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, accounts
}

var eachType = events.UUID{7}

// publishEachType publishes an account that has every event type but the last, and gives
// the position of the end.
func publishEachType(t testing.TB, s *stack) (last uint64) {
	t.Helper()
	const team, key = `"id":"00000000-0000-4000-8000-000000000001"`, `"id":"00000000-0000-4000-8000-000000000002"`
	const day = `"team_id":"00000000-0000-4000-8000-000000000001","usage_date":"2026-05-01"`
	for i, e := range [][2]string{
		{"user.registered", `"email":"a@example.org","tier":"free","quota_tier_id":"free","name":"A","display_name":null,"is_operator":true`},
		{"user.profile_updated", `"name":null,"display_name":"B"`},
		{"user.email_verified", ``},
		{"user.email_changed", `"email":"b@example.org"`},
		{"user.tier_changed", `"tier":"pro","quota_tier_id":"pro"`},
		{"user.operator_changed", `"is_operator":false`},
		{"user.abuse_flags_changed", `"flags":{"a":{"x":null},"b":1,"c":"2"}`},
		{"user.abuse_flags_changed", `"flags":{"b":null,"c":[3]}`},
		{"user.deletion_scheduled", `"delete_scheduled_at":"2026-06-01T12:00:00.5+02:00"`},
		{"user.deletion_cancelled", ``},
		{"user.deletion_scheduled", `"delete_scheduled_at":"2026-06-01T12:00:00.1234567Z"`},
		{"user.soft_deleted", ``},
		{"user.restored", ``},
		{"team.created", team + `,"name":"T","slug":"t","quota_tier_id":"free"`},
		{"team.created", team + `,"name":"Twice","slug":"t","quota_tier_id":"free"`},
		{"team.updated", team + `,"slug":"u"`},
		{"team.owner_changed", team + `,"owner_user_id":"00000000-0000-4000-8000-000000000003"`},
		{"team.quota_tier_changed", team + `,"quota_tier_id":"pro"`},
		{"team.soft_deleted", team},
		{"team.restored", team},
		{"quota_usage.incremented", day + `,"sandbox_creates":2,"gb_hours":0.1`},
		{"quota_usage.incremented", day + `,"sandbox_creates":1,"gb_hours":12.000001`},
		{"quota_usage.recorded", strings.Replace(day, "05-01", "04-01", 1) + `,"sandbox_creates":2,"gb_hours":5`},
		{"api_key.created", key + `,"team_id":"00000000-0000-4000-8000-000000000001","key_prefix":"sk","name":"k","scope":"s","expires_at":"2027-01-01T00:00:00Z"`},
		{"api_key.updated", key + `,"expires_at":null,"name":"l","is_active":false`},
		{"api_key.updated", key + `,"is_active":true`},
		{"api_key.used", key},
		{"api_key.revoked", key},
		{"sandbox.created", `"id":"s","template":"base","status":"queued"`},
		{"sandbox.started", `"id":"s"`},
		{"sandbox.status_changed", `"id":"s","status":"paused"`},
		{"sandbox.metadata_updated", `"id":"s","metadata":{"a":[1,null]}`},
		{"sandbox.destroyed", `"id":"s"`},
	} {
		at := time.Date(2026, 5, 1, 10, (7*i)%20, 0, 123_000, time.UTC) // back and forth
		data := fmt.Appendf(nil, `{"specversion":"1.0","id":"type-%d","source":"/bench","type":"controlplane.%s.v1","time":"%s","data":{%s}}`,
			i, e[0], at.Format(time.RFC3339Nano), e[1])
		var err error
		if last, _, err = s.client.Publish(t.Context(), message(events.AccountSubject(eachType), nil, data)); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func ourDocument(t testing.TB, exports *export.Reader, id events.UUID) string {
	t.Helper()
	d, err := exports.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var doc strings.Builder
	if _, err := d.WriteTo(&doc); err != nil {
		t.Fatal(err)
	}
	return doc.String()
}

// getFrom asks a server for an account's document.
func getFrom(t testing.TB, addr string, id events.UUID) []byte {
	t.Helper()
	token, err := authtest.Mint(secret, issuer, id, "someone@example.org", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/v1/account/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	doc, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v: %s", resp.Status, err, doc)
	}
	return doc
}

// values are those of a JSON document, with times as instants.
func values(t testing.TB, doc []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		t.Fatalf("%v: %s", err, doc)
	}
	return instants(v)
}

func instants(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, of := range v {
			v[name] = instants(of)
		}
	case []any:
		for i, of := range v {
			v[i] = instants(of)
		}
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at.UTC()
		}
	}
	return v
}

// TestPeersUseOurLibraries: what is compared speaks to NATS and PostgreSQL by the same
// versions of the same libraries as ours.
func TestPeersUseOurLibraries(t *testing.T) {
	ours, theirs := map[string]string{}, map[string]string{}
	for file, into := range map[string]map[string]string{"../../go.mod": ours, "../../bench/peers/go.mod": theirs} {
		if err := modules(file, into); err != nil {
			t.Fatal(err)
		}
	}
	for _, library := range []string{"github.com/nats-io/nats.go", "github.com/jackc/pgx/v5"} {
		if ours[library] == "" || ours[library] != theirs[library] {
			t.Errorf("%s is %q here and %q in bench/peers: require the same there, and run go mod tidy", library, ours[library], theirs[library])
		}
	}
}
