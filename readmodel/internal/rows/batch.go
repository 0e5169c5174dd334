package rows

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"accountexport/projections/engine"
	"accountexport/readmodel/internal/pg"
)

// QueueFunc takes one statement: to queue it, or to run it at once.
type QueueFunc func(sql string, args ...any)

// The limits of one statement. A statement holds a copy of what it writes, and the
// server works on one while the next is encoded.
const (
	AccountsPerStatement = 256
	itemsPerStatement    = 4096
	bytesPerStatement    = 256 << 10
)

// Bytes is about how much the batch has to write.
func Bytes(b *engine.Batch) int {
	n := 0
	for i := range b.Changes {
		c := &b.Changes[i]
		n += len(c.Row.User) + len(c.Row.Team) + len(c.Row.Usage) + len(c.Row.Keys) + len(c.Row.Sandboxes)
		for j := range c.Pages {
			n += len(c.Pages[j].Body)
		}
		for j := range c.Waiting {
			n += len(c.Waiting[j].Body)
		}
	}
	for i := range b.Parked {
		n += len(b.Parked[i].Payload)
	}
	return n
}

// QueueBatch queues the statements that write a batch. They have to run in one
// transaction, in this order.
func QueueBatch(b *engine.Batch, q QueueFunc) {
	q(pg.PreferIndexesGeneric)
	QueueAdvances(q, b)
	queueWipes(q, b)
	QueueErasures(q, b)
	for changes := range slices.Chunk(b.Changes, AccountsPerStatement) {
		QueueAccounts(q, b.Generation, changes)
		queuePages(q, b.Generation, changes)
	}
	queueItems(q, b)
	queueWaiting(q, b)
	queueTiers(q, b)
	queueParked(q, b)
}

// ExecBatch writes a batch in tx, statement by statement, until the first error.
func ExecBatch(ctx context.Context, tx pgx.Tx, b *engine.Batch) (err error) {
	QueueBatch(b, func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	})
	return err
}
