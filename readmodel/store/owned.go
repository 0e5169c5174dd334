package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// Owned implements [engine.Store].
func (s *Store) Owned(ctx context.Context, generation int64, partitions []int) (own []engine.Checkpoint, err error) {
	var current bool
	q := &pgx.Batch{}
	q.Queue(`
SELECT EXISTS (SELECT FROM export.generations WHERE generation = $1 AND state = 'live' AND version_major = $2 AND version_minor = $3
    AND stream_name = $4 AND stream_created = $5)`, generation, projections.VersionMajor, projections.VersionMinor, s.stream.Name, s.stream.Created).
		QueryRow(func(row pgx.Row) error { return row.Scan(&current) })
	q.Queue(`
SELECT `+readmodel.CheckpointColumns+`
FROM export.checkpoints WHERE generation = $1 AND owner = $2 AND partition = ANY($3) ORDER BY partition`, generation, s.owner, partitions).
		Query(func(rows pgx.Rows) error {
			own, err = pgx.CollectRows(rows, readmodel.ScanCheckpoint)
			return err
		})
	if err := s.readTimeout.Do(ctx, func(ctx context.Context) error { return s.pool.SendBatch(ctx, q).Close() }); err != nil {
		return nil, fmt.Errorf("look where partitions stand: %w", err)
	}
	if !current {
		return nil, fmt.Errorf("%w: generation %d is no longer what this program projects", engine.ErrFenced, generation)
	}
	return own, nil
}
