package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
)

// raiseMinor makes a generation this minor version's: an older program that is
// projecting it is fenced, and refuses it from then on.
func raiseMinor(ctx context.Context, tx pgx.Tx, generation int64) error {
	_, err := tx.Exec(ctx, `UPDATE export.generations SET version_minor = $2 WHERE generation = $1 AND version_minor < $2`,
		generation, projections.VersionMinor)
	if err != nil {
		return fmt.Errorf("raise the minor version of generation %d: %w", generation, err)
	}
	_, err = tx.Exec(ctx, `UPDATE export.checkpoints SET epoch = epoch + 1, owner = NULL WHERE generation = $1`, generation)
	if err != nil {
		return fmt.Errorf("raise the minor version of generation %d: %w", generation, err)
	}
	return nil
}
