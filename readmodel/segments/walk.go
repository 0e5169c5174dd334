package segments

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
)

// Which pages become segments.
const (
	minPages     = 128 // of an account: the documents of others are read by one statement, and are short
	segmentPages = 32  // of a segment; some 120 kB
	segmentBytes = 512 << 10

	// restingTransactions is for how many transactions of the server a page was not
	// written, at least: there is no clock in it, and every batch and every heartbeat is one.
	restingTransactions = 10_000
)

// Walker goes through the accounts of the live generation, again and again, and makes
// segments of pages that have come to rest. It is for one goroutine.
type Walker struct {
	Resting int // see restingTransactions, which is the default

	pool       *pgxpool.Pool
	replica    string
	rate       float64         // bytes of pages a second
	compressed func(bytes int) // is told how many bytes of pages a segment was made of
	after      events.UUID     // the account that was looked at last
}

// NewWalker makes segments of so many bytes of pages a second at most, where the replica
// of this name is the one of all to do so.
func NewWalker(pool *pgxpool.Pool, replica string, rate int, compressed func(bytes int)) *Walker {
	return &Walker{Resting: restingTransactions, pool: pool, replica: replica, rate: float64(rate), compressed: compressed}
}

// pause waits for as long as so many bytes of pages take at the rate.
func (w *Walker) pause(ctx context.Context, bytes int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(float64(bytes) / w.rate * float64(time.Second))):
		return nil
	}
}

// Next looks at the next accounts, and makes what segments there are to be made of them;
// end tells that it has come to the last account, and begins anew.
func (w *Walker) Next(ctx context.Context) (end bool, err error) {
	g, err := readmodel.LiveGeneration(ctx, w.pool)
	if err != nil || !g.Segments {
		return true, err
	}
	// One replica is enough: it is the one that owns the first partition.
	var mine bool
	err = w.pool.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM export.checkpoints WHERE generation = $1 AND partition = 0 AND owner = $2)`, g.Number, w.replica).Scan(&mine)
	if err != nil || !mine {
		return true, err
	}
	large, last, err := w.largeAccounts(ctx, g.Number)
	if err != nil {
		return true, fmt.Errorf("look for large accounts: %w", err)
	}
	for _, account := range large {
		if err := w.account(ctx, g.Number, account); err != nil {
			return true, fmt.Errorf("compress pages of account %s: %w", account, err)
		}
	}
	if last == nil {
		w.after = events.UUID{}
		return true, nil
	}
	w.after = *last
	return false, nil
}

// accountsALook is how many accounts with pages are looked at by one statement.
const accountsALook = 1000

// largeAccounts are the next ones, and the last one that was looked at; nil where no
// account comes after those. It goes from account to account by the pages' primary key.
func (w *Walker) largeAccounts(ctx context.Context, generation int64) (large []events.UUID, last *events.UUID, err error) {
	rows, err := w.pool.Query(ctx, readmodel.InSchema(generation, `
WITH RECURSIVE w AS (
    SELECT (SELECT account_id FROM {schema}.account_export_pages WHERE account_id > $1 ORDER BY account_id LIMIT 1) AS id, 1 AS n
    UNION ALL
    SELECT (SELECT account_id FROM {schema}.account_export_pages WHERE account_id > w.id ORDER BY account_id LIMIT 1), n + 1
    FROM w WHERE id IS NOT NULL AND n < $2
)
SELECT w.id, coalesce((SELECT usage_pages + key_pages + sandbox_pages >= $3 FROM {schema}.account_export WHERE account_id = w.id), false)
FROM w WHERE id IS NOT NULL ORDER BY n`), [16]byte(w.after), accountsALook, minPages)
	if err != nil {
		return nil, nil, err
	}
	var id [16]byte
	var isLarge bool
	n := 0
	_, err = pgx.ForEachRow(rows, []any{&id, &isLarge}, func() error {
		account := events.UUID(id)
		if n++; isLarge {
			large = append(large, account)
		}
		last = &account
		return nil
	})
	if n < accountsALook {
		last = nil
	}
	return large, last, err
}
