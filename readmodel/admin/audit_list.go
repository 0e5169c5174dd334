package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// AuditFilter selects lines of the audit; the zero value takes all of them.
type AuditFilter struct {
	Account *events.UUID // lines that name this account
	Who     string       // exactly; empty: whoever
	What    string       // exactly; empty: whatever
	Since   time.Time    // at this time or later; the zero time is none
	Before  int64        // with a lower id; 0 is none
}

// auditPage is how many lines one statement reads at most.
const auditPage = 500

// ListAudit calls each with up to limit lines, the newest first, by their ids. It reads
// them by an index, in pages: however long the audit is, a page costs what it holds.
// Where the database's clock was set back by more than a day, lines from before that may
// be left out by Since.
func ListAudit(ctx context.Context, db pg.Querier, f AuditFilter, limit int, each func(AuditEntry) error) error {
	for limit > 0 {
		size := min(limit, auditPage)
		page, err := f.read(ctx, db, size)
		if err != nil {
			return fmt.Errorf("list the audit: %w", readmodel.ExplainOutdatedSchema(err))
		}
		for _, e := range page {
			if err := each(e); err != nil {
				return err
			}
		}
		if len(page) < size {
			return nil
		}
		f.Before = page[size-1].ID
		limit -= size
	}
	return nil
}

// read reads a page.
func (f *AuditFilter) read(ctx context.Context, db pg.Querier, size int) ([]AuditEntry, error) {
	var where []string
	args := []any{size}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "$n", fmt.Sprintf("$%d", len(args))))
	}
	if f.Account != nil {
		add(`account = $n`, [16]byte(*f.Account))
	}
	if f.Who != "" {
		add(`who = $n`, f.Who)
	}
	if f.What != "" {
		add(`what = $n`, f.What)
	}
	if f.Before > 0 {
		add(`id < $n`, f.Before)
	}
	if !f.Since.IsZero() {
		// Lines are nearly in the order of their times. So that those from before are not
		// read, one that is a day older bounds the ids.
		add(`at >= $n AND id > coalesce((SELECT id FROM export.audit WHERE at < $n::timestamptz - interval '1 day' ORDER BY at DESC, id DESC LIMIT 1), 0)`, f.Since)
	}
	clause := ""
	if where != nil {
		clause = ` WHERE ` + strings.Join(where, ` AND `)
	}
	rows, err := db.Query(ctx, `SELECT id, at, who, through, what, account, detail, outcome FROM export.audit`+clause+` ORDER BY id DESC LIMIT $1`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e AuditEntry, err error) {
		var account *[16]byte
		err = row.Scan(&e.ID, &e.At, &e.Who, &e.Through, &e.What, &account, &e.Detail, &e.Outcome)
		e.Account = (*events.UUID)(account)
		return e, err
	})
}
