package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/workload"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// statements collects what is sent to the database, but for the ends of transactions.
type statements struct {
	mu  sync.Mutex
	sql []string
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(q.SQL)), " "); word != "begin" && word != "rollback" {
		s.sql = append(s.sql, q.SQL)
	}
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// accountReads is how often accounts were read as a whole, and by their key.
func accountReads(ctx context.Context, pool *pgxpool.Pool) (whole, byKey int64, err error) {
	err = pool.QueryRow(ctx, `SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE schemaname = 'export_g1' AND relname = 'account_export'`).Scan(&whole, &byKey)
	return whole, byKey, err
}

// TestOverviewOfEverything: an overview has what the functions that read one thing each
// have, in at most five statements, none of which reads all accounts, however many are on
// the ledger of erasures.
func TestOverviewOfEverything(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	if _, err := admin.ReadOverview(t.Context(), pool); !errors.Is(err, readmodel.ErrNoGeneration) {
		t.Fatalf("before anything was projected: %v", err)
	}
	readmodeltest.NewLog(31, 2000, workload.Config{Accounts: 400}).Project(t, s, engine.Options{})
	readmodeltest.Acquire(t, s)
	readmodeltest.Exec(t, pool, `DELETE FROM export_g1.parked`)
	badDeploy(t, pool, 1000)
	readmodeltest.Exec(t, pool, `
INSERT INTO export.dismissals (stream_name, stream_created, position, note)
SELECT stream_name, stream_created, position, '' FROM export.generations, generate_series(11, 13) AS position;
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created, entered_at)
SELECT account_id, now(), 1, 's', now(), now() - interval '3 days' FROM export_g1.account_export ORDER BY account_id LIMIT 300;
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created)
SELECT ('ffffffff-0000-4000-8000-' || lpad(to_hex(i), 12, '0'))::uuid, now(), 1, 's', now() FROM generate_series(1, 40) AS i;
UPDATE export_g1.account_export SET erased_at = now() WHERE account_id IN (SELECT account_id FROM export_g1.account_export ORDER BY account_id LIMIT 20);
ANALYZE`)
	begun, anew := events.UUID{15: 1}, events.UUID{15: 2}
	for account, redo := range map[events.UUID]bool{begun: false, anew: true} {
		if err := admin.BeginErasure(t.Context(), pool, account, nil, redo); err != nil {
			t.Fatal(err)
		}
	}
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(context.Background()) })
	readmodeltest.Acquire(t, builder)
	readmodeltest.Exec(t, pool, `UPDATE export.checkpoints SET position = 5 + partition WHERE generation = 2;
UPDATE export.checkpoints SET as_of = as_of - partition * interval '1 s' WHERE generation = 1`)
	problem := readmodel.Problem{Class: readmodel.Refused, Partition: readmodel.NoPartition, Reason: "recreated", Message: "exit status 12"}
	if err := readmodel.NoteProblems(t.Context(), pool, "one", problem); err != nil {
		t.Fatal(err)
	}
	if _, _, err := admin.Pause(t.Context(), pool, "ann", "disk"); err != nil {
		t.Fatal(err)
	}

	for _, running := range []bool{true, false} {
		if !running {
			builder.Close(t.Context())
		}
		sent := &statements{}
		traced := readmodeltest.PoolWith(t, pool, func(cfg *pgxpool.Config) { cfg.ConnConfig.Tracer = sent })
		whole, byKey, err := accountReads(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		got, err := admin.ReadOverview(t.Context(), traced)
		if err != nil {
			t.Fatal(err)
		}
		traced.Close() // which has the server count what it has read
		if n := len(sent.sql); n == 0 || n > 5 {
			t.Errorf("%d statements: %s", n, strings.Join(sent.sql, "\n"))
		}
		want := expectedOverview(t, pool)
		want.ErasedServed, want.PendingErasures = 280, []events.UUID{begun}
		want.Building = &admin.BuildStatus{Number: 2, Position: 5, Mean: 6, Running: running}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(admin.Overview{}, "At"), cmpopts.IgnoreFields(admin.Member{}, "SinceHeartbeat"),
			cmpopts.IgnoreFields(admin.LedgerStatus{}, "Age"), cmpopts.IgnoreFields(readmodel.Problem{}, "Age")); diff != "" {
			t.Errorf("(-one by one +overview):\n%s", diff)
		}
		if got.Parked != 1097 || got.Dismissed != 3 || got.Accounts < 400 || got.Ledger.Erasures != 340 || got.Ledger.Age < 71*time.Hour || len(got.Problems) != 1 ||
			len(got.Partitions) != 4 || len(got.Members) != 1 || got.Pause == nil || got.Pause.Lowest == 0 || got.Pause.Note != "disk" {
			t.Errorf("the overview is %+v", got)
		}
		await(t, "the server to have counted what was read", func() error {
			wholeNow, byKeyNow, err := accountReads(t.Context(), pool)
			if err == nil && wholeNow != whole {
				t.Fatalf("all accounts were read %d times", wholeNow-whole)
			}
			if err == nil && byKeyNow < byKey+340 {
				err = fmt.Errorf("%d by their key", byKeyNow-byKey)
			}
			return err
		})
	}
	readmodeltest.Exec(t, pool, `DELETE FROM export.pause; UPDATE export.generations SET state = 'retired', finished_at = now() WHERE generation = 2`)
	if got, err := admin.ReadOverview(t.Context(), pool); err != nil || got.Pause != nil || got.Building != nil {
		t.Errorf("after the pause and the build: %+v, %+v, %v", got.Pause, got.Building, err)
	}
}

// expectedOverview is what the functions that read one thing each have of an overview.
func expectedOverview(t *testing.T, pool *pgxpool.Pool) (want admin.Overview) {
	t.Helper()
	var errs [4]error
	want.Status, errs[0] = admin.ReadStatus(t.Context(), pool)
	want.Ledger, errs[1] = admin.ReadLedgerStatus(t.Context(), pool)
	want.Pause, errs[2] = readmodel.FindPause(t.Context(), pool)
	want.Problems, errs[3] = readmodel.ListProblems(t.Context(), pool)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return want
}

// await waits until something holds.
func await(t *testing.T, what string, holds func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := holds()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %v", what, err)
		}
	}
}
