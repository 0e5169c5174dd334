package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Status is what an outbox holds.
type Status struct {
	Pending      int64         // messages that are not known to be published
	Oldest       time.Duration // how long the oldest of them has waited
	Stream       string        // that it is published to; empty where nothing was yet
	LastPosition uint64        // of what was published; 0: nothing yet
	LastAt       *time.Time    // when that was noted; nil: never
	Relay        string        // who relays it; empty: nobody
	Refused      []Refused
}

// Refused is a message that JetStream refuses, and that holds up its subject.
type Refused struct {
	Subject string
	Number  int64
	ID      string
	Reason  string
	Since   time.Time
}

// querier is a connection or a pool.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ReadStatus reads it. Whatever the pooler in between, it needs no session.
func ReadStatus(ctx context.Context, db querier) (s Status, err error) {
	var there bool
	if err := db.QueryRow(ctx, `SELECT to_regclass('outbox.relay') IS NOT NULL`).Scan(&there); err != nil {
		return s, fmt.Errorf("outbox: %w", err)
	}
	if !there {
		return s, ErrNoOutbox
	}
	var oldest float64
	var stream *string
	err = db.QueryRow(ctx, `
SELECT waiting.n, coalesce(greatest(0, extract(epoch FROM clock_timestamp() - waiting.oldest)), 0)::float8, r.stream_name, r.last_position, r.last_at,
    coalesce((`+holderSQL+`), '')
FROM outbox.relay r, (SELECT count(*) AS n, min(written_at) AS oldest FROM outbox.messages) waiting`, int64(lockKey)).
		Scan(&s.Pending, &oldest, &stream, &s.LastPosition, &s.LastAt, &s.Relay)
	if err != nil {
		return s, fmt.Errorf("outbox: %w", err)
	}
	s.Oldest = time.Duration(oldest * float64(time.Second))
	if stream != nil {
		s.Stream = *stream
	}
	rows, err := db.Query(ctx, `SELECT subject, number, id, reason, since FROM outbox.refused ORDER BY since, subject`)
	if err != nil {
		return s, fmt.Errorf("outbox: %w", err)
	}
	if s.Refused, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Refused]); err != nil {
		return s, fmt.Errorf("outbox: %w", err)
	}
	return s, nil
}
