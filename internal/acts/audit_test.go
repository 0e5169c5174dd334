package acts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/internal/local/postgres"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

func TestMain(m *testing.M) { postgres.Main(m) } // the status is that of m.Run

// auditDatabase is a database whose schema is this program's.
func auditDatabase(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	url = postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return url, openPool(t, url, nil)
}

func openPool(t *testing.T, url string, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(cfg)
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// lines are what the audit says, the oldest first.
func lines(t *testing.T, pool *pgxpool.Pool) (out []string) {
	t.Helper()
	if err := admin.ListAudit(t.Context(), pool, admin.AuditFilter{}, 100, func(e admin.AuditEntry) error {
		whom := "nobody"
		if e.Account != nil {
			whom = e.Account.String()[:8]
		}
		out = append([]string{fmt.Sprintf("%s by %s: %s of %s (%s) %s", e.Who, e.Through, e.What, whom, e.Detail, e.Outcome)}, out...)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRecorder: a look is on record when it may be shown, and an act is before it is
// done; what it has come to is told, also where its context has ended. A name is printable,
// and has an end.
func TestRecorder(t *testing.T) {
	t.Parallel()
	_, pool := auditDatabase(t)
	account := events.UUID{0xab}
	r := &acts.Recorder{Pool: pool, Who: "änna\x1b[2J" + strings.Repeat("x", 300), Through: acts.ThroughConsole}
	if err := r.Look(t.Context(), acts.AccountViewed, &account, "position 7"); err != nil {
		t.Fatal(err)
	}
	who := "?nna?[2J" + strings.Repeat("x", 192) + " by console: "
	if diff := cmp.Diff([]string{who + "account.viewed of ab000000 (position 7) done"}, lines(t, pool)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r.Who = ""
	for _, c := range []struct {
		err     error
		outcome string
	}{
		{nil, "done"},
		{errors.New("no room"), "failed"},
		{context.Canceled, "failed"},
		{fmt.Errorf("x: %w", engine.ErrRefused), "refused"},
		{fmt.Errorf("x: %w", acts.ErrErasuresMissing), "refused"},
		{fmt.Errorf("x: %w", engine.ErrPaused), "refused"},
		{acts.ErrNotConfirmed, "refused"},
		{acts.ErrDeclined, "refused"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		line, err := r.Begin(ctx, acts.AccountRefold, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		want := "somebody by console: account.refold of nobody () "
		if all := lines(t, pool); all[len(all)-1] != want+"begun" {
			t.Errorf("before it is done: %s", all[len(all)-1])
		}
		cancel()
		line.End(ctx, c.err)
		if all := lines(t, pool); all[len(all)-1] != want+c.outcome {
			t.Errorf("%v: %s, want %s", c.err, all[len(all)-1], c.outcome)
		}
	}
	before := len(lines(t, pool))
	if err := r.Look(t.Context(), "account.looked", nil, ""); err == nil || len(lines(t, pool)) != before {
		t.Errorf("a word that is none: %v", err)
	}
}

// TestNothingUnrecorded: where a line cannot be written, the error says that nothing is
// shown or done and why. Where only the end of an act cannot, that is told.
func TestNothingUnrecorded(t *testing.T) {
	t.Parallel()
	url, pool := auditDatabase(t)
	empty := openPool(t, postgres.TestDatabase(t), nil)
	standby := openPool(t, url, func(cfg *pgxpool.Config) { cfg.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on" })
	gone := openPool(t, url, nil)
	gone.Close()
	for name, c := range map[string]struct {
		pool *pgxpool.Pool
		why  string
	}{
		"no table":         {empty, "`projector provision` brings it up to date"},
		"a standby":        {standby, "DATABASE_URL has to be the one that is written"},
		"no database":      {gone, "closed pool"},
		"through no known": {pool, "audit_through_check"},
	} {
		r := &acts.Recorder{Pool: c.pool, Through: acts.ThroughCommandLine}
		if c.pool == pool {
			r.Through = "mail"
		}
		err := r.Look(t.Context(), acts.AccountViewed, nil, "")
		if err == nil || !strings.HasPrefix(err.Error(), "nothing is shown, since this look cannot be recorded: ") || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s, a look: %v", name, err)
		}
		line, err := r.Begin(t.Context(), acts.Pause, nil, "")
		if err == nil || line != nil || !strings.HasPrefix(err.Error(), "nothing was done, since it cannot be recorded: ") || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s, an act: %v", name, err)
		}
	}
	if all := lines(t, pool); all != nil {
		t.Errorf("on record is %q", all)
	}
	var told error
	r := &acts.Recorder{Pool: pool, Through: acts.ThroughCommandLine, OnUnended: func(err error) { told = err }}
	line, err := r.Begin(t.Context(), acts.Pause, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `DELETE FROM export.audit`); err != nil {
		t.Fatal(err)
	}
	line.End(t.Context(), nil)
	if told == nil || !errors.Is(told, readmodel.ErrNotFound) || !strings.Contains(told.Error(), "and not that it is done") {
		t.Errorf("told is %v", told)
	}
}
