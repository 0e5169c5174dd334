package rows

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// CopyBatch writes what [QueueBatch] writes, with COPY for the rows that are new: those
// of accounts that the store has no row of, or no longer has any of, and every item of
// the directory. The fence comes first here as well, so no other writer can have made
// those rows.
func CopyBatch(ctx context.Context, tx pgx.Tx, b *engine.Batch) error {
	c := NewCopier(ctx, tx, readmodel.SchemaName(b.Generation), "")
	c.exec(pg.PreferIndexes)
	QueueAdvances(c.exec, b)
	queueWipes(c.exec, b)
	QueueErasures(c.exec, b)
	added, known := splitByRow(b.Changes)
	c.accounts(added)
	c.Pages(added)
	for changes := range slices.Chunk(known, AccountsPerStatement) {
		QueueAccounts(c.exec, b.Generation, changes)
		queuePages(c.exec, b.Generation, changes)
	}
	c.Items(b.Changes)
	queueWaiting(c.exec, b)
	queueTiers(c.exec, b)
	queueParked(c.exec, b)
	return c.err
}

// Copier writes rows by COPY, until the first error.
type Copier struct {
	ctx    context.Context
	tx     pgx.Tx
	schema string
	prefix string // of the tables' names
	err    error  // the first one; nothing is written after it
}

// NewCopier copies within tx into tables of a schema whose names begin with the
// prefix.
func NewCopier(ctx context.Context, tx pgx.Tx, schema, prefix string) *Copier {
	return &Copier{ctx: ctx, tx: tx, schema: schema, prefix: prefix}
}

// Err is the first error that was met.
func (c *Copier) Err() error { return c.err }

func (c *Copier) exec(sql string, args ...any) {
	if c.err == nil {
		_, c.err = c.tx.Exec(c.ctx, sql, args...)
	}
}

func (c *Copier) copy(table string, columns []string, rows [][]any) {
	c.copyFrom(table, columns, len(rows), func(i int) ([]any, error) { return rows[i], nil })
}

// copyFrom copies n rows; row may return the same slice each time, with other values.
func (c *Copier) copyFrom(table string, columns []string, n int, row func(i int) ([]any, error)) {
	if c.err != nil || n == 0 {
		return
	}
	_, err := c.tx.CopyFrom(c.ctx, pgx.Identifier{c.schema, c.prefix + table}, columns, pgx.CopyFromSlice(n, row))
	if err != nil {
		c.err = fmt.Errorf("copy into %s: %w", table, err)
	}
}

var accountColumns = []string{"account_id", "partition", "position", "parked", "version_minor", "erased_at", "quota_tier_id", "usage_low",
	"usage_pages", "key_pages", "sandbox_pages", "waiting", "counted_at", "messages", "digest_high",
	"digest_low", "user_json", "team_json", "usage_tail", "keys_tail", "sandboxes_tail"}

func (c *Copier) accounts(changes []projections.Change) {
	row := make([]any, len(accountColumns))
	c.copyFrom("account_export", accountColumns, len(changes), func(i int) ([]any, error) {
		r := &changes[i].Row
		var erased, tier any
		if r.ErasedAt != nil {
			erased = r.ErasedAt.GoTime()
		}
		if r.QuotaTierID != "" {
			tier = &r.QuotaTierID
		}
		return append(row[:0], (*[16]byte)(&r.ID), int32(r.Partition), int64(r.Position), int32(r.Parked), int32(projections.VersionMinor),
			erased, tier, &r.UsageLow, int32(r.UsagePages), int32(r.KeyPages), int32(r.SandboxPages), int32(r.Waiting),
			int64(r.Position), int64(changes[i].Messages), int64(changes[i].Digest[0]), int64(changes[i].Digest[1]),
			r.User, r.Team, r.Usage, r.Keys, r.Sandboxes), nil
	})
}

// The columns that are copied, which are all that the tables have.
var (
	PageColumns    = []string{"account_id", "section", "page_key", "body"}
	ItemColumns    = []string{"account_id", "section", "item", "page_key"}
	WaitingColumns = []string{"account_id", "entity", "entity_id", "patch"}
	ParkedColumns  = []string{"position", "partition", "account_id", "sent_at", "subject", "type", "reason", "headers", "payload"}
)

// Pages copies the pages of the changes.
func (c *Copier) Pages(changes []projections.Change) {
	var rows [][]any
	for i := range changes {
		for _, p := range changes[i].Pages {
			rows = append(rows, []any{[16]byte(changes[i].Row.ID), int16(p.Section), p.Key, p.Body})
		}
	}
	c.copy("account_export_pages", PageColumns, rows)
}

// Items copies what the changes add to the directory of items.
func (c *Copier) Items(changes []projections.Change) {
	var rows [][]any
	for i := range changes {
		for _, it := range changes[i].Sealed {
			rows = append(rows, []any{[16]byte(changes[i].Row.ID), int16(it.Section), it.Item, it.Page})
		}
	}
	c.copy("account_export_items", ItemColumns, rows)
}

// Waiting copies the patches that wait, and leaves out those that have been applied.
func (c *Copier) Waiting(changes []projections.Change) {
	var rows [][]any
	for i := range changes {
		for _, w := range changes[i].Waiting {
			if w.Body != nil {
				rows = append(rows, []any{[16]byte(changes[i].Row.ID), int16(w.Entity), w.ID, w.Body})
			}
		}
	}
	c.copy("account_waiting", WaitingColumns, rows)
}

// Parked copies parked messages.
func (c *Copier) Parked(messages []projections.ParkedMessage) {
	rows := make([][]any, 0, len(messages))
	for _, m := range messages {
		rows = append(rows, []any{int64(m.Position), int32(m.Partition), (*[16]byte)(m.Account), m.Time, printable(m.Subject), printable(m.Type),
			printable(m.Reason), headerLines(m.Header), append([]byte{}, m.Payload...)})
	}
	c.copy("parked", ParkedColumns, rows)
}
