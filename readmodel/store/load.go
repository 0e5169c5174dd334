package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Load implements [engine.Store].
func (s *Store) Load(ctx context.Context, generation int64, accounts []events.UUID) (rows []projections.AccountRow, err error) {
	err = s.readTimeout.Do(ctx, func(ctx context.Context) error {
		rows, err = s.load(ctx, generation, accounts)
		return err
	})
	return rows, err
}

func (s *Store) load(ctx context.Context, generation int64, accounts []events.UUID) ([]projections.AccountRow, error) {
	ids := make([][16]byte, len(accounts))
	for i, id := range accounts {
		ids[i] = id
	}
	var out []projections.AccountRow
	q := &pgx.Batch{}
	q.Queue(pg.PreferIndexes)
	q.Queue(readmodel.InSchema(generation, `
SELECT account_id, partition, position, parked, erased_at, coalesce(quota_tier_id, ''), usage_low, usage_pages, key_pages,
    sandbox_pages, waiting, user_json, team_json, usage_tail, keys_tail, sandboxes_tail
FROM {schema}.account_export WHERE account_id = ANY($1)`), ids).Query(func(rows pgx.Rows) (err error) {
		out, err = pgx.CollectRows(rows, scanAccount)
		return err
	})
	return out, s.pool.SendBatch(ctx, q).Close()
}

func scanAccount(row pgx.CollectableRow) (r projections.AccountRow, err error) {
	var erased *time.Time
	err = row.Scan((*[16]byte)(&r.ID), &r.Partition, &r.Position, &r.Parked, &erased, &r.QuotaTierID, &r.UsageLow,
		&r.UsagePages, &r.KeyPages, &r.SandboxPages, &r.Waiting, &r.User, &r.Team, &r.Usage, &r.Keys, &r.Sandboxes)
	if erased != nil {
		at := events.TimeOf(*erased)
		r.ErasedAt = &at
	}
	return r, err
}

// Lookup implements [engine.Store].
func (s *Store) Lookup(ctx context.Context, generation int64, needs []projections.Lookup) ([]projections.LookupResult, error) {
	answers := make([]projections.LookupResult, len(needs))
	for i, n := range needs {
		answers[i].Lookup = n
	}
	q := &pgx.Batch{}
	q.Queue(pg.PreferIndexes)
	// Nested subqueries with LIMIT, so that the plan goes by primary keys
	// whatever the tables' statistics say.
	queueLookup(q, answers, func(n projections.Lookup) int16 {
		if n.Section == projections.UsageSection {
			return int16(n.Section)
		}
		return 0
	}, readmodel.InSchema(generation, `
SELECT u.n, p.page_key, p.body
FROM unnest($1::integer[], $2::uuid[], $3::smallint[], $4::text[]) AS u (n, account_id, section, key)
CROSS JOIN LATERAL (
    SELECT page_key, body FROM {schema}.account_export_pages p
    WHERE p.account_id = u.account_id AND p.section = u.section AND p.page_key <= u.key COLLATE "C"
    ORDER BY page_key DESC LIMIT 1) p`))
	queueLookup(q, answers, func(n projections.Lookup) int16 {
		if n.Section != projections.UsageSection {
			return int16(n.Section)
		}
		return 0
	}, readmodel.InSchema(generation, `
SELECT u.n, p.page_key, p.body
FROM unnest($1::integer[], $2::uuid[], $3::smallint[], $4::text[]) AS u (n, account_id, section, key)
CROSS JOIN LATERAL (
    SELECT page_key FROM {schema}.account_export_items i
    WHERE i.account_id = u.account_id AND i.section = u.section AND i.item = u.key COLLATE "C" LIMIT 1) i
CROSS JOIN LATERAL (
    SELECT page_key, body FROM {schema}.account_export_pages p
    WHERE p.account_id = u.account_id AND p.section = u.section AND p.page_key = i.page_key LIMIT 1) p`))
	queueLookup(q, answers, func(n projections.Lookup) int16 { return int16(n.Entity) }, readmodel.InSchema(generation, `
SELECT u.n, '', w.patch
FROM unnest($1::integer[], $2::uuid[], $3::smallint[], $4::text[]) AS u (n, account_id, entity, key)
CROSS JOIN LATERAL (
    SELECT patch FROM {schema}.account_waiting w
    WHERE w.account_id = u.account_id AND w.entity = u.entity AND w.entity_id = u.key COLLATE "C" LIMIT 1) w`))
	return answers, s.readTimeout.Do(ctx, func(ctx context.Context) error { return s.pool.SendBatch(ctx, q).Close() })
}

// queueLookup asks one question for the needs that kind is not 0 of.
func queueLookup(q *pgx.Batch, answers []projections.LookupResult, kind func(projections.Lookup) int16, sql string) {
	var numbers []int32
	var ids [][16]byte
	var kinds []int16
	var keys []string
	for i := range answers {
		if k := kind(answers[i].Lookup); k != 0 {
			numbers, ids = append(numbers, int32(i)), append(ids, answers[i].Account)
			kinds, keys = append(kinds, k), append(keys, answers[i].Key)
		}
	}
	if numbers == nil {
		return
	}
	q.Queue(sql, numbers, ids, kinds, keys).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var n int
			var page string
			var body []byte
			if err := rows.Scan(&n, &page, &body); err != nil {
				return fmt.Errorf("scan: %w", err)
			}
			answers[n].Found, answers[n].Page, answers[n].Body = true, page, body
		}
		return rows.Err()
	})
}
