package admin_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/admin"
	"accountexport/readmodel/internal/readmodeltest"
)

// TestCountingParkedReadsNoMessages: what is counted every few seconds, by each replica,
// is counted in an index, and none reads the part of another.
func TestCountingParkedReadsNoMessages(t *testing.T) {
	t.Parallel()
	const n = 20_000
	pool, s := readmodeltest.Open(t)
	own := readmodeltest.Acquire(t, s)
	readmodeltest.Exec(t, pool, `
INSERT INTO export_g1.parked (position, partition, account_id, sent_at, subject, type, reason, headers, payload)
SELECT i, i % 4, gen_random_uuid(), now(), 's', 't', 'r', '', convert_to(repeat(md5(i::text), 15), 'UTF8') FROM generate_series(1, 20000) i;
INSERT INTO export.dismissals (stream_name, stream_created, position, note)
SELECT stream_name, stream_created, i, 'n' FROM export.generations, generate_series(1, 40) i;
INSERT INTO export.members (member, backend, format) SELECT m, 0, format FROM export.generations, unnest(ARRAY['other', 'ours']) m;
UPDATE export.checkpoints SET owner = CASE partition WHEN 0 THEN 'ours' ELSE 'other' END`)
	readmodeltest.Exec(t, pool, `VACUUM ANALYZE export_g1.parked`) // as autovacuum does after a minute
	var table int
	if err := pool.QueryRow(t.Context(), `SELECT pg_relation_size('export_g1.parked') / current_setting('block_size')::integer`).Scan(&table); err != nil {
		t.Fatal(err)
	}
	for replica, share := range map[string]int{"ours": 1, "other": 3} {
		if got, err := admin.CountParked(t.Context(), pool, replica); err != nil || got != int64(share*(n/4-10)) {
			t.Errorf("%s: %d are counted, want %d: %v", replica, got, share*(n/4-10), err)
		}
		plan, blocks := explain(t, pool, admin.SelectOwnParked(), 1, replica, own.Stream.Name, own.Stream.Created)
		if blocks == 0 || blocks > table/5 || !strings.Contains(plan, "Index Only Scan using parked_partition") {
			t.Errorf("%s: it looks at %d blocks, and the table has %d:\n%s", replica, blocks, table, plan)
		}
	}
}

// TestErasuresAreLookedForAmongTombstones: whether an account on the ledger is served is not
// asked of each account, of which there may be a million erased ones.
func TestErasuresAreLookedForAmongTombstones(t *testing.T) {
	t.Parallel()
	pool, s := readmodeltest.Open(t)
	readmodeltest.Acquire(t, s)
	readmodeltest.Exec(t, pool, `
INSERT INTO export_g1.account_export (account_id, partition, position, parked, version_minor, usage_low, usage_pages, key_pages, sandbox_pages, waiting, erased_at, user_json)
SELECT md5(i::text)::uuid, i % 4, i, 0, 0, '', 0, 0, 0, 0, CASE WHEN i % 5 < 2 THEN now() END, CASE WHEN i % 5 >= 2 THEN convert_to(repeat(md5(i::text), 5), 'UTF8') END
FROM generate_series(1, 10000) i;
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created)
SELECT account_id, now(), 1, 's', now() FROM export_g1.account_export WHERE erased_at IS NOT NULL OR position % 1000 = 3;
INSERT INTO export.erasures (account_id, erased_at, position, stream_name, stream_created) VALUES ('ffffffff-0000-4000-8000-000000000001', now(), 1, 's', now())`)
	for _, sql := range []string{`VACUUM ANALYZE export_g1.account_export`, `VACUUM ANALYZE export.erasures`} { // as autovacuum does after a minute
		readmodeltest.Exec(t, pool, sql)
	}
	var served int
	if err := pool.QueryRow(t.Context(), admin.SelectErasedServed()).Scan(&served); err != nil || served != 10 {
		t.Errorf("%d are served, want the 10 that have no tombstone: %v", served, err)
	}
	// By the accounts' key it would be three blocks for each of the 4,000, one of them the account's.
	plan, blocks := explain(t, pool, admin.SelectErasedServed())
	if blocks == 0 || blocks > 10_000 || !strings.Contains(plan, "Index Only Scan using account_export_erased") || strings.Contains(plan, "Seq Scan on account_export") {
		t.Errorf("it looks at %d blocks:\n%s", blocks, plan)
	}
}

// explain runs a statement, and gives its plan and how many blocks it has looked at.
func explain(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) (plan string, blocks int) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) `+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	// The first line of buffers is of the whole statement.
	for _, found := range regexp.MustCompile(`(?:hit|read)=(\d+)`).FindAllStringSubmatch(lines[1], -1) {
		n, err := strconv.Atoi(found[1])
		if err != nil {
			t.Fatal(err)
		}
		blocks += n
	}
	return strings.Join(lines, "\n"), blocks
}
