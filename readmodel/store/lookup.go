package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Lookup implements [engine.Store]. Lookups of one kind are one statement.
func (s *Store) Lookup(ctx context.Context, generation int64, lookups []projections.Lookup) ([]projections.LookupResult, error) {
	results := make([]projections.LookupResult, len(lookups))
	for i, n := range lookups {
		results[i].Lookup = n
	}
	q := &pgx.Batch{}
	q.Queue(pg.PreferIndexes)
	// The subqueries have a LIMIT, so that the plan goes by primary keys whatever the
	// tables' statistics say.
	queueLookup(q, results, func(n projections.Lookup) int16 {
		if n.Section == projections.UsageSection {
			return int16(n.Section)
		}
		return 0
	}, readmodel.InSchema(generation, `
SELECT ARRAY[u.n], p.page_key, p.body
FROM unnest($1::integer[], $2::uuid[], $3::smallint[], $4::text[]) AS u (n, account_id, section, key)
CROSS JOIN LATERAL (
    SELECT page_key, body FROM {schema}.account_export_pages p
    WHERE p.account_id = u.account_id AND p.section = u.section AND p.page_key <= u.key COLLATE "C"
    ORDER BY page_key DESC LIMIT 1) p`))
	queueLookup(q, results, func(n projections.Lookup) int16 {
		if n.Section != projections.UsageSection {
			return int16(n.Section)
		}
		return 0
	}, readmodel.InSchema(generation, `
SELECT u.numbers, u.page_key, p.body
FROM (
    SELECT u.account_id, u.section, i.page_key, array_agg(u.n) AS numbers
    FROM unnest($1::integer[], $2::uuid[], $3::smallint[], $4::text[]) AS u (n, account_id, section, key)
    CROSS JOIN LATERAL (
        SELECT page_key FROM {schema}.account_export_items i
        WHERE i.account_id = u.account_id AND i.section = u.section AND i.item = u.key COLLATE "C" LIMIT 1) i
    GROUP BY u.account_id, u.section, i.page_key) u
CROSS JOIN LATERAL (
    SELECT body FROM {schema}.account_export_pages p
    WHERE p.account_id = u.account_id AND p.section = u.section AND p.page_key = u.page_key LIMIT 1) p`))
	queueLookup(q, results, func(n projections.Lookup) int16 { return int16(n.Entity) }, readmodel.InSchema(generation, `
SELECT ARRAY[u.n], '', w.patch
FROM unnest($1::integer[], $2::uuid[], $3::smallint[], $4::text[]) AS u (n, account_id, entity, key)
CROSS JOIN LATERAL (
    SELECT patch FROM {schema}.account_waiting w
    WHERE w.account_id = u.account_id AND w.entity = u.entity AND w.entity_id = u.key COLLATE "C" LIMIT 1) w`))
	return results, s.readTimeout.Do(ctx, func(ctx context.Context) error { return s.pool.SendBatch(ctx, q).Close() })
}

// queueLookup queues one statement for the lookups of which kindOf is not 0.
func queueLookup(q *pgx.Batch, results []projections.LookupResult, kindOf func(projections.Lookup) int16, sql string) {
	var numbers []int32
	var ids [][16]byte
	var kinds []int16
	var keys []string
	for i := range results {
		if k := kindOf(results[i].Lookup); k != 0 {
			numbers, ids = append(numbers, int32(i)), append(ids, results[i].Account)
			kinds, keys = append(kinds, k), append(keys, results[i].Key)
		}
	}
	if numbers == nil {
		return
	}
	q.Queue(sql, numbers, ids, kinds, keys).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var numbers []int32
			var page string
			var body []byte
			if err := rows.Scan(&numbers, &page, &body); err != nil {
				return fmt.Errorf("scan: %w", err)
			}
			for _, n := range numbers {
				results[n].Found, results[n].Page, results[n].Body = true, page, body
			}
		}
		return rows.Err()
	})
}
