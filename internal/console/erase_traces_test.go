package console

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel/admin"
)

// register publishes an account with an address in many places: three messages of the
// account, of which one is parked, and one on a mistyped subject.
func (s *stack) register(t *testing.T, id, email string) events.UUID {
	t.Helper()
	account, err := events.ParseUUID(id)
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	publish := func(m events.Message, err error) {
		t.Helper()
		if err == nil {
			last, err = s.client.PublishRaw(t.Context(), m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	publish(events.NewUserRegistered(meta("1-"+id), account, events.UserRegistered{Email: email, Tier: "free", QuotaTierID: "free"}))
	publish(events.NewSandboxCreated(meta("2-"+id), account, events.SandboxCreated{ID: "sbx", Template: "t", Metadata: []byte(`{"of":"` + email + `"}`)}))
	publish(events.Message{Subject: events.AccountSubject(account), Data: []byte("not JSON, " + email)}, nil)
	publish(events.Message{Subject: "controlplane.accounts.mistyped", Data: []byte(`{"email":"` + strings.ToUpper(email) + `"}`)}, nil)
	s.projected(t, last)
	return account
}

// traces says where a text, in upper or lower case, is in the stream or in a table.
func (s *stack) traces(t *testing.T, text string) string {
	t.Helper()
	var where []string
	err := s.client.ReadAll(t.Context(), func(m projections.Message) error {
		if strings.Contains(strings.ToLower(m.Subject+string(m.Data)), text) {
			where = append(where, "message")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := s.pool.Query(t.Context(), `
SELECT table_schema || '.' || table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var n int
		err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table+` r WHERE lower(r::text) LIKE '%'||$1||'%' OR lower(r::text) LIKE '%'||$2||'%' OR lower(r::text) LIKE '%'||$3||'%'`,
			text, fmt.Sprintf("%x", text), fmt.Sprintf("%x", strings.ToUpper(text))).Scan(&n)
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
		if n > 0 {
			where = append(where, table)
		}
	}
	return strings.Join(where, " ")
}

// audited requires what the lines of the audit say that name an account.
func (s *stack) audited(t *testing.T, account events.UUID, want ...string) {
	t.Helper()
	var lines []string
	err := admin.ListAudit(t.Context(), s.pool, admin.AuditFilter{Account: &account}, 100, func(e admin.AuditEntry) error {
		lines = append(lines, e.Outcome+" "+e.What+" by "+e.Who)
		return nil
	})
	if err != nil || !slices.Equal(lines, want) {
		t.Errorf("the audit names account %s in %q, want %q: %v", account, lines, want, err)
	}
}

// outcomes counts lines of the audit; an empty outcome is any.
func (s *stack) outcomes(t *testing.T, what, outcome string) (n int) {
	t.Helper()
	err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM export.audit WHERE what = $1 AND ($2 = '' OR outcome = $2)`, what, outcome).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
