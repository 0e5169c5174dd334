package acts

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/admin"
)

// ParkedSelection changes parked messages in bulk. [ParkedSelection.Select] comes
// first; it changes nothing, and says how many messages the filter selects. The other
// methods change exactly these messages. Cut off, a repetition does the rest.
type ParkedSelection struct {
	Pool   *pgxpool.Pool
	Filter admin.ParkedFilter

	admin.ParkedSelection
}

// NoneParked is the error where the filter selects none of the parked messages.
type NoneParked struct{ Of int64 }

func (e *NoneParked) Error() string {
	if e.Of == 0 {
		return "no message is parked"
	}
	return fmt.Sprintf("none of the %d parked messages is meant", e.Of)
}

// Select selects messages by the filter. The error is [*NoneParked] where there is
// none.
func (p *ParkedSelection) Select(ctx context.Context) (err error) {
	if p.ParkedSelection, err = admin.SelectParked(ctx, p.Pool, p.Filter); err != nil {
		return err
	}
	if len(p.Messages) == 0 {
		return &NoneParked{p.Total}
	}
	return nil
}

// Dismiss is [admin.ParkedSelection.Dismiss] of the selection.
func (p *ParkedSelection) Dismiss(ctx context.Context, note string, renote bool) (n int, err error) {
	return p.ParkedSelection.Dismiss(ctx, p.Pool, note, renote)
}

// Undismiss is [admin.ParkedSelection.Undismiss] of the selection.
func (p *ParkedSelection) Undismiss(ctx context.Context, note string) (n int, err error) {
	return p.ParkedSelection.Undismiss(ctx, p.Pool, note)
}
