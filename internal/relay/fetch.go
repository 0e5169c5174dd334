package relay

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// fetch is what waits after a number and is not held up, in the order in which it was
// written: so many at most, and so many bytes or one. Of each subject it is the
// beginning, but for what waits with a number up to after: see behind.
func (t *table) fetch(ctx context.Context, after int64, most, bytes int) ([]message, error) {
	rows, err := t.conn.Query(ctx, `
SELECT seq, number, id, subject, header, data FROM (
    SELECT *, sum(octet_length(data) + 512) OVER (ORDER BY seq) - octet_length(data) - 512 AS before FROM (
        SELECT * FROM outbox.messages m
        WHERE seq > $1 AND NOT EXISTS (SELECT FROM outbox.refused r WHERE r.subject = m.subject)
        ORDER BY seq LIMIT $2
    ) waiting
) w WHERE before < $3 ORDER BY seq`, after, most, bytes)
	if err != nil {
		return nil, err
	}
	out, err := pgx.CollectRows(rows, scanMessage)
	if err != nil {
		return nil, err
	}
	last := map[string]int64{}
	for i, m := range out {
		if before := last[m.Subject]; before >= m.number {
			out[i].unsound = outOfOrder(m.number, before)
		}
		last[m.Subject] = m.number
	}
	return out, nil
}

// behind tells whether something waits up to a number that comes before one of these
// messages on its subject: it became visible together with it, and was passed over.
// It is asked after they were fetched: what comes before a message that is visible is
// visible, too. passed is what is known to be published, which need not be looked at.
func (t *table) behind(ctx context.Context, fetched []message, upTo int64, passed map[string]int64) (there bool, err error) {
	var subjects []string
	var after, before []int64
	seen := map[string]bool{}
	for _, m := range fetched {
		p := passed[m.Subject]
		if p >= m.number { // somebody has removed the counter
			p = 0
		}
		if !seen[m.Subject] && p+1 < m.number {
			subjects, after, before = append(subjects, m.Subject), append(after, p), append(before, m.number)
		}
		seen[m.Subject] = true
	}
	if len(subjects) == 0 {
		return false, nil
	}
	err = t.conn.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM unnest($1::text[], $2::bigint[], $3::bigint[]) w (subject, after, before), LATERAL (
    SELECT FROM outbox.messages m WHERE m.subject = w.subject COLLATE "C" AND m.number > w.after AND m.number < w.before AND m.seq <= $4 LIMIT 1
) earlier)`, subjects, after, before, upTo).Scan(&there)
	return there, err
}

func scanMessage(row pgx.CollectableRow) (m message, err error) {
	var header []byte
	err = row.Scan(&m.seq, &m.number, &m.id, &m.Subject, &header, &m.Data)
	m.setHeader(header)
	return m, err
}

// setHeader reads a header as the table has it.
func (m *message) setHeader(header []byte) {
	if header == nil {
		return
	}
	if err := json.Unmarshal(header, &m.Header); err != nil {
		m.unsound = fmt.Errorf("its header in outbox.messages is no object of arrays of texts, such as {\"Content-Type\": [\"application/cloudevents+json\"]}: mend or remove it: %w", err)
	}
}

// waitingByID is what waits and is not held up, of these ids.
func (t *table) waitingByID(ctx context.Context, ids []string) ([]message, error) {
	rows, err := t.conn.Query(ctx, `
SELECT seq, number, id, subject, header, data FROM outbox.messages m
WHERE id = ANY ($1) AND NOT EXISTS (SELECT FROM outbox.refused r WHERE r.subject = m.subject)`, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanMessage)
}
