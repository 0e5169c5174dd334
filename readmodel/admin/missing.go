package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Missing is what a stream is known to lack, as the database keeps it for a stream of
// one name and time of creation.
type Missing struct {
	Explained   uint64        // how many messages may be missing, among them those that erasures are about to remove
	Undelivered engine.Ranges // counted by the server as there, and not delivered; no operator has accepted that yet
}

// ErrNoLedger means that the database has no ledger of missing messages yet: it is a
// [readmodel.ErrSchemaOutdated], with the same text, of one table. Without that table
// nobody can tell whether the stream has lost messages, and what erases or folds must
// not go on; other tables that are missing are errors wherever they are used.
var ErrNoLedger = fmt.Errorf("%w", readmodel.ErrSchemaOutdated)

// FindMissing reads it; [ErrNoLedger] where the database has no such table, and
// [accountexport/readmodel.ErrNotFound] where the stream has no baseline yet, see
// [RecordMissing].
func FindMissing(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo) (m Missing, err error) {
	err = pool.QueryRow(ctx, `SELECT explained FROM export.missing WHERE stream_name = $1 AND stream_created = $2`,
		info.Name, info.Created).Scan(&m.Explained)
	if err == nil {
		m.Undelivered, err = readRanges(ctx, pool, info, "undelivered")
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = readmodel.ErrNotFound
	}
	if pg.IsUndefinedTable(err) {
		return m, fmt.Errorf("%w: %w", ErrNoLedger, err)
	}
	if err != nil {
		return m, fmt.Errorf("read what stream %s is missing: %w", info.Name, err)
	}
	return m, nil
}

// KnownMissing are the positions that were missing when the baseline was recorded, or
// were accepted as lost, whether or not the server counts those as gone.
func KnownMissing(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo) (engine.Ranges, error) {
	known, err := readRanges(ctx, pool, info, "known")
	if err != nil {
		return nil, fmt.Errorf("read what stream %s is missing: %w", info.Name, err)
	}
	return known, nil
}

// readRanges reads a column of positions.
func readRanges(ctx context.Context, db pg.Querier, info engine.StreamInfo, column string) (out engine.Ranges, err error) {
	rows, err := db.Query(ctx, `
SELECT lower(r), upper(r) - 1 FROM export.missing, unnest(`+column+`) AS r WHERE stream_name = $1 AND stream_created = $2 ORDER BY 1`,
		info.Name, info.Created)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(r pgx.CollectableRow) (x engine.Range, err error) {
		err = r.Scan(&x.First, &x.Last)
		return x, err
	})
}

// RecordMissing records the baseline: the positions that a stream lacks when it is first
// looked at. gone is of the same answer of the server as info. Of several that record
// one the first counts.
func RecordMissing(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, gone engine.Ranges) error {
	first, last := bounds(gone)
	_, err := pool.Exec(ctx, `
INSERT INTO export.missing (stream_name, stream_created, explained, known) VALUES ($1, $2, $3, `+multirange("$4", "$5")+`)
ON CONFLICT DO NOTHING`, info.Name, info.Created, int64(info.Missing()), first, last)
	if err != nil {
		return fmt.Errorf("take on what stream %s is missing: %w", info.Name, err)
	}
	return nil
}

// SetUndelivered notes the positions that the server counts as there and does
// not deliver, in the place of those that were noted before.
func SetUndelivered(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, undelivered engine.Ranges) error {
	first, last := bounds(undelivered)
	_, err := pool.Exec(ctx, `
UPDATE export.missing SET undelivered = `+multirange("$3", "$4")+` WHERE stream_name = $1 AND stream_created = $2`,
		info.Name, info.Created, first, last)
	if err != nil {
		return fmt.Errorf("note what stream %s does not deliver: %w", info.Name, err)
	}
	return nil
}

// RaiseExplained raises how many messages may be missing, where each of them is
// accounted for: some that the server counted as there were accepted as lost,
// and it counts them as gone by now.
func RaiseExplained(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo) error {
	_, err := pool.Exec(ctx, `
UPDATE export.missing SET explained = greatest(explained, $3) WHERE stream_name = $1 AND stream_created = $2`,
		info.Name, info.Created, int64(info.Missing()))
	if err != nil {
		return fmt.Errorf("note what stream %s is missing: %w", info.Name, err)
	}
	return nil
}

// multirange is SQL for the positions between the arrays in two arguments.
func multirange(first, last string) string {
	return `coalesce((SELECT range_agg(int8range(f, l, '[]')) FROM unnest(` + first + `::bigint[], ` + last + `::bigint[]) AS u (f, l)), '{}')`
}

func bounds(r engine.Ranges) (first, last []int64) {
	first, last = make([]int64, len(r)), make([]int64, len(r))
	for i, x := range r {
		first[i], last[i] = int64(x.First), int64(x.Last)
	}
	return first, last
}
