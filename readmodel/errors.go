package readmodel

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/projections/engine"
	"accountexport/readmodel/internal/pg"
)

// ErrNotFound means that there is nothing under the given key.
var ErrNotFound = errors.New("not found")

// ErrSchemaOutdated means that the database was not migrated for this program. Where
// that is known of the ledger of missing messages, the error is
// [accountexport/readmodel/admin.ErrNoLedger] as well.
var ErrSchemaOutdated = errors.New("the database's schema is older than this program: `projector provision` brings it up to date")

// ErrLive means that what was asked for cannot be done to the live generation.
var ErrLive = errors.New("the generation is live")

// ErrNoGeneration means that no generation is live: nothing was projected yet.
var ErrNoGeneration = errors.New("no generation is live")

// ExplainOutdatedSchema puts before err what to do, where err says that a table or a
// column does not exist in a database that has a schema: an older program migrated it.
func ExplainOutdatedSchema(err error) error {
	if pg.IsUndefinedTable(err) || pg.IsUndefinedColumn(err) {
		return explainOutdated(err)
	}
	return err
}

// explainOutdated makes err an [ErrSchemaOutdated].
func explainOutdated(err error) error { return fmt.Errorf("%w: %w", ErrSchemaOutdated, err) }

// The SQLSTATEs that this schema's own functions raise.
const (
	fencedCode = "AE001" // export.advance_checkpoints
	pausedCode = "AE003" // export.stand_still
)

// AsEngineError turns what the schema's functions raise into the engine's errors,
// [engine.ErrFenced] and [engine.ErrPaused]. Other errors stay as they are.
func AsEngineError(err error) error {
	var raised *pgconn.PgError
	if !errors.As(err, &raised) {
		return err
	}
	switch raised.Code {
	case fencedCode:
		return fmt.Errorf("%w: %s", engine.ErrFenced, raised.Message)
	case pausedCode:
		return engine.PausedError(raised.Message)
	}
	return err
}

// SQLState is the SQLSTATE of what the server has refused; empty where it was not the
// server that refused.
func SQLState(err error) string { return pg.Code(err) }
