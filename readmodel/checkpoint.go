package readmodel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel/internal/pg"
)

// BeginAdvance is where a partition's checkpoint stands, as an advance that moves it
// nowhere yet: From and To are its position. Nothing is locked, so the checkpoint
// may have moved by the time that the advance is written, which is then fenced.
func BeginAdvance(ctx context.Context, db pg.Querier, generation int64, partition int) (engine.Advance, error) {
	return readAdvance(ctx, db, generation, partition, "")
}

// LockAdvance is [BeginAdvance] with the checkpoint's row locked, which keeps the
// partition's projector from committing until tx ends.
func LockAdvance(ctx context.Context, tx pgx.Tx, generation int64, partition int) (engine.Advance, error) {
	return readAdvance(ctx, tx, generation, partition, "FOR UPDATE")
}

// readAdvance reads where a checkpoint stands, and locks it where lock is FOR UPDATE.
func readAdvance(ctx context.Context, db pg.Querier, generation int64, partition int, lock string) (engine.Advance, error) {
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

// Checkpoints lists how far each partition of a generation has come, and the last
// message that was folded of it, in the order of the partitions.
func Checkpoints(ctx context.Context, pool *pgxpool.Pool, generation int64) ([]engine.Checkpoint, error) {
	rows, err := pool.Query(ctx, `
SELECT `+CheckpointColumns+` FROM export.checkpoints WHERE generation = $1 ORDER BY partition`, generation)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	out, err := pgx.CollectRows(rows, ScanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return out, nil
}

// CheckpointColumns are the columns of export.checkpoints that [ScanCheckpoint]
// reads, in its order.
const CheckpointColumns = `partition, position, epoch, as_of, last_position, last_at, last_digest`

// ScanCheckpoint reads a row of [CheckpointColumns].
func ScanCheckpoint(r pgx.CollectableRow) (c engine.Checkpoint, err error) {
	var last StoredFingerprint
	err = r.Scan(&c.Partition, &c.Position, &c.Epoch, &c.AsOf, &last.Position, &last.At, &last.Digest)
	if err == nil {
		c.Last, err = last.Fingerprint()
	}
	return c, err
}

// StoredFingerprint is the fingerprint of a checkpoint's last message as it is
// stored: NULL where the partition has none yet.
type StoredFingerprint struct {
	Position *int64
	At       *time.Time
	Digest   []byte
}

// Fingerprint is the engine's form of it; the zero value where there is none.
func (s StoredFingerprint) Fingerprint() (f engine.Fingerprint, err error) {
	if s.Position == nil {
		return f, nil
	}
	if s.At == nil || len(s.Digest) != len(f.Digest) {
		return f, errors.New("a checkpoint's last message has no time or digest")
	}
	return engine.Fingerprint{Position: uint64(*s.Position), Time: *s.At, Digest: [16]byte(s.Digest)}, nil
}

// CheckpointPositions is how far each partition of a generation has come.
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

// MeanPosition is the mean of a generation's checkpoints; 0 where it has none.
func MeanPosition(ctx context.Context, pool *pgxpool.Pool, generation int64) (position uint64, err error) {
	err = pool.QueryRow(ctx, `SELECT coalesce(avg(position), 0)::bigint FROM export.checkpoints WHERE generation = $1`, generation).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return position, nil
}

// LowestPosition is the lowest of a generation's checkpoints; 0 where it has none.
func LowestPosition(ctx context.Context, db pg.Querier, generation int64) (position uint64, err error) {
	err = db.QueryRow(ctx, `SELECT coalesce(min(position), 0) FROM export.checkpoints WHERE generation = $1`, generation).Scan(&position)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return position, nil
}

// liveMember is how long ago a replica has told that it lives, at most, for its partitions
// to count as being projected.
const liveMember = 15 * time.Second

// TimeLag is the age, by the database's clock, of the oldest of a generation's as-of
// times, of those partitions that a replica projects; 0 where none does.
func TimeLag(ctx context.Context, pool *pgxpool.Pool, generation int64) (time.Duration, error) {
	var seconds float64
	err := pool.QueryRow(ctx, `
SELECT coalesce(extract(epoch FROM now() - min(c.as_of)), 0)::float8
FROM export.checkpoints c JOIN export.members m ON m.member = c.owner AND m.seen_at > now() - $2::interval
WHERE c.generation = $1`, generation, liveMember).Scan(&seconds)
	if err != nil {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
