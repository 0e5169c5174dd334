package admin

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/projections"
	"accountexport/readmodel"
)

// checkLoss is an [ErrDataLoss] that says what a fold would lose of what is stored, nil
// where it would lose nothing. A row that counts its messages is compared by that
// count: a fold that saw fewer of them is no better than the row. A row without a
// count must not shrink. An account that the stream says is erased loses nothing by
// that.
func checkLoss(stored *storedSum, f *accountFold) error {
	folded := f.sum.Position
	switch {
	case f.row().ErasedAt != nil:
		return nil
	case stored.erased:
		return fmt.Errorf("%w: it is erased, and of its erasure the stream knows nothing", ErrDataLoss)
	case f.sum.Messages == 0:
		return fmt.Errorf("%w: the stream holds no message of it; `projector erase` removes what is stored", ErrDataLoss)
	case stored.recorded.Messages > 0:
		if f.sum.Messages < stored.recorded.Messages {
			return fmt.Errorf("%w: the row counts %d messages, and the stream holds %d of them", ErrDataLoss, stored.recorded.Messages, f.sum.Messages)
		}
		return nil
	case folded < stored.position:
		return fmt.Errorf("%w: the row is at position %d, and the last message that the stream holds is at %d", ErrDataLoss, stored.position, folded)
	}
	for _, position := range stored.parkedAt {
		if _, known := f.Outcomes[position]; !known {
			return fmt.Errorf("%w: message %d is parked, and the stream no longer holds it", ErrDataLoss, position)
		}
	}
	// A message that was parked and is accepted now may make a text shorter.
	bytes := stored.parked == 0 || stored.minor == projections.VersionMinor
	have, err := f.extent()
	if err != nil {
		return err
	}
	if part := have.Less(stored.extent, bytes); part != "" {
		return fmt.Errorf("%w, as far as can be told, since the row does not count its messages: of %s there would be less "+
			"(the stream holds %d messages; `projector verify` counts those of rows that are right)", ErrDataLoss, part, f.sum.Messages)
	}
	return nil
}

// checkTierLoss is an [ErrDataLoss] where a fold ends before the definition in force.
func checkTierLoss(ctx context.Context, tx pgx.Tx, generation int64, tier string, r *projections.TierRefold) error {
	var at, folded uint64
	err := tx.QueryRow(ctx, readmodel.InSchema(generation, `SELECT coalesce(max(position), 0) FROM {schema}.quota_tiers WHERE id = $1`), tier).Scan(&at)
	if err != nil {
		return fmt.Errorf("read tier %s: %w", tier, err)
	}
	if r.Definition != nil {
		folded = r.Definition.Position
	}
	if folded < at {
		return fmt.Errorf("%w: its definition is of position %d, and the last that the stream holds is of %d", ErrDataLoss, at, folded)
	}
	return nil
}
