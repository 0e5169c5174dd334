package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// confirm tells the others that this replica lives, removes members that are
// dead, and, where take is set, takes its share of the partitions that no
// member owns.
func (m *membership) confirm(ctx context.Context, generation int64, take bool) (engine.Assignment, error) {
	reply, err := m.heartbeat(ctx, generation, take)
	switch {
	case err != nil:
		return reply.Assignment, err
	case reply.paused:
		// The full text of the pause, unless it has just ended.
		if err := readmodel.CheckPaused(ctx, m.pool); err != nil {
			return reply.Assignment, err
		}
	}
	switch {
	case !reply.member:
		return reply.Assignment, fmt.Errorf("%w: this replica was silent for so long that the others took it for dead", engine.ErrFenced)
	case !reply.current:
		return reply.Assignment, fmt.Errorf("%w: generation %d is no longer what this program projects", engine.ErrFenced, generation)
	}
	return reply.Assignment, nil
}

// heartbeatReply is what a heartbeat has found.
type heartbeatReply struct {
	engine.Assignment
	member  bool // this replica has not been removed
	current bool // the generation is live, and of this program's version
	paused  bool
}

// heartbeat does what rebalance does, in one round trip, and says what it has found.
func (m *membership) heartbeat(ctx context.Context, generation int64, take bool) (reply heartbeatReply, err error) {
	conn, err := m.connected(ctx)
	if err != nil {
		return reply, err
	}
	var dead []string
	q := &pgx.Batch{}
	q.Queue(`UPDATE export.members SET seen_at = clock_timestamp(), backend = pg_backend_pid() WHERE member = $1`, m.name).
		Exec(func(tag pgconn.CommandTag) error {
			reply.member = tag.RowsAffected() == 1
			return nil
		})
	// Where the clock was set back, times in the future must not keep dead members alive.
	q.Queue(`UPDATE export.members SET seen_at = clock_timestamp() WHERE seen_at > clock_timestamp() + $1::interval`, m.takeover)
	// A heartbeat that has taken longer than the takeover time keeps its member's row
	// locked: its client may be gone without the server having noticed.
	q.Queue(`
SELECT pg_terminate_backend(a.pid) FROM export.members m
JOIN pg_stat_activity a ON a.pid = m.backend AND a.application_name = left('accountexport ' || m.member, 63)
WHERE m.member <> $1 AND a.usename = current_user AND a.datname = current_database()
    AND a.state = 'active' AND a.state_change < clock_timestamp() - $2::interval`, m.name, m.takeover)
	// A row that is locked is being updated by its member.
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
	// that has not ended, and is left to the next heartbeat.
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
		return row.Scan(&reply.Target, &reply.current, &reply.paused)
	})
	q.Queue(`
SELECT `+readmodel.CheckpointColumns+`
FROM export.checkpoints WHERE generation = $1 AND owner = $2 ORDER BY partition`,
		generation, m.name).Query(func(rows pgx.Rows) error {
		reply.Owned, err = pgx.CollectRows(rows, readmodel.ScanCheckpoint)
		return err
	})
	q.Queue(pg.AsyncCommit+`
WHERE NOT EXISTS (SELECT FROM export.checkpoints WHERE generation = $1 AND owner = $2 AND xmin = pg_current_xact_id()::xid)`, generation, m.name)
	if err := conn.SendBatch(ctx, q).Close(); err != nil {
		m.disconnect(context.WithoutCancel(ctx))
		return reply, fmt.Errorf("share partitions: %w", readmodel.ExplainOutdatedSchema(err))
	}
	if len(dead) > 0 {
		m.log.Warn("replicas have gone silent; taking their partitions over", "replicas", dead)
		m.terminate(ctx, dead)
	}
	return reply, nil
}

// terminate ends what members have running on the server. One that is frozen in the
// middle of a transaction would keep its checkpoints locked for ever.
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

// endStaleTransactions ends transactions of this replica's own that hold what it was
// waiting for: those of a connection that was lost without the server having noticed.
func (m *membership) endStaleTransactions(ctx context.Context, err error) {
	if pg.Code(err) == pg.LockNotAvailable {
		m.terminate(ctx, []string{m.name})
	}
}
