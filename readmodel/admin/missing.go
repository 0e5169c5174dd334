package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// Missing is what a stream has to be missing, as the database keeps it for a
// stream of one name and time of creation.
type Missing struct {
	Explained   uint64        // so many messages may be missing, those that erasures are about to remove among them
	Undelivered engine.Ranges // counted by the server as there, and not delivered; nobody has accepted that yet
}

// FindMissing reads it; [accountexport/readmodel.ErrNotFound] where the stream was not taken on yet.
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
		return m, fmt.Errorf("%w: %w", readmodel.ErrSchemaOutdated, err)
	}
	if err != nil {
		return m, fmt.Errorf("read what stream %s is missing: %w", info.Name, err)
	}
	return m, nil
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

// KnownMissing are the positions that were missing when the stream was taken on, or
// were accepted as lost, whether the server counts those as gone or not.
func KnownMissing(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo) (engine.Ranges, error) {
	known, err := readRanges(ctx, pool, info, "known")
	if err != nil {
		return nil, fmt.Errorf("read what stream %s is missing: %w", info.Name, err)
	}
	return known, nil
}

// multirange makes positions of the arrays in two arguments.
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

// RecordMissing notes what a stream is missing that was not looked at before: gone, of
// the same answer of the server as info. Of several who do so the first counts.
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

// RecordRemovals notes that the messages at these positions are about to be
// removed, all of them: to be called before, and committed when it returns. What
// somebody has noted already counts once. Whoever is killed then has explained
// messages that are still there, until somebody removes them.
func RecordRemovals(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, positions []uint64) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var stream int32
		err := tx.QueryRow(ctx, `
SELECT stream FROM export.missing WHERE stream_name = $1 AND stream_created = $2 FOR UPDATE`, info.Name, info.Created).Scan(&stream)
		if err != nil {
			return err
		}
		booked := int64(0)
		for some := range slices.Chunk(positions, 50_000) {
			these := make([]int64, len(some))
			for i, p := range some {
				these[i] = int64(p)
			}
			tag, err := tx.Exec(ctx, `
INSERT INTO export.removals (stream, position) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`, stream, these)
			if err != nil {
				return err
			}
			booked += tag.RowsAffected()
		}
		_, err = tx.Exec(ctx, `UPDATE export.missing SET explained = explained + $2 WHERE stream = $1`, stream, booked)
		return err
	})
	if err != nil {
		return fmt.Errorf("note that %d messages of stream %s are about to be removed: %w", len(positions), info.Name, err)
	}
	return nil
}

// Unexplained are those of the positions that are neither known to be missing,
// or accepted as lost, nor an erasure's. The server's answer is of before.
func Unexplained(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, gone engine.Ranges) (engine.Ranges, error) {
	known, err := KnownMissing(ctx, pool, info)
	if err != nil {
		return nil, err
	}
	return WithoutRemovals(ctx, pool, info, gone.Without(known))
}

// WithoutRemovals are those of the positions that no erasure has noted.
func WithoutRemovals(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, left engine.Ranges) (engine.Ranges, error) {
	if len(left) == 0 {
		return nil, nil
	}
	rows, err := pool.Query(ctx, `
SELECT position FROM export.removals r JOIN export.missing m USING (stream)
WHERE stream_name = $1 AND stream_created = $2 AND position BETWEEN $3 AND $4 ORDER BY position`,
		info.Name, info.Created, int64(left[0].First), int64(left[len(left)-1].Last))
	if err != nil {
		return nil, fmt.Errorf("read what was removed from stream %s: %w", info.Name, err)
	}
	removed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("read what was removed from stream %s: %w", info.Name, err)
	}
	ours := make(engine.Ranges, 0, len(removed))
	for _, p := range removed {
		ours = append(ours, engine.Range{First: uint64(p), Last: uint64(p)})
	}
	return left.Without(ours.Union(nil)), nil
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

// SetUndelivered notes the positions that the server counts as there and does
// not deliver, in the place of those that were noted before.
func SetUndelivered(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, those engine.Ranges) error {
	first, last := bounds(those)
	_, err := pool.Exec(ctx, `
UPDATE export.missing SET undelivered = `+multirange("$3", "$4")+` WHERE stream_name = $1 AND stream_created = $2`,
		info.Name, info.Created, first, last)
	if err != nil {
		return fmt.Errorf("note what stream %s does not deliver: %w", info.Name, err)
	}
	return nil
}

// attempted is more than an erasure takes from noting to removing.
const attempted = 10 * time.Minute

// AcceptMissing accepts what a stream is missing now, gone, of the same answer
// of the server as info, and what it does not deliver. From then on it is known,
// and so many may be missing, beside what an erasure has yet to remove.
// That stays noted, but for what nobody has removed for ten minutes: its position
// may have been given out again by then. lost, where not empty, goes on record as given up by the live generation.
func AcceptMissing(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, missing uint64, gone, undelivered, lost engine.Ranges) error {
	first, last := bounds(gone.Union(undelivered))
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var stream int32
		err := tx.QueryRow(ctx, `
INSERT INTO export.missing AS m (stream_name, stream_created, explained, known) VALUES ($1, $2, 0, `+multirange("$3", "$4")+`)
ON CONFLICT (stream_name, stream_created) DO UPDATE SET known = excluded.known, undelivered = '{}'
RETURNING stream`, info.Name, info.Created, first, last).Scan(&stream)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
DELETE FROM export.removals r USING export.missing m
WHERE m.stream = $1 AND r.stream = $1 AND (m.known @> r.position OR r.booked_at < now() - $2::interval)`,
			stream, attempted)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
UPDATE export.missing SET explained = $2 + (SELECT count(*) FROM export.removals WHERE stream = $1) WHERE stream = $1`,
			stream, int64(missing))
		if err != nil || len(lost) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `
INSERT INTO export.acceptances (generation, what) SELECT generation, $1 FROM export.generations WHERE state = 'live'`,
			fmt.Sprintf("messages %v lost", lost))
		return err
	})
	if err != nil {
		return fmt.Errorf("accept what stream %s is missing: %w", info.Name, err)
	}
	return nil
}
