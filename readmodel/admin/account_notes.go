package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
)

// AccountNotes are what is on record of an account beside its document.
type AccountNotes struct {
	Erasure *Erasure // its entry on the ledger of erasures; nil: it has none
	Live    int64    // the generation that is live as of these notes; 0: none is
	Parked  []Parked // its parked messages, the first of them, in stream order; without headers and payload
}

// ReadAccountNotes reads them in one statement, and goes by indexes: what it costs does
// not grow with the read model. most is how many parked messages it gives.
func ReadAccountNotes(ctx context.Context, pool *pgxpool.Pool, g readmodel.Generation, account events.UUID, most int) (n AccountNotes, err error) {
	rows, err := pool.Query(ctx, readmodel.InSchema(g.Number, `
SELECT e.erased_at, e.position, e.stream_name, e.stream_created, coalesce(e.receipt, ''),
    p.position, p.partition, p.sent_at, p.type, p.reason,
    coalesce((SELECT generation FROM export.generations WHERE state = 'live'), 0),
    (SELECT d.dismissed_at FROM export.dismissals d WHERE d.stream_name = $2 AND d.stream_created = $3 AND d.position = p.position)
FROM (SELECT) one LEFT JOIN export.erasures e ON e.account_id = $1
LEFT JOIN LATERAL (SELECT position, partition, sent_at, type, reason FROM {schema}.parked WHERE account_id = $1 ORDER BY position LIMIT $4) p ON true
ORDER BY p.position`), [16]byte(account), g.Stream.Name, g.Stream.Created, most)
	if err != nil {
		return n, fmt.Errorf("account %s on the ledger and among what is parked: %w", account, err)
	}
	defer rows.Close()
	for rows.Next() {
		var erasedAt, created, sent, dismissed *time.Time
		var erasedPosition, position *uint64
		var stream, typ, reason *string
		var receipt string
		var partition *int
		if err := rows.Scan(&erasedAt, &erasedPosition, &stream, &created, &receipt, &position, &partition, &sent, &typ, &reason, &n.Live, &dismissed); err != nil {
			return n, fmt.Errorf("account %s on the ledger and among what is parked: %w", account, err)
		}
		if erasedAt != nil && n.Erasure == nil {
			n.Erasure = &Erasure{account, *erasedAt, *erasedPosition, *stream, *created, receipt}
		}
		if position != nil {
			n.Parked = append(n.Parked, Parked{Position: *position, Partition: *partition, Account: &account, SentAt: *sent, Type: *typ, Reason: *reason,
				DismissedAt: dismissed})
		}
	}
	if err := rows.Err(); err != nil {
		return n, fmt.Errorf("account %s on the ledger and among what is parked: %w", account, err)
	}
	return n, nil
}
