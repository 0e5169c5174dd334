package readmodel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel/internal/pg"
)

// checkpointOf is where a partition is. Locked, FOR UPDATE, it keeps the
// partition's projector from committing until the transaction ends.
func CheckpointOf(ctx context.Context, db pg.Querier, generation int64, partition int, lock string) (engine.Advance, error) {
	at := engine.Advance{Partition: partition}
	err := db.QueryRow(ctx, `
SELECT position, epoch, as_of FROM export.checkpoints WHERE generation = $1 AND partition = $2 `+lock, generation, partition).
		Scan(&at.From, &at.Epoch, &at.AsOf)
	if err != nil {
		return at, fmt.Errorf("the checkpoint of partition %d: %w", partition, err)
	}
	at.To = at.From
	return at, nil
}

// Checkpoints are how far each partition of a generation is, and the last message
// that was folded of it.
func Checkpoints(ctx context.Context, pool *pgxpool.Pool, generation int64) ([]engine.Checkpoint, error) {
	rows, err := pool.Query(ctx, `
SELECT partition, position, epoch, as_of, last_position, last_at, last_digest FROM export.checkpoints WHERE generation = $1 ORDER BY partition`, generation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	out, err := pgx.CollectRows(rows, ScanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return out, nil
}

// scanCheckpoint reads partition, position, epoch, as_of and the last message.
func ScanCheckpoint(r pgx.CollectableRow) (c engine.Checkpoint, err error) {
	var last LastMessage
	err = r.Scan(&c.Partition, &c.Position, &c.Epoch, &c.AsOf, &last.Position, &last.At, &last.Digest)
	if err == nil {
		c.Last, err = last.Mark()
	}
	return c, err
}

// lastMessage is a checkpoint's last message as it is stored.
type LastMessage struct {
	Position *int64
	At       *time.Time
	Digest   []byte
}

func (l LastMessage) Mark() (m engine.Fingerprint, err error) {
	if l.Position == nil {
		return m, nil
	}
	if l.At == nil || len(l.Digest) != len(m.Digest) {
		return m, errors.New("a checkpoint's last message has no time or digest")
	}
	return engine.Fingerprint{Position: uint64(*l.Position), Time: *l.At, Digest: [16]byte(l.Digest)}, nil
}

// CheckpointPositions are the checkpoints of a generation, by partition.
func CheckpointPositions(ctx context.Context, pool *pgxpool.Pool, generation int64) (map[int]uint64, error) {
	rows, err := pool.Query(ctx, `SELECT partition, position FROM export.checkpoints WHERE generation = $1`, generation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	out := map[int]uint64{}
	var partition int
	var position uint64
	if _, err := pgx.ForEachRow(rows, []any{&partition, &position}, func() error {
		out[partition] = position
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return out, nil
}

// MeanPosition is the mean checkpoint of a generation.
func MeanPosition(ctx context.Context, pool *pgxpool.Pool, generation int64) (position uint64, err error) {
	err = pool.QueryRow(ctx, `SELECT coalesce(avg(position), 0)::bigint FROM export.checkpoints WHERE generation = $1`, generation).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return position, nil
}

// LowestPosition is the lowest checkpoint of a generation.
func LowestPosition(ctx context.Context, db pg.Querier, generation int64) (position uint64, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(min(position), 0) FROM export.checkpoints WHERE generation = $1`, generation).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return position, nil
}

// TimeLag is how long ago the oldest of a generation's as-of times is.
func TimeLag(ctx context.Context, pool *pgxpool.Pool, generation int64) (time.Duration, error) {
	var seconds float64
	err := pool.QueryRow(ctx, `
SELECT coalesce(extract(epoch FROM now() - min(as_of)), 0)::float8 FROM export.checkpoints WHERE generation = $1`, generation).Scan(&seconds)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// fenced turns the database's word for it into the engine's.
func EngineError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == fencedCode {
		return fmt.Errorf("%w: %s", engine.ErrFenced, pg.Message)
	}
	if pg != nil && pg.Code == pausedCode {
		return engine.PausedError(pg.Message)
	}
	return err
}

// fencedCode is the SQLSTATE of export.advance_checkpoints.
const fencedCode = "AE001"
