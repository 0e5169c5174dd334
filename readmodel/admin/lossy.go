package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"accountexport/events"
	"accountexport/projections"
	"accountexport/readmodel"
)

// ErrLoss means that an account was left as it is, since a fold of the messages
// that the stream still holds of it would lose what its row was made of.
var ErrLoss = errors.New("the stream no longer holds all that the row was made of")

// ErrAccount means that something is wrong with one account, and not with a
// server: others can be refolded.
var ErrAccount = errors.New("the account cannot be refolded")

// Unchanged is an account that was left as it is.
type Unchanged struct {
	Account events.UUID
	Err     error // [ErrLoss] or [ErrAccount]
}

// loss tells what a fold would lose of what is stored, nil where it is as much
// at least. A row that counts its messages is held to that: a fold that saw
// fewer of them is no better than the row. One that does not must not shrink.
// An account that the stream says is erased loses nothing by it.
func loss(was *stored, f *refold) error {
	folded := f.sum.Position
	switch {
	case f.row().ErasedAt != nil:
		return nil
	case was.erased:
		return fmt.Errorf("%w: it is erased, and of its erasure the stream knows nothing", ErrLoss)
	case f.sum.Messages == 0:
		return fmt.Errorf("%w: the stream holds no message of it; `projector erase` removes what is stored", ErrLoss)
	case was.says.Messages > 0:
		if f.sum.Messages < was.says.Messages {
			return fmt.Errorf("%w: the row counts %d messages, and the stream holds %d of them", ErrLoss, was.says.Messages, f.sum.Messages)
		}
		return nil
	case folded < was.position:
		return fmt.Errorf("%w: the row is at position %d, and the last message that the stream holds is at %d", ErrLoss, was.position, folded)
	}
	for _, position := range was.at {
		if _, there := f.Outcomes[position]; !there {
			return fmt.Errorf("%w: message %d is parked, and the stream no longer holds it", ErrLoss, position)
		}
	}
	// What was parked and is accepted may make a text shorter.
	bytes := was.parked == 0 || was.minor == projections.VersionMinor
	if part := projections.ExtentOfChange(&f.whole).Less(was.extent, bytes); part != "" {
		return fmt.Errorf("%w, as far as can be told, since the row does not count its messages: of %s there would be less "+
			"(the stream holds %d messages; `projector verify` counts those of rows that are right)", ErrLoss, part, f.sum.Messages)
	}
	return nil
}

// tierLoss tells that a fold has not come as far as the definition in force.
func tierLoss(ctx context.Context, tx pgx.Tx, generation int64, tier string, r *projections.TierRefold) error {
	var at, folded uint64
	err := tx.QueryRow(ctx, readmodel.InSchema(generation, `SELECT coalesce(max(position), 0) FROM {schema}.quota_tiers WHERE id = $1`), tier).Scan(&at)
	if err != nil {
		return fmt.Errorf("read tier %s: %w", tier, err)
	}
	if r.Definition != nil {
		folded = r.Definition.Position
	}
	if folded < at {
		return fmt.Errorf("%w: its definition is of position %d, and the last that the stream holds is of %d", ErrLoss, at, folded)
	}
	return nil
}
