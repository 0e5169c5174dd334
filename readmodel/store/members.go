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

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// DefaultTakeover is how long a replica that has gone silent keeps its
// partitions at most.
const DefaultTakeover = 5 * time.Second

// membership is one replica's part in sharing partitions. It keeps a row in
// export.members alive over a connection of its own. A member is dead when it
// has not been seen for three fifths of the takeover time, or for one fifth
// where its connection has ended too: so one that was killed is replaced at
// once, one that is frozen or cut off within the takeover time, and one whose
// connection alone was lost has time to come back. It is seen by the row, and
// by what its connection was last asked: one whose heartbeats are slow, since
// the server is, has been heard of when they began, and has the whole takeover
// time for each. Only the database's clock counts, and time before the server's
// start does not.
//
// None of this is needed for safety, which rests on the checkpoints' epochs:
// judging a live member dead costs it a new start and nothing else. So a
// heartbeat that takes no partition, and begins no epoch, need not be on disk.
type membership struct {
	pool     *pgxpool.Pool
	direct   func() *pgx.ConnConfig // of conn
	name     string
	takeover time.Duration
	log      *slog.Logger
	notices  *notifier // has the other members look at once
	conn     *pgx.Conn
	broken   []*pgx.Conn   // those before it that may yet be ending
	backend  atomic.Uint32 // the server's process of conn; 0: none
	joined   bool
}

// ApplicationName is what the connections of a replica are to call themselves,
// so that its successor can end what it has left under way.
func ApplicationName(replica string) string {
	const most = 63 // what the server keeps of it
	name := "accountexport " + replica
	return name[:min(len(name), most)]
}

