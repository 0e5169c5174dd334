package admin

import (
	"context"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/projections"
)

// accountFold is an account's fold, and what it has come to: as a whole up to a
// position, and what came after that.
type accountFold struct {
	*projections.Refold
	account events.UUID
	upTo    uint64 // everything up to here was read
	begun   bool

	base   projections.Change
	parked []projections.ParkedMessage // up to there
	delta  *projections.Change         // nil where nothing came, or it goes by itself

	sum   Sum // of both
	facts Facts
}

func newRefold(account events.UUID) *accountFold {
	return &accountFold{Refold: projections.NewRefold(account), account: account}
}

// foldUpTo folds up to a position what the fold has not seen: from the beginning
// at first, and then what came since; whole tells whether it is another whole now,
// as it is at first, and where the account was erased.
func (f *accountFold) foldUpTo(ctx context.Context, read ReadAccount, upTo uint64) (whole bool, err error) {
	if upTo > f.upTo {
		err := read(ctx, f.account, f.upTo, upTo, func(m projections.Message) error {
			if m.Position <= f.upTo || m.Position > upTo {
				return nil
			}
			if err := f.Apply(m); err != nil {
				return fmt.Errorf("%w: position %d: %w", ErrUnfoldable, m.Position, err)
			}
			return nil
		})
		if err != nil {
			return false, fmt.Errorf("fold account %s: %w", f.account, err)
		}
		f.upTo = upTo
	}
	first := !f.begun
	if f.begun = true; !first && f.State.Position() == f.sum.Position {
		return false, nil
	}
	c, err := f.State.Flush()
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnfoldable, err)
	}
	f.sum.AddChange(&c)
	f.facts.AddChange(&c)
	if !first && !c.Replaces {
		f.delta = &c
		return false, nil
	}
	c.New, c.Replaces = false, true
	f.base, f.parked, f.delta = c, slices.Clone(f.Parked), nil
	return true, nil
}

// parkedSince is what was parked after the whole.
func (f *accountFold) parkedSince() []projections.ParkedMessage {
	return slices.Clone(f.Parked[len(f.parked):])
}

// row is the account's row in the end; of its sections it has those that came
// last.
func (f *accountFold) row() *projections.AccountRow {
	if f.delta != nil {
		return &f.delta.Row
	}
	return &f.base.Row
}
