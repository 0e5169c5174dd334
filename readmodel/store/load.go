package store

import (
	"context"
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
