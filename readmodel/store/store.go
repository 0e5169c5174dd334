package store

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// joinTimeout is more than joining takes.
const joinTimeout = 30 * time.Second

// Store is the read model as a projector writes it; it implements
// [engine.Store]. A Store is used by one projector at a time.
type Store struct {
	// Takeover is how long a replica that has gone silent keeps its partitions
	// at most; the same for all replicas. Default [DefaultTakeover].
	Takeover time.Duration

	// Direct is how what needs a session of its own connects: membership, and the
	// lock of what one replica does at a time. A pooler of transactions gives
	// none. Default: as the pool does.
	Direct *pgx.ConnConfig

	pool          *pgxpool.Pool
	owner         string
	log           *slog.Logger
	readTimeout   pg.AdaptiveTimeout // of what is read
	commitTimeout pg.AdaptiveTimeout // by itself: that reading is quick says nothing of writing
	notifier      *notifier

	joins   int         // how often it was tried
	members *membership // shares the live generation; nil: all of another generation
	choose  chooser
	copies  bool      // many rows are new: COPY those
	role    string    // without members: what one replica at a time does; names the lock
	lock    *pgx.Conn // holds it

	acquired atomic.Int64          // generation, without members
	stream   engine.StreamIdentity // that the generation was folded from when it was joined
}

// chooser finds or makes the generation to write.
type chooser func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error)

// NewStore writes the live generation through the pool, and the first one where
// there is none. It shares the partitions with all other such stores. owner
// names this replica, and no other one, in at most 49 characters of ASCII; the
// pool's connections should have its [ApplicationName].
func NewStore(pool *pgxpool.Pool, owner string, log *slog.Logger) *Store {
	s := &Store{pool: pool, owner: owner, log: log, notifier: newNotifier(pool, readmodel.CheckpointsChannel, log),
		choose: func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error) {
			g, err := readmodel.LiveGeneration(ctx, tx)
			if errors.Is(err, readmodel.ErrNoGeneration) {
				g, err = readmodel.CreateGeneration(ctx, tx, stream, readmodel.StateLive)
			}
			return g, err
		}}
	s.members = &membership{pool: pool, direct: s.session, name: owner, log: log, notices: newNotifier(pool, readmodel.MembersChannel, log)}
	return s
}

// Close hands over what the store owns.
func (s *Store) Close(ctx context.Context) {
	if s.members != nil {
		s.members.leave(ctx)
		s.notifier.drain(ctx) // of what is handed over by now
	}
	if s.lock != nil {
		// A pooler may give the session to somebody else as it is.
		soon, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = s.lock.Exec(soon, `SELECT pg_advisory_unlock_all()`)
		cancel()
		pg.CloseWithTimeout(ctx, s.lock)
		s.lock = nil
	}
}

