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
	db, err := s.beginner(ctx)
	if err != nil {
		return own, err
	}
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := readmodel.CheckPaused(ctx, tx); err != nil {
			return err
		}
		g, err := s.prepareGeneration(ctx, tx, stream)
		if err != nil {
			return err
		}
		own = ownershipOf(g)
		own.Checkpoints, err = s.takeCheckpoints(ctx, tx, g)
		return err
	})
	if err != nil {
		s.Close(context.WithoutCancel(ctx))
		return own, err
	}
	s.noteEpochs(own)
	s.acquired.Store(own.Generation)
	return own, nil
}

// beginner is where Acquire begins its transaction: the session that holds the lock, or
// for a worker, whose leader has that, any.
func (s *Store) beginner(ctx context.Context) (interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}, error) {
	if s.leader != "" {
		return s.pool, nil
	}
	err := s.acquireLock(ctx)
	return s.lockConn, err
}

// noteEpochs compares the epochs that were taken with those that were taken before.
func (s *Store) noteEpochs(own engine.Ownership) {
	moved := false
	if before := s.acquired.Load(); own.Generation != before {
		s.epochs, moved = map[int]int64{}, before != 0
	}
	for _, c := range own.Checkpoints {
		before, taken := s.epochs[c.Partition]
		moved = moved || taken && c.Epoch != before+1
		s.epochs[c.Partition] = c.Epoch
	}
	if moved {
		s.strange.Add(1)
	}
}

// Disturbances goes up in an Acquire that finds that somebody else, such as an erasure,
// has moved an epoch on since the last one, or has given the generation up.
func (s *Store) Disturbances() int64 { return s.strange.Load() }

// SetShare has Acquire take these partitions only, from its next call on; nil stands for
// all of them.
func (s *Store) SetShare(partitions []int) { s.share = partitions }

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

// takeCheckpoints makes this store the owner of its share of the partitions, in new
// epochs. A worker takes none from anybody but its leader: where another program leads
// by now, it is fenced.
func (s *Store) takeCheckpoints(ctx context.Context, tx pgx.Tx, g readmodel.Generation) ([]engine.Checkpoint, error) {
	rows, err := tx.Query(ctx, `
WITH taken AS (
    UPDATE export.checkpoints SET epoch = epoch + 1, owner = $2
    WHERE generation = $1 AND ($3::integer[] IS NULL OR partition = ANY($3)) AND ($4 = '' OR owner = $4 OR owner = $2)
    RETURNING `+readmodel.CheckpointColumns+`)
SELECT `+readmodel.CheckpointColumns+` FROM taken ORDER BY partition`, g.Number, s.owner, s.share, s.leader)
	if err != nil {
		return nil, fmt.Errorf("take checkpoints: %w", err)
	}
	out, err := pgx.CollectRows(rows, readmodel.ScanCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("take checkpoints: %w", err)
	}
	if s.share != nil && len(out) != len(s.share) {
		return nil, fmt.Errorf("%w: %d of %d partitions of generation %d are another program's", engine.ErrFenced, len(s.share)-len(out), len(s.share), g.Number)
	}
	return out, nil
}
