package relay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/events"
	"accountexport/outbox"
	"accountexport/projections/engine"
)

// lockKey is of the advisory lock that the working relay holds.
const lockKey = 0x6f7574626f78 // "outbox"

// windowKey is of the advisory lock that it holds from fetching messages until they are
// acknowledged. outbox.forget waits for it.
const windowKey = 0x6f7574626f7877 // "outboxw"

// table is the outbox over one connection, which has the lock or asks for it.
type table struct {
	conn  *pgx.Conn
	epoch int64 // of this relay, since it has the lock
}

// errTakenOver means that another relay works.
var errTakenOver = errors.New("another relay has taken over")

// ErrNoOutbox means that the database has no outbox.
var ErrNoOutbox = errors.New("the database has no outbox: outbox.Migrate creates it, and so does psql with the files in outbox/migrations")

// ErrNoRights means that the login may not do what a relay does.
var ErrNoRights = errors.New("the login of OUTBOX_DATABASE_URL lacks rights: " +
	"GRANT USAGE ON SCHEMA outbox TO it, GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA outbox TO it, and GRANT SELECT ON ALL SEQUENCES IN SCHEMA outbox TO it")

// message is one that waits.
type message struct {
	seq, number int64
	id          string
	events.Message
	unsound error // why it cannot be published as it stands in the table; nil: it can
}

// noted is what the outbox knows of its stream.
type noted struct {
	stream       engine.StreamIdentity // without a name where nothing was published yet
	searchFrom   uint64
	lastPosition uint64 // 0: nothing yet
	lastSubject  string
	lastID       string
}

// settle makes the settings that statements rely on. An end of the network is noticed
// by the server as well, so that the lock is free then; nothing need be on disk. Who waits
// for a lock, as while somebody forgets messages or rewrites a table, begins anew after five
// minutes: a watchdog takes a relay that is silent for long for one that stands still.
func (t *table) settle(ctx context.Context) error {
	_, err := t.conn.Exec(ctx, `SELECT set_config(w.name, w.value, false) FROM (VALUES ('synchronous_commit', 'off'), ('statement_timeout', '0'), ('lock_timeout', '300000'),
		('idle_session_timeout', '0'), ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'),
		('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '3'), ('tcp_keepalives_count', '3')) w (name, value)
		WHERE EXISTS (SELECT FROM pg_settings s WHERE s.name = w.name)`)
	if err != nil {
		return err
	}
	var there bool
	if err := t.conn.QueryRow(ctx, `SELECT to_regclass('outbox.relay') IS NOT NULL`).Scan(&there); err != nil {
		if withoutUsage(err) {
			err = fmt.Errorf("%w: %w", ErrNoRights, err)
		}
		return err
	}
	if !there {
		return ErrNoOutbox
	}
	var may bool
	if err := t.conn.QueryRow(ctx, rightsSQL).Scan(&may); err != nil {
		return err
	}
	if !may {
		return ErrNoRights
	}
	_, err = t.conn.Exec(ctx, `LISTEN `+outbox.Channel)
	return err
}

// rightsSQL tells whether the login may do what the statements here do. Of two rights
// to one table that PostgreSQL is asked for at once, it answers whether there is one.
const rightsSQL = `
SELECT bool_and(has_table_privilege('outbox.' || w.name, w.privilege)) AND has_sequence_privilege('outbox.messages_seq_seq', 'SELECT')
FROM (VALUES ('messages', 'SELECT'), ('messages', 'DELETE'), ('relay', 'SELECT'), ('relay', 'UPDATE'),
    ('refused', 'SELECT'), ('refused', 'INSERT'), ('refused', 'UPDATE'), ('refused', 'DELETE')) w (name, privilege)`

// withoutUsage tells whether an error is of a login that may not use the schema.
func withoutUsage(err error) bool {
	refused := (*pgconn.PgError)(nil)
	return errors.As(err, &refused) && refused.Code == "42501"
}

// lock asks for the lock, and does not wait for it.
func (t *table) lock(ctx context.Context) (have bool, err error) {
	err = t.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(lockKey)).Scan(&have)
	return have, err
}