// Acquire implements [engine.Store]. Safety does not rest on who owns
// what but on the epochs, which every change of owner moves on.
func (s *Store) Acquire(ctx context.Context, stream engine.StreamInfo) (own engine.Ownership, err error) {
	if s.members != nil {
		return s.join(ctx, stream)
	}
	if err := s.acquireLock(ctx); err != nil {
		return own, err
	}
	err = pgx.BeginFunc(ctx, s.lock, func(tx pgx.Tx) error {
		if err := readmodel.CheckPaused(ctx, tx); err != nil {
			return err
		}
		g, err := s.generation(ctx, tx, stream)
		if err != nil {
			return err
		}
		own = ownership(g)
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

// Acquired is the generation that a builder or reviver writes; 0 before its
// first Acquire has succeeded.
func (s *Store) Acquired() int64 { return s.acquired.Load() }

func ownership(g readmodel.Generation) engine.Ownership {
	return engine.Ownership{Generation: g.Number, Stream: g.Stream}
}

// join makes this replica a member, and takes its share of the partitions that
// are free.
func (s *Store) join(ctx context.Context, stream engine.StreamInfo) (own engine.Ownership, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	m := s.members
	m.setTakeover(s.Takeover)
	if s.joins++; s.joins > 1 {
		s.pool.Reset() // where one connection has fallen silent, others may have, too
	}
	// Where the pool does not answer, though the member's own connection may, as
	// where a pooler stands still, others do better with the partitions.
	if err := s.answers(ctx); err != nil {
		m.leave(ctx)
		return own, err
	}
	conn, err := m.connected(ctx)
	if err != nil {
		return own, err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// One after the other: the first one makes the first generation.
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('accountexport join'))`); err != nil {
			return fmt.Errorf("join: %w", err)
		}
		if err := readmodel.CheckPaused(ctx, tx); err != nil {
			return err
		}
		g, err := s.generation(ctx, tx, stream)
		if err != nil {
			return err
		}
		own = ownership(g)
		own.Dynamic = true
		s.stream = g.Stream
		return m.join(ctx, tx, g.Number)
	})
	if err == nil {
		m.joined = true
		m.notices.schedule()
		var share engine.Assignment
		share, err = m.rebalance(ctx, own.Generation, true)
		own.Checkpoints = share.Owned
	}
	if err != nil {
		m.endStaleTransactions(context.WithoutCancel(ctx), err)
		m.disconnect(context.WithoutCancel(ctx))
	}
	return own, err
}

// answers tells whether the pool does within the time after which a replica is
// taken over.
func (s *Store) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.members.takeover)
	defer cancel()
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	return nil
}

// Heartbeat implements [engine.Store].
func (s *Store) Heartbeat(ctx context.Context, generation int64, take bool) (engine.Assignment, error) {
	if s.members == nil {
		return engine.Assignment{}, errors.New("this store shares no partitions")
	}
	ctx, end := s.members.withHeartbeatTimeout(ctx)
	defer end()
	share, err := s.members.rebalance(ctx, generation, take)
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

// Release implements [engine.Store].
func (s *Store) Release(ctx context.Context, generation int64, c engine.Checkpoint) error {
	q := &pgx.Batch{}
	var released bool
	q.Queue(`
UPDATE export.checkpoints SET owner = NULL, epoch = epoch + 1
WHERE generation = $1 AND partition = $2 AND epoch = $3 AND owner = $4`, generation, c.Partition, c.Epoch, s.owner).
		Exec(func(tag pgconn.CommandTag) error {
			released = tag.RowsAffected() == 1
			return nil
		})
	err := s.readTimeout.Do(ctx, func(ctx context.Context) error { return s.pool.SendBatch(ctx, q).Close() })
	if err != nil {
		return fmt.Errorf("release partition %d: %w", c.Partition, err)
	}
	if !released {
		return fmt.Errorf("release partition %d: %w", c.Partition, engine.ErrFenced)
	}
	s.members.notices.schedule()
	return nil
}

// session is how to connect for a session of one's own.
func (s *Store) session() *pgx.ConnConfig {
	if s.Direct != nil {
		return s.Direct.Copy()
	}
	return s.pool.Config().ConnConfig.Copy()
}

// acquireLock waits until this is the one replica that projects.
func (s *Store) acquireLock(ctx context.Context) error {
	if s.lock != nil && (s.lock.IsClosed() || s.lock.Ping(ctx) != nil) {
		s.Close(ctx)
	}
	if s.lock != nil {
		return nil
	}
	conn, err := pg.Connect(ctx, s.session())
	if err != nil {
		return err
	}
	for said := false; ; said = true {
		var got bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('accountexport ' || $1))`, s.role).Scan(&got)
		if err != nil {
			pg.CloseWithTimeout(ctx, conn)
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
			pg.CloseWithTimeout(ctx, conn)
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// generation is the one to write, where this program may write it.
func (s *Store) generation(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error) {
	g, err := s.choose(ctx, tx, stream)
	if err != nil {
		return g, err
	}
	if err := g.CheckCompatible(stream); err != nil {
		return g, err
	}
	if err := s.counted(ctx, g); err != nil {
		return g, err
	}
	if err := g.RecordStreamID(ctx, tx, stream); err != nil {
		return g, err
	}
	if g.Minor < projections.VersionMinor {
		// From here on the older program refuses this generation: it would
		// park what this one accepts. [RefoldParked] does the rest.
		if err := raiseMinor(ctx, tx, g.Number); err != nil {
			return g, err
		}
		s.log.Info("taken on a generation of an older minor version", "generation", g.Number, "was", g.Version())
	}
	return g, nil
}

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

// counted makes sure that the generation's rows have room for a count.
func (s *Store) counted(ctx context.Context, g readmodel.Generation) error {
	if g.Format >= readmodel.FormatCounted {
		return nil
	}
	return readmodel.AddCountColumns(ctx, s.pool, g.Number)
}
