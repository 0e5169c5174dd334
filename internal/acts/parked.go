package acts

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/admin"
)

// ParkedSelection is what is done to parked messages in bulk: first [ParkedSelection.Select], which
// changes nothing and tells how many are meant, then one of the others, to those
// and no others. Cut off, a repetition does the rest.
type ParkedSelection struct {
	Pool   *pgxpool.Pool
	Filter admin.ParkedFilter

	admin.ParkedSelection
}

// NoneParked means that none of the parked messages is meant.
type NoneParked struct{ Of int64 }

func (e *NoneParked) Error() string {
	if e.Of == 0 {
		return "no message is parked"
	}
	return fmt.Sprintf("none of the %d parked messages is meant", e.Of)
}

// Select finds what the filter means; [*NoneParked] where that is nothing.
func (p *ParkedSelection) Select(ctx context.Context) (err error) {
	if p.ParkedSelection, err = admin.SelectParked(ctx, p.Pool, p.Filter); err != nil {
		return err
	}
	if len(p.Messages) == 0 {
		return &NoneParked{p.Total}
	}
	return nil
}

// Dismiss is [admin.ParkedSelection.Dismiss] of what was chosen.
func (p *ParkedSelection) Dismiss(ctx context.Context, note string, renote bool) (n int, err error) {
	return p.ParkedSelection.Dismiss(ctx, p.Pool, note, renote)
}

// Undismiss is [admin.ParkedSelection.Undismiss] of what was chosen.
func (p *ParkedSelection) Undismiss(ctx context.Context, note string) (n int, err error) {
	return p.ParkedSelection.Undismiss(ctx, p.Pool, note)
}
