package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/workload"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/export"
	"accountexport/readmodel/internal/readmodeltest"
	"accountexport/readmodel/store"
)

// oldAdvance is the function that older programs commit by.
func oldAdvance(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `
SELECT export.advance(1, ARRAY[0], ARRAY[c.position], ARRAY[c.position + 1], ARRAY[c.epoch], ARRAY[now()],
    ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint])
FROM export.checkpoints c WHERE generation = 1 AND partition = 0`)
	return err
}

// TestOlderProgramDoesNotWriteNewFormat: an older program's commits to a generation of
// the new format are refused with a message that says why, and it does not become a
// member, which would own partitions that it cannot move. In a generation of the first
// format it goes on.
func TestOlderProgramDoesNotWriteNewFormat(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	join := func() error {
		_, err := pool.Exec(t.Context(), `
INSERT INTO export.members (member, backend) VALUES ('older', 1)
ON CONFLICT (member) DO UPDATE SET backend = excluded.backend, seen_at = excluded.seen_at`)
		return err
	}
	for what, err := range map[string]error{"commit": oldAdvance(t.Context(), pool), "join": join()} {
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "AE002" ||
			!strings.Contains(refused.Message, "generation 1 is in storage format 2, and this program writes 1") {
			t.Errorf("%s: %v", what, err)
		}
	}
	readmodeltest.DowngradeToPlainFormat(t, pool)
	for what, err := range map[string]error{"commit": oldAdvance(t.Context(), pool), "join": join()} {
		if err != nil {
			t.Errorf("%s in the first format: %v", what, err)
		}
	}
	if _, err := pool.Exec(t.Context(), `UPDATE export.generations SET format = 3`); err != nil {
		t.Fatal(err)
	}
	s.Close(t.Context())
	if _, err := s.Acquire(t.Context(), readmodeltest.Stream); !errors.Is(err, engine.ErrVersion) || !strings.Contains(err.Error(), "storage format 3") {
		t.Errorf("a generation of a newer format: %v", err)
	}
}

// TestFirstFormatIsTakenOn: rows that an older program wrote stay as they are and
// record nothing of what they were made of; those that are written from their
// account's first message on do. A generation that is built beside it is of the new
// format.
func TestFirstFormatIsTakenOn(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	log := readmodeltest.NewLog(3, 3000, workload.Config{Accounts: 12})
	some := log[:2500]
	opt := engine.Options{Batch: engine.Bound{Events: 100, Bytes: 1 << 20}}
	some.Project(t, s, opt)
	s.Close(t.Context())
	known := some.CountConsumed(t)
	readmodeltest.DowngradeToPlainFormat(t, pool)

	log.Project(t, s, opt)
	rows, all := readmodeltest.RecordedSums(t, pool, 1), log.CountConsumed(t)
	for id, n := range all {
		if _, before := known[id]; before && rows[id].Messages != 0 || !before && rows[id].Messages != n {
			t.Errorf("account %s says %d messages of %d; known before: %t", id, rows[id].Messages, n, before)
		}
	}
	builder := store.NewBuilder(pool, "builder", false, readmodeltest.Quiet)
	t.Cleanup(func() { builder.Close(t.Context()) })
	log.Project(t, builder, engine.Options{})
	if n := len(readmodeltest.RecordedSums(t, pool, 2)); n != len(all) {
		t.Errorf("%d of %d rows of the new generation say what went into them", n, len(all))
	}
	c, err := admin.Compare(t.Context(), pool, 1, 2, readmodeltest.EndlessStream, nil)
	if err != nil || !c.Equal() || c.Compared != int64(len(all)) {
		t.Errorf("compared: %+v, %v", c, err)
	}
	g, err := readmodel.FindGeneration(t.Context(), pool, 2)
	if err != nil || g.Format != readmodel.FormatCounted {
		t.Errorf("generation 2: %+v, %v", g, err)
	}
}

// TestMigrationGivesWayToReaders: a transaction that has read an account's row and
// goes on for long keeps the migration waiting, and not those who read after it.
func TestMigrationGivesWayToReaders(t *testing.T) {
	pool, s := readmodeltest.Open(t)
	a := readmodeltest.NewAccount(t, s, readmodeltest.Acquire(t, s), readmodeltest.AccountID)
	a.Register()
	if err := a.Commit(readmodeltest.FreeTier); err != nil {
		t.Fatal(err)
	}
	readmodeltest.DowngradeToPlainFormat(t, pool)
	long, err := pool.BeginTx(t.Context(), pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Exec(t.Context(), `SELECT FROM export_g1.account_export, export.generations`); err != nil {
		t.Fatal(err)
	}
	migrated := make(chan error, 1)
	go func() { migrated <- readmodel.Migrate(t.Context(), pool.Config().ConnString()) }()
	x := export.NewReader(pool)
	waited := 0
	for deadline := time.Now().Add(20 * time.Second); waited < 3; {
		if time.Now().After(deadline) {
			t.Fatal("the migration was never seen to wait")
		}
		var n int
		if err := pool.QueryRow(t.Context(), `
SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'export_g1.account_export'::regclass AND mode = 'AccessExclusiveLock'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			continue
		}
		waited++
		if m, _ := readmodeltest.Read(t, x, a.ID); m.State != export.Complete { // reads, or fails after half a second
			t.Errorf("state %v", m.State)
		}
	}
	select {
	case err := <-migrated:
		t.Fatalf("migrated beside a reader: %v", err)
	default:
	}
	if err := long.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Fatal(err)
	}
	if _, err := admin.ReadSums(t.Context(), pool, nil); err != nil {
		t.Error(err)
	}
}
