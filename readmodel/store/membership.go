package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// membership is one replica's part in sharing partitions. It keeps a row in
// export.members alive over a connection of its own. A member is dead when it
// has not been seen for three fifths of the takeover time, or for one fifth
// where its connection has ended as well: so one that was killed is replaced at
// once, one that is frozen or cut off within the takeover time, and one whose
// connection alone was lost has time to come back. It is seen by the time in its
// row, and by when its connection was last asked something: a member whose
// heartbeats are slow, since the server is, was alive when they began, and has the
// whole takeover time for each. Only the database's clock counts, and time before
// the server's start does not.
//
// None of this is needed for safety, which rests on the checkpoints' epochs:
// judging a live member dead costs it a restart of its fold and nothing else. So a
// heartbeat that takes no partition, and begins no epoch, need not be on disk.
//
// There is no lock: all methods are called by the goroutine that calls Acquire,
// Heartbeat, AwaitRebalance, Paused and Close, of which the engine never calls two
// at a time ([engine.Store]). Only backend is also read by the goroutine of
// [membership.withHeartbeatTimeout], beside a heartbeat.
type membership struct {
	// Never changed.
	pool       *pgxpool.Pool
	connConfig func() *pgx.ConnConfig // of conn
	name       string
	log        *slog.Logger
	notifier   *notifier // has the other members look at once; safe for concurrent use

	takeover time.Duration // set by setTakeover, before anything else
	conn     *pgx.Conn     // nil: none
	closing  []*pgx.Conn   // those before it that may not have ended yet
	joined   bool

	backend atomic.Uint32 // the server's process of conn; 0: none
}

// ApplicationName is what the connections of a replica are to call themselves,
// so that the replica that succeeds it can end what it has left running.
func ApplicationName(replica string) string {
	const most = 63 // bytes that the server keeps of the name
	name := "accountexport " + replica
	return name[:min(len(name), most)]
}

// setTakeover sets how long a member that has gone silent keeps its partitions.
func (m *membership) setTakeover(takeover time.Duration) {
	if m.takeover = takeover; m.takeover <= 0 {
		m.takeover = DefaultTakeover
	}
}

// connected is the member's own connection, a new one where it was lost.
func (m *membership) connected(ctx context.Context) (*pgx.Conn, error) {
	if m.conn != nil && !m.conn.IsClosed() {
		return m.conn, nil
	}
	m.disconnect(ctx)
	cfg := m.connConfig()
	cfg.RuntimeParams["application_name"] = ApplicationName(m.name)
	conn, err := pg.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	// The timeouts let others join where this member freezes while it joins. They are
	// set by a statement and not in the startup message, so that they also work through
	// a pooler of sessions; and the server is asked for its process, since a pooler
	// invents one.
	var backend uint32
	q := &pgx.Batch{}
	q.Queue(`SELECT set_config('idle_in_transaction_session_timeout', $1, false), set_config('lock_timeout', $1, false)`, pg.Milliseconds(m.takeover/2))
	q.Queue(`SELECT pg_backend_pid()`).QueryRow(func(row pgx.Row) error { return row.Scan(&backend) })
	q.Queue(`LISTEN ` + readmodel.MembersChannel)
	if err := conn.SendBatch(ctx, q).Close(); err != nil {
		pg.CloseWithTimeout(ctx, conn)
		return nil, fmt.Errorf("connect: %w", err)
	}
	m.conn = conn
	m.backend.Store(backend)
	return conn, nil
}

func (m *membership) disconnect(ctx context.Context) {
	if m.conn != nil {
		m.conn.Close(ctx)
		m.closing = append(slices.DeleteFunc(m.closing, isClosed), m.conn) // it may not have ended yet
		m.conn = nil
	}
	m.backend.Store(0)
}

func isClosed(conn *pgx.Conn) bool {
	select {
	case <-conn.PgConn().CleanupDone():
		return true
	default:
		return false
	}
}

// join makes this replica a member, and moves on the epochs of the partitions that it
// still owns from before.
func (m *membership) join(ctx context.Context, tx pgx.Tx, generation int64) error {
	if err := m.register(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1 WHERE generation = $1 AND owner = $2`, generation, m.name)
	if err != nil {
		return fmt.Errorf("take own checkpoints anew: %w", err)
	}
	return nil
}

// heartbeatOrRegister tells the others that this replica lives, and makes it a member
// where it is none. It takes no partitions.
func (m *membership) heartbeatOrRegister(ctx context.Context) error {
	reply, err := m.heartbeat(ctx, 0, false)
	if err != nil || reply.member {
		return err
	}
	conn, err := m.connected(ctx)
	if err != nil {
		return err
	}
	if err := m.register(ctx, conn); err != nil {
		return err
	}
	m.joined = true
	return nil
}

// register makes this replica a member.
func (m *membership) register(ctx context.Context, db interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}) error {
	_, err := db.Exec(ctx, `
INSERT INTO export.members (member, backend, format) VALUES ($1, pg_backend_pid(), $2)
ON CONFLICT (member) DO UPDATE SET backend = excluded.backend, seen_at = excluded.seen_at, format = excluded.format`, m.name, readmodel.FormatCurrent)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	return nil
}

// awaitRebalance waits until another replica notifies that partitions may change hands.
func (m *membership) awaitRebalance(ctx context.Context) error {
	conn, err := m.connected(ctx)
	if err != nil {
		return err
	}
	_, err = conn.WaitForNotification(ctx)
	return err
}

// leave gives up all partitions and the membership. Where the database cannot be
// reached, the others take the partitions over once they miss this replica.
func (m *membership) leave(ctx context.Context) {
	defer func() {
		m.disconnect(ctx)
		closing, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		for _, conn := range m.closing { // for the reason of pg.CloseWithTimeout
			select {
			case <-conn.PgConn().CleanupDone():
			case <-closing.Done():
			}
		}
	}()
	if !m.joined {
		return
	}
	m.joined = false
	conn, err := m.connected(ctx)
	if err == nil {
		q := &pgx.Batch{}
		q.Queue(`UPDATE export.checkpoints SET owner = NULL, epoch = epoch + 1 WHERE owner = $1`, m.name)
		q.Queue(`DELETE FROM export.members WHERE member = $1`, m.name)
		err = conn.SendBatch(ctx, q).Close()
	}
	if err == nil {
		m.notifier.schedule()
		m.notifier.drain(ctx)
	}
	if err != nil {
		m.log.Warn("cannot hand partitions over; the others take them when they miss this replica", "error", err)
	}
}
