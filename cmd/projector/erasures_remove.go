package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"accountexport/events"
	"accountexport/internal/acts"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// removeErasure takes an account off the ledger that nobody has erased.
func (p *program) removeErasure(ctx context.Context, on acts.Target, account events.UUID) error {
	first, err := on.Stream.FirstErased(ctx, account)
	if err == nil && first.Position > 0 {
		err = fmt.Errorf("stream %s holds account.erased of account %s, at position %d: whoever folds it erases the account, and it stays on the ledger",
			on.Stream.Stream(), account, first.Position)
	}
	if err != nil {
		return err
	}
	e, err := admin.FindErasure(ctx, on.Pool, account)
	if errors.Is(err, readmodel.ErrNotFound) { // its erasure may have been begun, and not published
		err = nil
	} else if err == nil {
		err = p.confirm(ctx, fmt.Sprintf("Account %s, erased %s by stream %s, goes off the ledger: where it was erased, it returns with a "+
			"restored stream.", account, e.ErasedAt.UTC().Format(time.RFC3339), e.Stream))
	}
	if err == nil {
		err = admin.RemoveErasure(ctx, on.Pool, account)
	}
	if errors.Is(err, readmodel.ErrNotFound) {
		return fmt.Errorf("account %s is not on the ledger; `projector erasures list` shows who is", account)
	}
	if err != nil {
		return err
	}
	return p.result(removedLine{account.String()},
		"account %s is no longer on the ledger of erasures; remove it from exports as well, or it comes back by them\n", account)
}
