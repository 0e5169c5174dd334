package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// joinTimeout is more than joining takes.
const joinTimeout = 30 * time.Second

// Acquire implements [engine.Store]. That no two replicas write a partition does not
// rest on who owns what but on the epochs, which every change of owner moves on.
func (s *Store) Acquire(ctx context.Context, stream engine.StreamInfo) (own engine.Ownership, err error) {
	if s.members != nil {
		return s.join(ctx, stream)
	}
	if err := s.acquireLock(ctx); err != nil {
		return own, err
	}
	err = pgx.BeginFunc(ctx, s.lockConn, func(tx pgx.Tx) error {
		if err := readmodel.CheckPaused(ctx, tx); err != nil {
			return err
		}
		g, err := s.prepareGeneration(ctx, tx, stream)
		if err != nil {
			return err
		}
		own = ownershipOf(g)
		own.Checkpoints, err = takeCheckpoints(ctx, tx, g.Number, s.owner)
		return err
	})
	if err != nil {
		s.Close(context.WithoutCancel(ctx))
		return own, err
	}
	s.acquired.Store(own.Generation)
	return own, nil
}

// Acquired is the generation that a store without members writes; 0 before its first
// Acquire has succeeded.
func (s *Store) Acquired() int64 { return s.acquired.Load() }

// join makes this replica a member, and takes its share of the partitions that
// are free.
func (s *Store) join(ctx context.Context, stream engine.StreamInfo) (own engine.Ownership, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	m := s.members
	m.setTakeover(s.Takeover)
	if s.joinAttempts++; s.joinAttempts > 1 {
		s.pool.Reset() // where one connection has fallen silent, others may have as well
	}
	// Where the pool does not answer, as where a pooler stands still, the member's own
	// connection may still answer: other replicas are then better owners.
	if err := s.checkPool(ctx); err != nil {
		m.leave(ctx)
		return own, err
	}
	conn, err := m.connected(ctx)
	if err != nil {
		return own, err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Replicas join one after the other: the first one creates the first generation.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('accountexport join'))`); err != nil {
			return fmt.Errorf("join: %w", err)
		}
		if err := readmodel.CheckPaused(ctx, tx); err != nil {
			return err
		}
		g, err := s.prepareGeneration(ctx, tx, stream)
		if err != nil {
			return err
		}
		own = ownershipOf(g)
		own.Dynamic = true
		s.stream = g.Stream
		return m.join(ctx, tx, g.Number)
	})
	if err == nil {
		m.joined = true
		m.notifier.schedule()
		var share engine.Assignment
		share, err = m.confirm(ctx, own.Generation, true)
		own.Checkpoints = share.Owned
	}
	if err != nil {
		m.endStaleTransactions(context.WithoutCancel(ctx), err)
		m.disconnect(context.WithoutCancel(ctx))
	}
	return own, err
}

// checkPool fails where the pool does not answer within the time after which a silent
// replica's partitions are taken over.
func (s *Store) checkPool(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.members.takeover)
	defer cancel()
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	return nil
}

// acquireLock waits until this is the one replica that builds or rolls back.
func (s *Store) acquireLock(ctx context.Context) error {
	if s.lockConn != nil && (s.lockConn.IsClosed() || s.lockConn.Ping(ctx) != nil) {
		s.Close(ctx)
	}
	if s.lockConn != nil {
		return nil
	}
	conn, err := pg.Connect(ctx, s.sessionConfig())
	if err != nil {
		return err
	}
	for logged := false; ; logged = true {
		var locked bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('accountexport ' || $1))`, s.lockRole).Scan(&locked)
		if err != nil {
			pg.CloseWithTimeout(ctx, conn)
			return fmt.Errorf("lock: %w", err)
		}
		if locked {
			s.lockConn = conn
			return nil
		}
		if !logged {
			s.log.Info("another replica is at it; standing by", "role", s.lockRole)
		}
		select {
		case <-ctx.Done():
			pg.CloseWithTimeout(ctx, conn)
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// prepareGeneration is the generation to write, refused where this program may not
// write it.
func (s *Store) prepareGeneration(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error) {
	g, err := s.chooseGeneration(ctx, tx, stream)
	if err != nil {
		return g, err
	}
	if err := g.CheckCompatible(stream); err != nil {
		return g, err
	}
	if err := readmodel.EnsureCountColumns(ctx, s.pool, g); err != nil {
		return g, err
	}
	if err := g.RecordStreamID(ctx, tx, stream); err != nil {
		return g, err
	}
	if g.Minor < projections.VersionMinor {
		// From here on an older program refuses this generation, since it would
		// park what this one accepts. What is parked already is retried in the
		// background, see [accountexport/readmodel/admin.RetryDue].
		if err := raiseMinor(ctx, tx, g.Number); err != nil {
			return g, err
		}
		s.log.Info("taken on a generation of an older minor version", "generation", g.Number, "was", g.Version())
	}
	return g, nil
}

// raiseMinor makes a generation this minor version's: an older program that is
// projecting it is fenced, and refuses it from then on.
func raiseMinor(ctx context.Context, tx pgx.Tx, generation int64) error {
	_, err := tx.Exec(ctx, `UPDATE export.generations SET version_minor = $2 WHERE generation = $1 AND version_minor < $2`,
		generation, projections.VersionMinor)
	if err != nil {
		return fmt.Errorf("raise the minor version of generation %d: %w", generation, err)
	}
	_, err = tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1, owner = NULL WHERE generation = $1`, generation)
	if err != nil {
		return fmt.Errorf("raise the minor version of generation %d: %w", generation, err)
	}
	return nil
}

func ownershipOf(g readmodel.Generation) engine.Ownership {
	return engine.Ownership{Generation: g.Number, Stream: g.Stream}
}

// takeCheckpoints makes owner the owner of all partitions, in new epochs.
func takeCheckpoints(ctx context.Context, tx pgx.Tx, generation int64, owner string) ([]engine.Checkpoint, error) {
	rows, err := tx.Query(ctx, `
WITH taken AS (
    UPDATE export.checkpoints SET epoch = epoch + 1, owner = $2 WHERE generation = $1
    RETURNING `+readmodel.CheckpointColumns+`)
SELECT `+readmodel.CheckpointColumns+` FROM taken ORDER BY partition`, generation, owner)
	if err != nil {
		return nil, fmt.Errorf("take checkpoints: %w", err)
	}
	out, err := pgx.CollectRows(rows, readmodel.ScanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("take checkpoints: %w", err)
	}
	return out, nil
}
