package readmodel_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/local/postgres"
	"accountexport/readmodel"
)

// TestDroppingHoldsNoReaderUp: while an old transaction reads a generation that
// is to be dropped, replicas that still take it for the live one, and all
// others, go on reading; once it has ended the generation goes.
func TestDroppingHoldsNoReaderUp(t *testing.T) {
	pool, s := open(t)
	a := newAccount(t, s, acquire(t, s), someone)
	a.register()
	if err := a.commit(freeTier); err != nil {
		t.Fatal(err)
	}
	idle := readmodel.NewExports(pool)
	_, before := read(t, idle, a.id) // it takes generation 1 for the live one from now on
	builder := readmodel.NewBuilder(pool, "builder", false, quiet)
	own, err := builder.Acquire(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO export_g2.account_export SELECT * FROM export_g1.account_export`,
		`INSERT INTO export_g2.quota_tiers SELECT * FROM export_g1.quota_tiers`,
		`UPDATE export.checkpoints n SET position = o.position, as_of = o.as_of FROM export.checkpoints o
WHERE n.generation = 2 AND o.generation = 1 AND n.partition = o.partition`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	old := reading(t, pool, `SELECT count(*) FROM export_g1.account_export`)
	if err := readmodel.Cutover(t.Context(), pool, 1, own.Generation, false, func(context.Context) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := readmodel.Drop(t.Context(), pool, 2); !errors.Is(err, readmodel.ErrLive) {
		t.Errorf("the live one: %v", err)
	}
	dropped := make(chan error, 1)
	go func() { dropped <- readmodel.Drop(t.Context(), pool, 1) }()
	fresh := readmodel.NewExports(pool)
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); { // it tries twice at least
		for _, x := range []*readmodel.Exports{idle, fresh} {
			if _, doc := read(t, x, a.id); doc != before {
				t.Fatalf("meanwhile: %s", doc)
			}
		}
		idle = readmodel.NewExports(pool)
		readmodel.Believe(idle, readmodel.Generation{Number: 1, Major: 1})
	}
	select {
	case err := <-dropped:
		t.Fatalf("it was dropped while it was read: %v", err)
	default:
	}
	if err := old.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-dropped; err != nil {
		t.Error(err)
	}
	if _, doc := read(t, idle, a.id); doc != before {
		t.Errorf("afterwards: %s", doc)
	}
	all, err := readmodel.Generations(t.Context(), pool)
	if err != nil || len(all) != 1 {
		t.Errorf("%d generations are left, %v", len(all), err)
	}
}

// TestMigratingHoldsNoReaderUp: a migration has to change a table that an old
// transaction reads, and every read of a document, too.
func TestMigratingHoldsNoReaderUp(t *testing.T) {
	url := postgres.TestDatabase(t)
	if err := readmodel.MigrateTo(t.Context(), url, 2); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), `
INSERT INTO export.generations (generation, state, version_major, version_minor, stream_name, stream_created, refolded_minor, partitions)
VALUES (1, 'live', 1, 0, 'CONTROL_PLANE', now(), 0, 4)`); err != nil {
		t.Fatal(err)
	}
	old := reading(t, pool, `SELECT count(*) FROM export.generations`)
	migrated := make(chan error, 1)
	go func() { migrated <- readmodel.Migrate(t.Context(), pool.Config().ConnString()) }()
	for deadline := time.Now().Add(1500 * time.Millisecond); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		var live bool
		if err := pool.QueryRow(ctx, `SELECT state = 'live' FROM export.generations`).Scan(&live); err != nil || !live {
			t.Errorf("meanwhile: %v, %v", live, err)
		}
		cancel()
	}
	select {
	case err := <-migrated:
		t.Fatalf("it was migrated while it was read: %v", err)
	default:
	}
	if err := old.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-migrated; err != nil {
		t.Error(err)
	}
}

// reading is a transaction that has read, and goes on.
func reading(t *testing.T, pool *pgxpool.Pool, sql string) pgx.Tx {
	t.Helper()
	tx, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	var n int
	if err := tx.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return tx
}
