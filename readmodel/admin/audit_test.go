package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/internal/rows"
)

// listAudit lists up to limit lines, without ids and times, once it has seen that the
// ids descend.
func listAudit(t *testing.T, db pg.Querier, f admin.AuditFilter, limit int) (out []string) {
	t.Helper()
	last := int64(1 << 62)
	if err := admin.ListAudit(t.Context(), db, f, limit, func(e admin.AuditEntry) error {
		if e.ID >= last || e.At.IsZero() {
			t.Errorf("line %d at %v after %d", e.ID, e.At, last)
		}
		last = e.ID
		account := "–"
		if e.Account != nil {
			account = e.Account.String()
		}
		out = append(out, strings.Join([]string{e.Who, e.Through, e.What, account, e.Detail, e.Outcome}, ", "))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAuditSaysWhoDidWhat: a line is there as it was written, an act's says what it has
// come to and cannot be ended twice, and each filter takes the lines that it says.
func TestAuditSaysWhoDidWhat(t *testing.T) {
	t.Parallel()
	pool, _ := readmodeltest.Open(t)
	account := accountID(t)
	note := func(e admin.AuditEntry) int64 {
		t.Helper()
		id, err := admin.NoteAudit(t.Context(), pool, e)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	note(admin.AuditEntry{Who: "anna@desk", Through: "command line", What: "account.history", Account: &account, Detail: "up to position 7", Outcome: "done"})
	middle := note(admin.AuditEntry{Who: "berta", Through: "console", What: "account.refold", Account: &account, Outcome: "begun"})
	note(admin.AuditEntry{Who: "anna@desk", Through: "command line", What: "pause", Outcome: "begun"})
	if err := admin.EndAudit(t.Context(), pool, middle, "done"); err != nil {
		t.Fatal(err)
	}
	if err := admin.EndAudit(t.Context(), pool, middle, "failed"); !errors.Is(err, readmodel.ErrNotFound) {
		t.Errorf("ended twice: %v", err)
	}
	looked := "anna@desk, command line, account.history, " + readmodeltest.AccountID + ", up to position 7, done"
	refolded := "berta, console, account.refold, " + readmodeltest.AccountID + ", , done"
	paused := "anna@desk, command line, pause, –, , begun"
	hourAgo, soon := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, c := range []struct {
		name   string
		filter admin.AuditFilter
		limit  int
		want   []string
	}{
		{"all", admin.AuditFilter{}, 10, []string{paused, refolded, looked}},
		{"the first two", admin.AuditFilter{}, 2, []string{paused, refolded}},
		{"none", admin.AuditFilter{}, 0, nil},
		{"account", admin.AuditFilter{Account: &account}, 10, []string{refolded, looked}},
		{"who", admin.AuditFilter{Who: "anna@desk"}, 10, []string{paused, looked}},
		{"what", admin.AuditFilter{What: "pause"}, 10, []string{paused}},
		{"before", admin.AuditFilter{Before: middle}, 10, []string{looked}},
		{"since an hour ago", admin.AuditFilter{Since: hourAgo}, 10, []string{paused, refolded, looked}},
		{"since later", admin.AuditFilter{Since: soon}, 10, nil},
		{"all together", admin.AuditFilter{Account: &account, Who: "berta", What: "account.refold", Since: hourAgo, Before: middle + 1}, 10, []string{refolded}},
	} {
		if diff := cmp.Diff(c.want, listAudit(t, pool, c.filter, c.limit)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
	for _, wrong := range []admin.AuditEntry{{Through: "mail", Outcome: "done"}, {Through: "console", Outcome: "perhaps"}} {
		if _, err := admin.NoteAudit(t.Context(), pool, wrong); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}

// TestAuditIsReadInPages: a list that is longer than one statement reads has every line
// once, and with filters that take few of many lines, or none, an index leads to them, as it
// leads an erasure to the lines that name its account.
func TestAuditIsReadInPages(t *testing.T) {
	t.Parallel()
	pool, _ := readmodeltest.Open(t)
	readmodeltest.Exec(t, pool, `INSERT INTO export.audit (at, who, through, what, account, detail, outcome)
		SELECT now() - interval '100 days' + n * interval '1 minute', 'anna', 'console', 'account.viewed', gen_random_uuid(), n::text, 'done'
		FROM generate_series(1, 20000) n; ANALYZE export.audit`)
	var seen []string
	for _, line := range listAudit(t, pool, admin.AuditFilter{}, 1201) {
		seen = append(seen, strings.Split(line, ", ")[4])
	}
	for i, n := range seen {
		if n != fmt.Sprint(20000-i) {
			t.Fatalf("line %d is %s", i, n)
		}
	}
	if len(seen) != 1201 {
		t.Errorf("%d lines", len(seen))
	}
	account := accountID(t)
	for name, f := range map[string]admin.AuditFilter{"all": {}, "account": {Account: &account}, "who": {Who: "berta"}, "what": {What: "pause"},
		"since": {Since: time.Now()}, "since, and by whom": {Since: time.Now(), Who: "anna"}} {
		t.Run(name, func(t *testing.T) {
			tx, err := pool.Begin(t.Context()) // the server keeps what it counts until the end of a transaction
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.Background())
			before := rowsRead(t, tx)
			lines := listAudit(t, tx, f, 100)
			if read := rowsRead(t, tx) - before; read > 3000 { // a day has 1440 lines
				t.Errorf("%d rows read for %d lines", read, len(lines))
			}
		})
	}
	t.Run("an erasure", func(t *testing.T) {
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(context.Background())
		before := rowsRead(t, tx)
		for range 10 { // a plan for any account comes after five
			if _, err := tx.Exec(t.Context(), rows.ForgetAudited, [][16]byte{account}); err != nil {
				t.Fatal(err)
			}
		}
		if read := rowsRead(t, tx) - before; read > 10 {
			t.Errorf("%d rows read for no line", read)
		}
	})
}

// rowsRead is how many rows of the audit the session of a transaction has read.
func rowsRead(t *testing.T, tx pgx.Tx) (n int64) {
	t.Helper()
	if err := tx.QueryRow(t.Context(), `
SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'export.audit'::regclass`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func accountID(t *testing.T) events.UUID {
	t.Helper()
	id, err := events.ParseUUID(readmodeltest.AccountID)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
