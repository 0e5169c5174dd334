package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// outOfOrder is why a message is held up that has a lower number than one before it.
func outOfOrder(number, before int64) error {
	return fmt.Errorf("it has number %d of its subject, and was written after number %d, which waits, too: outbox.subjects or outbox.messages was changed by hand. "+
		"It is published in the order of seq, at the next try after %d is: if that is wrong, remove it before, and write it again", number, before, before)
}

// refuse puts a message on record that is refused.
func (t *table) refuse(ctx context.Context, m message, reason string, searchFrom uint64) error {
	_, err := t.conn.Exec(ctx, `
INSERT INTO outbox.refused AS r (subject, number, id, reason, search_from) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (subject) DO UPDATE SET number = excluded.number, id = excluded.id, reason = excluded.reason,
    since = CASE WHEN r.number = excluded.number THEN r.since ELSE excluded.since END,
    search_from = CASE WHEN r.number = excluded.number THEN least(r.search_from, excluded.search_from) ELSE excluded.search_from END`,
		m.Subject, m.number, m.id, reason, int64(searchFrom))
	return err
}

// accept takes a message from the record. It holds its subject up no more.
func (t *table) accept(ctx context.Context, subject string) error {
	_, err := t.conn.Exec(ctx, `DELETE FROM outbox.refused WHERE subject = $1`, subject)
	return err
}

// refusedMessage is one that is on record.
type refusedMessage struct {
	subject    string
	number     int64
	id         string
	searchFrom uint64
}

// refused is what is on record, without the messages: those are large, often.
func (t *table) refused(ctx context.Context) ([]refusedMessage, error) {
	rows, err := t.conn.Query(ctx, `SELECT subject, number, id, search_from FROM outbox.refused ORDER BY since`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r refusedMessage, err error) {
		var from int64
		err = row.Scan(&r.subject, &r.number, &r.id, &from)
		r.searchFrom = uint64(from)
		return r, err
	})
}

// refusedOne is the message itself; nil where somebody has removed it.
func (t *table) refusedOne(ctx context.Context, r refusedMessage) (*message, error) {
	rows, err := t.conn.Query(ctx, `
SELECT seq, number, id, subject, header, data FROM outbox.messages WHERE subject = $1 AND number = $2 AND id = $3`, r.subject, r.number, r.id)
	if err != nil {
		return nil, err
	}
	m, err := pgx.CollectOneRow(rows, scanMessage)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var before *int64
	err = t.conn.QueryRow(ctx, `SELECT max(number) FROM outbox.messages WHERE subject = $1 AND number > $2 AND seq < $3`, m.Subject, m.number, m.seq).Scan(&before)
	if before != nil {
		m.unsound = outOfOrder(m.number, *before)
	}
	return &m, err
}
