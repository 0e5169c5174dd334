package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/events"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
)

// AuditEntry is a line of the audit: a look at an account, or an act.
type AuditEntry struct {
	ID      int64     // in the order in which the lines were begun
	At      time.Time // by the database's clock
	Who     string
	Through string // "console" or "command line"
	What    string // a word of a closed list, see package acts
	Account *events.UUID
	Detail  string // no value of an event, no address, no account id and no free text
	Outcome string // "begun", "done", "refused" or "failed"
}

// WhatErased is what the line of an erasure says. It alone keeps its account: the
// trigger of 014_audit.sql and package rows know it as well.
const WhatErased = "account.erase"

// AuditDB is a pool or a connection. A transaction will not do: what it has written is
// not on record before it ends.
type AuditDB interface {
	pg.Querier
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// NoteAudit adds a line, in one statement, and returns its id; ID and At of the entry
// are not read. The line is committed when it returns. Of an account that is on the
// ledger of erasures the line is without the account, unless it is the erasure's own.
func NoteAudit(ctx context.Context, db AuditDB, e AuditEntry) (id int64, err error) {
	err = db.QueryRow(ctx, `
INSERT INTO export.audit (who, through, what, account, detail, outcome) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id`,
		e.Who, e.Through, e.What, (*[16]byte)(e.Account), e.Detail, e.Outcome).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("write a line of the audit: %w", explainUnwritable(err))
	}
	return id, nil
}

// EndAudit says what an act has come to, whose line was begun.
// [accountexport/readmodel.ErrNotFound] where there is no such line any more.
func EndAudit(ctx context.Context, db AuditDB, id int64, outcome string) error {
	tag, err := db.Exec(ctx, `UPDATE export.audit SET outcome = $2 WHERE id = $1 AND outcome = 'begun'`, id, outcome)
	if err == nil && tag.RowsAffected() == 0 {
		err = readmodel.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("end line %d of the audit: %w", id, explainUnwritable(err))
	}
	return nil
}

// explainUnwritable says what to do where the audit cannot be written.
func explainUnwritable(err error) error {
	if pg.Code(err) == pg.ReadOnly {
		return fmt.Errorf("the database cannot be written, as a standby cannot: DATABASE_URL has to be the one that is written: %w", err)
	}
	return readmodel.ExplainOutdatedSchema(err)
}