// connected gives the member's own connection, a new one where it was lost.
func (m *membership) connected(ctx context.Context) (*pgx.Conn, error) {
	if m.conn != nil && !m.conn.IsClosed() {
		return m.conn, nil
	}
	m.disconnect(ctx)
	cfg := m.direct()
	cfg.RuntimeParams["application_name"] = ApplicationName(m.name)
	conn, err := pg.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	// A member that freezes while it joins must not keep others from joining.
	// The settings are made when connected, which a pooler of sessions passes
	// on, and the server is asked for its process: a pooler invents one.
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

// awaitRebalance waits until somebody tells that partitions may change hands.
func (m *membership) awaitRebalance(ctx context.Context) error {
	conn, err := m.connected(ctx)
	if err != nil {
		return err
	}
	_, err = conn.WaitForNotification(ctx)
	return err
}

func (m *membership) disconnect(ctx context.Context) {
	if m.conn != nil {
		m.conn.Close(ctx)
		m.broken = append(slices.DeleteFunc(m.broken, ended), m.conn) // it may yet be ending
		m.conn = nil
	}
	m.backend.Store(0)
}

func ended(conn *pgx.Conn) bool {
	select {
	case <-conn.PgConn().CleanupDone():
		return true
	default:
		return false
	}
}

// setTakeover sets how long a member that has gone silent keeps its partitions.
func (m *membership) setTakeover(takeover time.Duration) {
	if m.takeover = takeover; m.takeover <= 0 {
		m.takeover = DefaultTakeover
	}
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

// join makes this replica a member and takes anew, in new epochs, the
// partitions that it still owns from before.
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

// endStaleTransactions ends transactions of this replica's that hold what it waits for: those
// of a connection that is lost without the server having noticed.
func (m *membership) endStaleTransactions(ctx context.Context, err error) {
	if pg.Code(err) == pg.LockNotAvailable {
		m.terminate(ctx, []string{m.name})
	}
}

// rebalance tells the others that this replica lives, removes members that are
// dead, and, where take is set, takes its share of the partitions that nobody
// owns.
func (m *membership) rebalance(ctx context.Context, generation int64, take bool) (engine.Assignment, error) {
	t, err := m.heartbeat(ctx, generation, take)
	switch {
	case err != nil:
		return t.Assignment, err
	case t.paused:
		// Told in full, unless it has just ended.
		if err := readmodel.CheckPaused(ctx, m.pool); err != nil {
			return t.Assignment, err
		}
	}
	switch {
	case !t.member:
		return t.Assignment, fmt.Errorf("%w: this replica was silent for so long that the others took it for dead", engine.ErrFenced)
	case !t.current:
		return t.Assignment, fmt.Errorf("%w: generation %d is no longer what this program projects", engine.ErrFenced, generation)
	}
	return t.Assignment, nil
}

// heartbeatReply is what telling the others has come to.
type heartbeatReply struct {
	engine.Assignment
	member, current, paused bool
}

// heartbeat does what share does, and says what there is. It is one round trip.
func (m *membership) heartbeat(ctx context.Context, generation int64, take bool) (s heartbeatReply, err error) {
	conn, err := m.connected(ctx)
	if err != nil {
		return s, err
	}
	var dead []string
	q := &pgx.Batch{}
	q.Queue(`UPDATE export.members SET seen_at = clock_timestamp(), backend = pg_backend_pid() WHERE member = $1`, m.name).
		Exec(func(tag pgconn.CommandTag) error {
			s.member = tag.RowsAffected() == 1
			return nil
		})
	// A clock that was set back must not keep a dead one alive.
	q.Queue(`UPDATE export.members SET seen_at = clock_timestamp() WHERE seen_at > clock_timestamp() + $1::interval`, m.takeover)
	// A heartbeat that has its time behind it holds its member's row: its
	// client may be gone without the server having noticed.
	q.Queue(`
SELECT pg_terminate_backend(a.pid) FROM export.members m
JOIN pg_stat_activity a ON a.pid = m.backend AND a.application_name = left('accountexport ' || m.member, 63)
WHERE m.member <> $1 AND a.usename = current_user AND a.datname = current_database()
    AND a.state = 'active' AND a.state_change < clock_timestamp() - $2::interval`, m.name, m.takeover)
	// A row that is locked is just being touched by its member.
	q.Queue(`
DELETE FROM export.members WHERE member IN (
    SELECT m.member FROM export.members m
    LEFT JOIN pg_stat_activity a ON a.pid = m.backend AND a.application_name = left('accountexport ' || m.member, 63)
    WHERE m.member <> $1 AND clock_timestamp() - CASE
        WHEN a.pid IS NULL THEN $2::interval WHEN a.state = 'active' THEN $4::interval ELSE $3::interval END
        > greatest(m.seen_at, CASE WHEN a.state_change <= clock_timestamp() THEN a.state_change END,
            CASE WHEN pg_postmaster_start_time() <= clock_timestamp() THEN pg_postmaster_start_time() END)
    FOR UPDATE OF m SKIP LOCKED)
RETURNING member`, m.name, m.takeover/5, m.takeover*3/5, m.takeover).Query(func(rows pgx.Rows) error {
		dead, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	// Members in the order of their joining have total / n partitions each, the
	// first ones one more. A checkpoint that is locked belongs to a transaction
	// that is not over: next time.
	q.Queue(`
WITH members AS (
    SELECT member, row_number() OVER (ORDER BY joined_at, member) AS rank, count(*) OVER () AS n FROM export.members),
parts AS (
    SELECT count(*) AS total, count(*) FILTER (WHERE owner = $1) AS mine FROM export.checkpoints WHERE generation = $2),
due AS (
    SELECT total / n + (rank <= total % n)::int AS due, mine FROM members, parts WHERE member = $1),
free AS (
    SELECT partition FROM export.checkpoints c
    WHERE $3 AND generation = $2 AND NOT EXISTS (SELECT FROM export.members m WHERE m.member = c.owner)
    ORDER BY partition LIMIT (SELECT greatest(due - mine, 0) FROM due) FOR UPDATE SKIP LOCKED),
taken AS (
    UPDATE export.checkpoints c SET owner = $1, epoch = epoch + 1 FROM free WHERE c.generation = $2 AND c.partition = free.partition)
SELECT coalesce((SELECT due FROM due), 0), EXISTS (
    SELECT FROM export.generations WHERE generation = $2 AND state = 'live' AND version_major = $4 AND version_minor = $5),
    EXISTS (SELECT FROM export.pause)`,
		m.name, generation, take, projections.VersionMajor, projections.VersionMinor).QueryRow(func(row pgx.Row) error {
		return row.Scan(&s.Target, &s.current, &s.paused)
	})
	q.Queue(`
SELECT `+readmodel.CheckpointColumns+`
FROM export.checkpoints WHERE generation = $1 AND owner = $2 ORDER BY partition`,
		generation, m.name).Query(func(rows pgx.Rows) error {
		s.Owned, err = pgx.CollectRows(rows, readmodel.ScanCheckpoint)
		return err
	})
	q.Queue(pg.AsyncCommit+`
WHERE NOT EXISTS (SELECT FROM export.checkpoints WHERE generation = $1 AND owner = $2 AND xmin = pg_current_xact_id()::xid)`, generation, m.name)
	if err := conn.SendBatch(ctx, q).Close(); err != nil {
		m.disconnect(context.WithoutCancel(ctx))
		return s, fmt.Errorf("share partitions: %w", readmodel.ExplainOutdatedSchema(err))
	}
	if len(dead) > 0 {
		m.log.Warn("replicas have gone silent; taking their partitions over", "replicas", dead)
		m.terminate(ctx, dead)
	}
	return s, nil
}

// terminate ends what members have under way on the server. One that is frozen
// in the middle of a transaction would keep its checkpoints locked for ever.
func (m *membership) terminate(ctx context.Context, members []string) {
	var names []string
	for _, name := range members {
		names = append(names, ApplicationName(name))
	}
	conn, err := m.connected(ctx)
	if err == nil {
		_, err = conn.Exec(ctx, `
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = ANY($1) AND usename = current_user AND datname = current_database() AND pid <> pg_backend_pid()
    AND (application_name <> $2 OR state <> 'idle')`, names, ApplicationName(m.name))
	}
	if err != nil {
		m.log.Warn("cannot end the connections of a replica that has gone silent", "replicas", members, "error", err)
	}
}

// leave gives up all partitions and the membership.
func (m *membership) leave(ctx context.Context) {
	defer func() {
		m.disconnect(ctx)
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		for _, conn := range m.broken { // see closeSoon
			select {
			case <-conn.PgConn().CleanupDone():
			case <-soon.Done():
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
		m.notices.schedule()
		m.notices.drain(ctx)
	}
	if err != nil {
		m.log.Warn("cannot hand partitions over; the others take them when they miss this replica", "error", err)
	}
}
