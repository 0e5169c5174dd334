package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
)

// RecordRemovals notes that the messages at these positions are about to be
// removed, all of them: it is to be called before, and is committed when it returns.
// A position that is noted already counts once. A program that is killed then leaves
// explained messages that are still there, until they are removed.
func RecordRemovals(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, positions []uint64) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var stream int32
		err := tx.QueryRow(ctx, `
SELECT stream FROM export.missing WHERE stream_name = $1 AND stream_created = $2 FOR UPDATE`, info.Name, info.Created).Scan(&stream)
		if err != nil {
			return err
		}
		added := int64(0)
		for chunk := range slices.Chunk(positions, 50_000) {
			chunkPositions := make([]int64, len(chunk))
			for i, p := range chunk {
				chunkPositions[i] = int64(p)
			}
			tag, err := tx.Exec(ctx, `
INSERT INTO export.removals (stream, position) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`, stream, chunkPositions)
			if err != nil {
				return err
			}
			added += tag.RowsAffected()
		}
		_, err = tx.Exec(ctx, `UPDATE export.missing SET explained = explained + $2 WHERE stream = $1`, stream, added)
		return err
	})
	if err != nil {
		return fmt.Errorf("note that %d messages of stream %s are about to be removed: %w", len(positions), info.Name, err)
	}
	return nil
}

// Unexplained are those of the positions that are neither known to be missing,
// nor accepted as lost, nor removed by an erasure. gone was learned from the server
// before.
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

// removalTimeout is more than an erasure takes from noting to removing.
const removalTimeout = 10 * time.Minute

// AcceptMissing accepts what a stream lacks now, gone, of the same answer of the server
// as info, and what it does not deliver. From then on those positions are known, and
// so many messages may be missing, beside what an erasure has yet to remove. What was
// noted for removal and not removed for ten minutes is forgotten, since its position
// may have been given out again. lost, where not empty, goes on record as given up by
// the live generation.
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
			stream, removalTimeout)
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
