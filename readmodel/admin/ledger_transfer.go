package admin

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/internal/pg"
)

// ExportErasures calls each with every entry, as of one moment, and then notes when the
// ledger was exported; not where each fails.
func ExportErasures(ctx context.Context, pool *pgxpool.Pool, each func(Erasure) error) (n int64, err error) {
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+erasureColumns+` FROM export.erasures ORDER BY account_id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			e, err := scanErasure(rows)
			if err == nil {
				err = each(e)
			}
			if err != nil {
				return err
			}
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
INSERT INTO export.erasures_exported AS e (exported_at, erasures) VALUES (now(), $1)
ON CONFLICT (only_one) DO UPDATE SET exported_at = excluded.exported_at, erasures = excluded.erasures
WHERE e.exported_at < excluded.exported_at`, n)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("export the ledger of erasures: %w", err)
	}
	return n, nil
}

// ImportErasures enters what the ledger lacks, all of it or nothing, and notes that
// those erasures are pending here, and so are those of which it knows another receipt,
// since they were carried out again. What the ledger has stays, but for the receipt. It
// returns how many entries were new.
func ImportErasures(ctx context.Context, pool *pgxpool.Pool, entries []Erasure) (entered int64, err error) {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b Erasure) int { return bytes.Compare(a.Account[:], b.Account[:]) })
	err = pg.RetryTx(ctx, pool, func(tx pgx.Tx) error {
		entered = 0
		for chunk := range slices.Chunk(entries, 1000) {
			n := len(chunk)
			ids, times, created := make([][16]byte, n), make([]time.Time, n), make([]time.Time, n)
			positions, streams, receipts := make([]int64, n), make([]string, n), make([]string, n)
			for i, e := range chunk {
				ids[i], times[i], positions[i] = e.Account, e.ErasedAt, int64(e.Position)
				streams[i], created[i], receipts[i] = e.Stream, e.StreamCreated, e.Receipt
			}
			var fresh int64
			err := tx.QueryRow(ctx, `
WITH entered AS (
    INSERT INTO export.erasures AS e (account_id, erased_at, position, stream_name, stream_created, receipt)
    SELECT u.id, u.at, u.p, u.s, u.c, nullif(u.r, '')
    FROM unnest($1::uuid[], $2::timestamptz[], $3::bigint[], $4::text[], $5::timestamptz[], $6::text[]) AS u (id, at, p, s, c, r)
    ORDER BY u.id
    ON CONFLICT (account_id) DO UPDATE SET receipt = coalesce(excluded.receipt, e.receipt)
    RETURNING account_id, xmax = 0 AS fresh),
owed AS (
    INSERT INTO export.erasures_owed (account_id, anew)
    SELECT n.account_id, true FROM entered n JOIN unnest($1::uuid[], $6::text[]) AS u (id, r) ON u.id = n.account_id
    LEFT JOIN export.erasures was ON was.account_id = n.account_id -- as it was before this statement
    WHERE n.fresh OR u.r <> '' AND was.receipt IS DISTINCT FROM u.r
    ON CONFLICT DO NOTHING)
SELECT count(*) FILTER (WHERE fresh) FROM entered`, ids, times, positions, streams, created, receipts).Scan(&fresh)
			if err != nil {
				return err
			}
			entered += fresh
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("import into the ledger of erasures: %w", err)
	}
	return entered, nil
}
