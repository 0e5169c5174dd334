package store

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// DefaultTakeover is how long a replica that has gone silent keeps its partitions at
// most.
const DefaultTakeover = 5 * time.Second

// Store is the read model as a projector writes it; it implements [engine.Store].
// One projector uses it at a time: Acquire is called by itself; of Heartbeat,
// AwaitRebalance and Paused no two are called at a time; Load, Lookup, Commit, Owned
// and Release may be called by several goroutines at once, beside those three.
type Store struct {
	// Takeover is how long a replica that has gone silent keeps its partitions
	// at most; the same for all replicas. Default [DefaultTakeover].
	Takeover time.Duration

	// Direct is how to connect for what needs a session of its own: membership, and
	// the lock of what one replica does at a time. A pooler of transactions has no
	// sessions. Default: as the pool does.
	Direct *pgx.ConnConfig

	// Set when it is made, and safe for concurrent use by themselves.
	pool             *pgxpool.Pool
	owner            string
	log              *slog.Logger
	readTimeout      pg.AdaptiveTimeout // of reads
	commitTimeout    pg.AdaptiveTimeout // of commits, apart from reads: a fast read says nothing of a write
	chooseGeneration generationChooser

	// Of a store that shares the live generation's partitions; members is nil
	// for one that writes all of another generation.
	members      *membership
	notifier     *notifier             // of committed checkpoints
	joinAttempts int                   // Acquire's own; from the second on the pool is reset first
	stream       engine.StreamIdentity // of the generation; written by Acquire, read by Owned after it

	// Of a store without members.
	lockRole string       // what only one replica does at a time: it names the lock
	lockConn *pgx.Conn    // holds the lock; Acquire's and Close's own
	acquired atomic.Int64 // the generation; read by others

	share   []int         // the partitions that Acquire takes; nil for all
	leader  string        // of a worker: whoever it takes them from
	epochs  map[int]int64 // as Acquire took them last
	strange atomic.Int64  // how often Acquire found that somebody else had moved one on
}

// generationChooser finds or creates the generation to write.
type generationChooser func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error)

// NewStore writes the live generation through the pool, and creates the first one where
// there is none. It shares the partitions with all other such stores. owner
// names this replica, and no other one, in at most 49 characters of ASCII; the
// pool's connections should have its [ApplicationName].
func NewStore(pool *pgxpool.Pool, owner string, log *slog.Logger) *Store {
	s := &Store{pool: pool, owner: owner, log: log, notifier: newNotifier(pool, readmodel.CheckpointsChannel, log),
		chooseGeneration: func(ctx context.Context, tx pgx.Tx, stream engine.StreamInfo) (readmodel.Generation, error) {
			g, err := readmodel.LiveGeneration(ctx, tx)
			if errors.Is(err, readmodel.ErrNoGeneration) {
				g, err = readmodel.CreateGeneration(ctx, tx, stream, readmodel.StateLive)
			}
			return g, err
		}}
	s.members = &membership{pool: pool, connConfig: s.sessionConfig, name: owner, log: log, notifier: newNotifier(pool, readmodel.MembersChannel, log)}
	return s
}

// Close hands over what the store owns: other replicas take its partitions at once, or
// its lock. It waits for what it has to notify.
func (s *Store) Close(ctx context.Context) {
	if s.members != nil {
		s.members.leave(ctx)
		s.notifier.drain(ctx) // notifies of what was committed and handed over
	}
	if s.lockConn != nil {
		// A pooler may give the session, with its locks, to another client.
		soon, cancel := context.WithTimeout(ctx, time.Second)
		_, _ = s.lockConn.Exec(soon, `SELECT pg_advisory_unlock_all()`)
		cancel()
		pg.CloseWithTimeout(ctx, s.lockConn)
		s.lockConn = nil
	}
}

// sessionConfig is how to connect for a session of one's own.
func (s *Store) sessionConfig() *pgx.ConnConfig {
	if s.Direct != nil {
		return s.Direct.Copy()
	}
	return s.pool.Config().ConnConfig.Copy()
}
