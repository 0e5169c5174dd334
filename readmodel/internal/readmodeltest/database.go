package readmodeltest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/internal/local/postgres"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
	"accountexport/readmodel/store"
)

// Open makes a migrated database of the test's own, and a store of the replica "one"
// on it.
func Open(t *testing.T) (*pgxpool.Pool, *store.Store) {
	t.Helper()
	url := postgres.TestDatabase(t)
	if err := readmodel.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := store.NewStore(pool, "one", Quiet)
	t.Cleanup(func() { s.Close(context.Background()) })
	return pool, s
}

// PoolWith is another pool on the same database, whose configuration the test changes.
func PoolWith(t *testing.T, pool *pgxpool.Pool, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	change(cfg)
	other, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return other
}

// Exec runs one statement.
func Exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// BeginRead is a transaction that has read with the statement and stays open until
// the test ends it.
func BeginRead(t *testing.T, pool *pgxpool.Pool, sql string) pgx.Tx {
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

// FailWrites has the server fail the next so many statements that write a table, with
// an SQLSTATE as it has for transactions that it ends in favour of others.
func FailWrites(t *testing.T, pool *pgxpool.Pool, table, code string, times int) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), fmt.Sprintf(`
DROP SEQUENCE IF EXISTS ended CASCADE;
CREATE SEQUENCE ended; -- counts also in transactions that are rolled back
CREATE OR REPLACE FUNCTION end_for_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('ended') <= %d THEN
        RAISE EXCEPTION 'ended for another' USING ERRCODE = '%s';
    END IF;
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS ended ON %[3]s;
CREATE TRIGGER ended BEFORE INSERT OR UPDATE OR DELETE ON %[3]s FOR EACH STATEMENT EXECUTE FUNCTION end_for_another()`, times, code, table)); err != nil {
		t.Fatal(err)
	}
}

// AdvanceCheckpoints moves all of a generation's checkpoints to position 100.
func AdvanceCheckpoints(t *testing.T, pool *pgxpool.Pool, generation int) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `UPDATE export.checkpoints SET position = 100 WHERE generation = $1`, generation); err != nil {
		t.Fatal(err)
	}
}

// DowngradeToPlainFormat makes generation 1 one of the first storage format, as a
// program that knows of no other has made it.
func DowngradeToPlainFormat(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), `
UPDATE export.generations SET format = 1 WHERE generation = 1;
ALTER TABLE export_g1.account_export DROP COLUMN counted_at, DROP COLUMN messages, DROP COLUMN digest_high, DROP COLUMN digest_low`); err != nil {
		t.Fatal(err)
	}
}

// Contents is all that generation 1 stores, by account.
func Contents(t *testing.T, pool *pgxpool.Pool) map[events.UUID]string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
SELECT a.account_id, concat_ws('|', (to_jsonb(a) - 'version_minor')::text,
    (SELECT string_agg(p::text, '|' ORDER BY section, page_key) FROM export_g1.account_export_pages p WHERE account_id = a.account_id),
    (SELECT string_agg(i::text, '|' ORDER BY section, item) FROM export_g1.account_export_items i WHERE account_id = a.account_id),
    (SELECT string_agg(w::text, '|' ORDER BY entity, entity_id) FROM export_g1.account_waiting w WHERE account_id = a.account_id),
    (SELECT string_agg(k::text, '|' ORDER BY position) FROM export_g1.parked k WHERE account_id = a.account_id))
FROM export_g1.account_export a`)
	if err != nil {
		t.Fatal(err)
	}
	out := map[events.UUID]string{}
	var id [16]byte
	var all string
	if _, err := pgx.ForEachRow(rows, []any{&id, &all}, func() error {
		out[id] = all
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// RecordedSums is what the rows of a generation record of what they were made of. A
// row whose count is of another position is left out.
func RecordedSums(t *testing.T, pool *pgxpool.Pool, generation int) map[events.UUID]admin.Sum {
	t.Helper()
	rows, err := pool.Query(t.Context(), fmt.Sprintf(`
SELECT account_id, position, messages, digest_high, digest_low FROM export_g%d.account_export WHERE counted_at = position`, generation))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[events.UUID]admin.Sum{}
	for rows.Next() {
		var id [16]byte
		var s admin.Sum
		if err := rows.Scan(&id, &s.Position, &s.Messages, &s.Digest[0], &s.Digest[1]); err != nil {
			t.Fatal(err)
		}
		out[id] = s
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return out
}