// beginWindow takes the lock of the window, and endWindow frees it. With an error the
// connection ends, and that frees it, too.
func (t *table) beginWindow(ctx context.Context) error {
	_, err := t.conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(windowKey))
	return err
}

func (t *table) endWindow(ctx context.Context) error {
	_, err := t.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, int64(windowKey))
	return err
}

// holder says who has the lock.
func (t *table) holder(ctx context.Context) (name string, err error) {
	err = t.conn.QueryRow(ctx, holderSQL, int64(lockKey)).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return name, err
}

const holderSQL = `
SELECT format('%s, server process %s', coalesce(nullif(a.application_name, ''), 'somebody'), l.pid)
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// take makes the outbox this relay's: what others would note is not taken any more.
// upTo is the number up to which others may have sent what waits.
func (t *table) take(ctx context.Context) (n noted, upTo int64, err error) {
	t.epoch = rand.Int64() // never one that a crash of PostgreSQL has taken back
	if _, err = t.conn.Exec(ctx, `UPDATE outbox.relay SET epoch = $1`, t.epoch); err != nil {
		return n, 0, err
	}
	if n, err = readNoted(ctx, t.conn); err != nil {
		return n, 0, err
	}
	err = t.conn.QueryRow(ctx, `SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox.messages_seq_seq`).Scan(&upTo)
	return n, upTo, err
}

func readNoted(ctx context.Context, db querier) (n noted, err error) {
	var name, id *string
	var created *time.Time
	err = db.QueryRow(ctx, `
SELECT stream_name, stream_created, stream_id, search_from, last_position, coalesce(last_subject, ''), coalesce(last_id, '') FROM outbox.relay`).
		Scan(&name, &created, &id, &n.searchFrom, &n.lastPosition, &n.lastSubject, &n.lastID)
	if name != nil && created != nil {
		n.stream = engine.StreamIdentity{Name: *name, Created: *created}
		if id != nil {
			n.stream.ID = *id
		}
	}
	return n, err
}

// adopt notes which stream this is; from where to search is 0 where it may hold what
// waits already. It is on disk then, before anything is sent: were it lost in a crash
// of PostgreSQL, the next relay would take the stream for one that nothing was
// published to, and search from too late.
func (t *table) adopt(ctx context.Context, info engine.StreamInfo, searchFrom uint64, forgetLast bool) error {
	return pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL synchronous_commit = on`); err != nil {
			return err
		}
		return t.mine(ctx, `UPDATE outbox.relay SET stream_name = $2, stream_created = $3, stream_id = nullif($4, ''), search_from = $5,
    last_position = CASE WHEN $6 THEN 0 ELSE last_position END WHERE epoch = $1`,
			info.Name, info.Created, info.ID, int64(searchFrom), forgetLast)
	})
}

// noteSearch notes where to search from for what is about to be sent. It is never before
// what was noted: where a crash takes the note back, more is searched.
func (t *table) noteSearch(ctx context.Context, searchFrom uint64) error {
	return t.mine(ctx, `UPDATE outbox.relay SET search_from = $2 WHERE epoch = $1`, int64(searchFrom))
}

// mine changes the one row of outbox.relay, unless another relay has taken over.
func (t *table) mine(ctx context.Context, sql string, args ...any) error {
	tag, err := t.conn.Exec(ctx, sql, append([]any{t.epoch}, args...)...)
	if err == nil && tag.RowsAffected() == 0 {
		err = errTakenOver
	}
	return err
}

// remove removes what the stream holds, of which the last one is there.
func (t *table) remove(ctx context.Context, seqs []int64, last message, position uint64) error {
	return t.mine(ctx, `
WITH relay AS (
    UPDATE outbox.relay SET last_position = greatest(last_position, $3), last_at = now(),
        last_subject = CASE WHEN $3 >= last_position THEN $4 ELSE last_subject END,
        last_id = CASE WHEN $3 >= last_position THEN $5 ELSE last_id END
    WHERE epoch = $1 RETURNING 1
), removed AS (
    DELETE FROM outbox.messages WHERE seq = ANY ($2) AND EXISTS (SELECT FROM relay)
)
SELECT FROM relay`, seqs, int64(position), last.Subject, last.id)
}
