package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
)

// Heartbeat implements [engine.Store].
func (s *Store) Heartbeat(ctx context.Context, generation int64, take bool) (engine.Assignment, error) {
	if s.members == nil {
		return engine.Assignment{}, errors.New("this store shares no partitions")
	}
	ctx, stop := s.members.withHeartbeatTimeout(ctx)
	defer stop()
	share, err := s.members.confirm(ctx, generation, take)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errHeartbeatTimeout) {
		return share, cause
	}
	return share, err
}

// AwaitRebalance implements [engine.Store].
func (s *Store) AwaitRebalance(ctx context.Context) error {
	if s.members == nil {
		return errors.New("this store shares no partitions")
	}
	return s.members.awaitRebalance(ctx)
}

// Paused implements [engine.Store].
func (s *Store) Paused(ctx context.Context) (*engine.Pause, error) {
	if s.members != nil {
		s.members.setTakeover(s.Takeover)
		limited, stop := s.members.withHeartbeatTimeout(ctx)
		err := s.members.heartbeatOrRegister(limited)
		if cause := context.Cause(limited); err != nil && errors.Is(cause, errHeartbeatTimeout) {
			err = cause
		}
		if stop(); err != nil {
			return nil, err
		}
	}
	var p *engine.Pause
	err := s.readTimeout.Do(ctx, func(ctx context.Context) (err error) {
		p, err = readmodel.FindPause(ctx, s.pool)
		return err
	})
	return p, err
}

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

// Release implements [engine.Store].
func (s *Store) Release(ctx context.Context, generation int64, c engine.Checkpoint) error {
	batch := &pgx.Batch{}
	var released bool
	batch.Queue(`
UPDATE export.checkpoints SET owner = NULL, epoch = epoch + 1
WHERE generation = $1 AND partition = $2 AND epoch = $3 AND owner = $4`, generation, c.Partition, c.Epoch, s.owner).
		Exec(func(tag pgconn.CommandTag) error {
			released = tag.RowsAffected() == 1
			return nil
		})
	err := s.readTimeout.Do(ctx, func(ctx context.Context) error { return s.pool.SendBatch(ctx, batch).Close() })
	if err != nil {
		return fmt.Errorf("release partition %d: %w", c.Partition, err)
	}
	if !released {
		return fmt.Errorf("release partition %d: %w", c.Partition, engine.ErrFenced)
	}
	s.members.notifier.schedule()
	return nil
}
