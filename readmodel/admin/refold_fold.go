package admin

import (
	"context"
	"fmt"
	"slices"

	"accountexport/events"
	"accountexport/projections"
)

// accountFold is an account's fold and what it has come to: the state up to a position,
// which is staged, and what came after it.
type accountFold struct {
	*projections.Refold
	account events.UUID
	upTo    uint64 // every message up to here was read
	begun   bool

	base   projections.Change          // the account as it is staged
	parked []projections.ParkedMessage // by then
	delta  *projections.Change         // what came after it; nil where nothing did

	sum   Sum // of both
	facts Facts
}

func newRefold(account events.UUID) *accountFold {
	return &accountFold{Refold: projections.NewRefold(account), account: account}
}

// foldUpTo folds the messages up to a position that the fold has not seen; rebased
// tells whether base is another one now, as it is at first, and where the account was
// erased since.
func (f *accountFold) foldUpTo(ctx context.Context, read ReadAccount, upTo uint64) (rebased bool, err error) {
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

// parkedSince is what was parked after base.
func (f *accountFold) parkedSince() []projections.ParkedMessage {
	return slices.Clone(f.Parked[len(f.parked):])
}

// row is the account's row in the end; of its sections it has those that changed
// last.
func (f *accountFold) row() *projections.AccountRow {
	if f.delta != nil {
		return &f.delta.Row
	}
	return &f.base.Row
}
