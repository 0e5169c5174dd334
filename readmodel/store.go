package readmodel

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections"
)

//go:embed generation.sql
var generationSQL string

// fencedCode is the SQLSTATE of export.advance.
const fencedCode = "AE001"

// Store is the read model as a projector writes it; it implements
// [projections.Store]. A Store is used by one projector at a time.
type Store struct {
	pool  *pgxpool.Pool
	owner string
	log   *slog.Logger

	choose chooser
	refuse func(ctx context.Context, stream projections.StreamInfo) error // before waiting for a turn that is of no use
	copies bool                                                           // many rows are new: COPY those
	role   string                                                         // what one replica at a time does; names the lock
	lock   *pgx.Conn                                                      // holds it
}

// chooser finds or makes the generation to write.
type chooser func(ctx context.Context, tx pgx.Tx, stream projections.StreamInfo) (Generation, error)

// NewStore writes the live generation through the pool, and the first one where
// there is none. owner names this replica to people.
func NewStore(pool *pgxpool.Pool, owner string, log *slog.Logger) *Store {
	return &Store{pool: pool, owner: owner, log: log, role: "projector",
		refuse: func(ctx context.Context, stream projections.StreamInfo) error {
			g, err := liveGeneration(ctx, pool)
			if errors.Is(err, ErrNoGeneration) {
				return nil
			}
			if err != nil {
				return err
			}
			return g.accepts(stream)
		},
		choose: func(ctx context.Context, tx pgx.Tx, stream projections.StreamInfo) (Generation, error) {
			g, err := liveGeneration(ctx, tx)
			if errors.Is(err, ErrNoGeneration) {
				g, err = createGeneration(ctx, tx, stream, StateLive)
			}
			return g, err
		}}
}

// Close gives up what the store owns.
func (s *Store) Close(ctx context.Context) {
	if s.lock != nil {
		s.lock.Close(ctx)
		s.lock = nil
	}
}

func schema(generation int64) string { return fmt.Sprintf("export_g%d", generation) }

// Acquire implements [projections.Store]. One replica projects at a time; the
// others wait here for its session with the database to end. Safety does not
// rest on that lock but on the epoch, which every Acquire moves on.
func (s *Store) Acquire(ctx context.Context, stream projections.StreamInfo) (projections.Ownership, error) {
	if s.refuse != nil {
		if err := s.refuse(ctx, stream); err != nil {
			return projections.Ownership{}, err
		}
	}
	if err := s.exclude(ctx); err != nil {
		return projections.Ownership{}, err
	}
	own, err := s.take(ctx, stream)
	if err != nil {
		s.Close(context.WithoutCancel(ctx))
	}
	return own, err
}

// exclude waits until this is the one replica that projects.
func (s *Store) exclude(ctx context.Context) error {
	if s.lock != nil && (s.lock.IsClosed() || s.lock.Ping(ctx) != nil) {
		s.Close(ctx)
	}
	if s.lock != nil {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig.Copy())
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	for said := false; ; said = true {
		var got bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('accountexport ' || $1))`, s.role).Scan(&got)
		if err != nil {
			conn.Close(context.WithoutCancel(ctx))
			return fmt.Errorf("lock: %w", err)
		}
		if got {
			s.lock = conn
			return nil
		}
		if !said {
			s.log.Info("another replica is at it; standing by", "role", s.role)
		}
		select {
		case <-ctx.Done():
			conn.Close(context.WithoutCancel(ctx))
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (s *Store) take(ctx context.Context, stream projections.StreamInfo) (own projections.Ownership, err error) {
	err = pgx.BeginFunc(ctx, s.lock, func(tx pgx.Tx) error {
		g, err := s.choose(ctx, tx, stream)
		if err != nil {
			return err
		}
		if err := g.accepts(stream); err != nil {
			return err
		}
		if g.Minor < projections.VersionMinor {
			// From here on the older program refuses this generation: it would
			// park what this one accepts. [RefoldParked] does the rest.
			if err := raiseMinor(ctx, tx, g.Number); err != nil {
				return err
			}
			s.log.Info("taken on a generation of an older minor version", "generation", g.Number, "was", g.Version())
		}
		own.Generation, own.Stream = g.Number, g.Stream
		own.Checkpoints, err = takeCheckpoints(ctx, tx, g.Number, s.owner)
		return err
	})
	return own, err
}

func takeCheckpoints(ctx context.Context, tx pgx.Tx, generation int64, owner string) ([]projections.Checkpoint, error) {
	rows, err := tx.Query(ctx, `
WITH taken AS (
    UPDATE export.checkpoints SET epoch = epoch + 1, owner = $2 WHERE generation = $1
    RETURNING partition, position, epoch, as_of)
SELECT partition, position, epoch, as_of FROM taken ORDER BY partition`, generation, owner)
	if err != nil {
		return nil, fmt.Errorf("take checkpoints: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (c projections.Checkpoint, err error) {
		err = r.Scan(&c.Partition, &c.Position, &c.Epoch, &c.AsOf)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("take checkpoints: %w", err)
	}
	return out, nil
}

// fenced turns the database's word for it into the engine's.
func fenced(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == fencedCode {
		return fmt.Errorf("%w: %s", projections.ErrFenced, pg.Message)
	}
	return err
}

func inSchema(generation int64, sql string) string {
	return strings.ReplaceAll(sql, "{schema}", schema(generation))
}
