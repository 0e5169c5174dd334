package admin_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// audited is an account that was folded.
type audited struct {
	*readmodeltest.Account
	pool *pgxpool.Pool
}

func newAudited(t *testing.T) audited {
	t.Helper()
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	return audited{a, pool}
}

// note writes a line that names the account.
func (a audited) note(t *testing.T, db admin.AuditDB, what string) {
	t.Helper()
	if _, err := admin.NoteAudit(t.Context(), db, admin.AuditEntry{Who: "anna", Through: "console", What: what, Account: &a.ID, Outcome: "done"}); err != nil {
		t.Error(err)
	}
}

// lines are what the audit says of which account, the newest first.
func (a audited) lines(t *testing.T) (out []string) {
	t.Helper()
	if err := admin.ListAudit(t.Context(), a.pool, admin.AuditFilter{}, 100, func(e admin.AuditEntry) error {
		account := "nobody"
		if e.Account != nil {
			account = e.Account.String()
		}
		out = append(out, e.What+" of "+account)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// clear is the clearing of an erasure.
func (a audited) clear(ctx context.Context) (int64, error) {
	return admin.ClearAccount(ctx, a.pool, admin.AccountErasure{Account: a.ID, At: readmodeltest.Noon, Position: a.Position,
		Stream: readmodeltest.Stream, Mentions: func(...[]byte) bool { return false }})
}

// fold folds and commits account.erased, as `projector run` does.
func (a audited) fold() error {
	a.Apply(events.NewAccountErased(a.Meta(), a.ID))
	return a.Commit()
}

// TestErasedAccountLeavesTheAudit: whether an erasure clears the account or the live
// generation folds account.erased, lines stay and do not name the account any more, but
// for those of the erasure; nor do those that are written later. Other accounts' lines
// are as they were.
func TestErasedAccountLeavesTheAudit(t *testing.T) {
	t.Parallel()
	other := events.UUID{1}
	for name, erase := range map[string]func(t *testing.T, a audited){
		"clear": func(t *testing.T, a audited) {
			if n, err := a.clear(t.Context()); err != nil || n != 3 { // the account's row, and two lines
				t.Errorf("%d rows removed, %v", n, err)
			}
		},
		"fold": func(t *testing.T, a audited) {
			if err := a.fold(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAudited(t)
			a.note(t, a.pool, "account.viewed")
			a.note(t, a.pool, "account.erase")
			a.note(t, a.pool, "account.refold")
			somebody := audited{&readmodeltest.Account{ID: other}, a.pool}
			somebody.note(t, a.pool, "account.viewed")
			found, err := admin.FindTraces(t.Context(), a.pool, a.ID, nil)
			if err != nil || found.Audited != 2 || found.Rows != 3 {
				t.Errorf("before: %+v, %v", found, err)
			}
			erase(t, a)
			a.note(t, a.pool, "account.history")
			a.note(t, a.pool, "account.erase")
			want := []string{"account.erase of " + a.ID.String(), "account.history of nobody", "account.viewed of " + other.String(),
				"account.refold of nobody", "account.erase of " + a.ID.String(), "account.viewed of nobody"}
			if diff := cmp.Diff(want, a.lines(t)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			found, err = admin.FindTraces(t.Context(), a.pool, a.ID, nil)
			if err != nil || found.Audited != 0 || found.Rows != 0 || !found.Erased {
				t.Errorf("afterwards: %+v, %v", found, err)
			}
		})
	}
}

// TestLookAtOnceWithAnErasure: a look that was begun before an erasure and is committed
// after it has begun is found by it, since it waits; and one that is begun while the
// erasure is not committed yet waits for it, and does not name the account.
func TestLookAtOnceWithAnErasure(t *testing.T) {
	t.Parallel()
	for name, erase := range map[string]func(a audited) error{
		"clear": func(a audited) error {
			_, err := a.clear(t.Context())
			return err
		},
		"fold": func(a audited) error { return a.fold() },
	} {
		t.Run(name+", the look first", func(t *testing.T) {
			a := newAudited(t)
			tx, err := a.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.Background())
			a.note(t, tx, "account.viewed")
			erased := make(chan error, 1)
			go func() { erased <- erase(a) }()
			awaitAuditLock(t, a.pool)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-erased; err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"account.viewed of nobody"}, a.lines(t)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
		t.Run(name+", the erasure first", func(t *testing.T) {
			a := newAudited(t)
			blocker, err := a.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer blocker.Rollback(context.Background())
			// The erasure's entry of the ledger waits for one that is not committed.
			if _, err := blocker.Exec(t.Context(), `
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created) VALUES ($1, now(), 1, 'x', now())`, [16]byte(a.ID)); err != nil {
				t.Fatal(err)
			}
			erased := make(chan error, 1)
			go func() { erased <- erase(a) }()
			awaitWaiting(t, a.pool, `wait_event_type = 'Lock' AND wait_event = 'transactionid'`)
			looked := make(chan struct{})
			go func() {
				defer close(looked)
				a.note(t, a.pool, "account.viewed")
			}()
			awaitAuditLock(t, a.pool)
			if err := blocker.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-erased; err != nil {
				t.Fatal(err)
			}
			<-looked
			if diff := cmp.Diff([]string{"account.viewed of nobody"}, a.lines(t)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// awaitAuditLock waits until a session of the database waits for the lock of the audit.
func awaitAuditLock(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	awaitWaiting(t, pool, `wait_event_type = 'Lock' AND wait_event = 'advisory'`)
}

func awaitWaiting(t *testing.T, pool *pgxpool.Pool, condition string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var n int
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND `+condition).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
		if time.Now().After(end) {
			t.Error("nobody waits: " + condition)
			return
		}
	}
}

// TestCutoverTakesTheErasedOutOfTheAudit: an account that only the generation which goes
// live has as erased is out of the audit when it is live.
func TestCutoverTakesTheErasedOutOfTheAudit(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	builder := store.NewBuilder(a.pool, "builder", false, readmodeltest.Quiet)
	own := readmodeltest.Acquire(t, builder)
	built := readmodeltest.NewAccount(t, builder, own, readmodeltest.AccountID)
	built.Apply(events.NewAccountErased(built.Meta(), built.ID))
	if err := built.Commit(); err != nil {
		t.Fatal(err)
	}
	a.note(t, a.pool, "account.viewed")
	if err := admin.Cutover(t.Context(), a.pool, 1, own.Generation, true, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"account.viewed of nobody"}, a.lines(t)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRestoredAuditIsATrace: what a database that was restored from before an erasure
// has in the audit of an account on the ledger is a trace of it, by which the erasure is
// carried out anew.
func TestRestoredAuditIsATrace(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.note(t, a.pool, "account.viewed")
	readmodeltest.Exec(t, a.pool, `DELETE FROM export_g1.account_export`)
	traced, err := admin.AccountsWithTraces(t.Context(), a.pool, []events.UUID{a.ID})
	if err != nil || !traced[a.ID] {
		t.Errorf("%v, %v", traced, err)
	}
	if n, err := admin.ForgetAudited(t.Context(), a.pool, a.ID); err != nil || n != 1 {
		t.Errorf("%d lines, %v", n, err)
	}
	a.note(t, a.pool, "account.erase")
	traced, err = admin.AccountsWithTraces(t.Context(), a.pool, []events.UUID{a.ID})
	if err != nil || traced[a.ID] {
		t.Errorf("afterwards: %v, %v", traced, err)
	}
}
