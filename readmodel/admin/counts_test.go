package admin_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

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
		rows, err := pool.Query(t.Context(), `EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) `+admin.SelectOwnParked(), 1, replica, own.Stream.Name, own.Stream.Created)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		plan := strings.Join(lines, "\n")
		blocks := 0 // of the whole statement, which the first line of buffers is of
		for _, found := range regexp.MustCompile(`(?:hit|read)=(\d+)`).FindAllStringSubmatch(lines[1], -1) {
			n, err := strconv.Atoi(found[1])
			if err != nil {
				t.Fatal(err)
			}
			blocks += n
		}
		if blocks == 0 || blocks > table/5 || !strings.Contains(plan, "Index Only Scan using parked_partition") {
			t.Errorf("%s: it looks at %d blocks, and the table has %d:\n%s", replica, blocks, table, plan)
		}
	}
}
