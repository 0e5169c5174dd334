package acts

import (
	"context"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// Document is the document of an account, folded from the stream alone.
type Document struct {
	State    projections.State
	Position uint64   // of the last message of the account
	Missing  []string // what it needs to be complete
	Body     []byte   // the document, where it is complete
	Timeless int      // messages of the account and its tier left out, since they have no time of their own
}

// DocumentAsOf folds the messages of an account, and of its tier, up to a point in the
// past. found is false where the stream holds no message of the account by then. The
// database is not asked.
func DocumentAsOf(ctx context.Context, client *stream.Client, account events.UUID, at AsOf) (d Document, found bool, err error) {
	fold := projections.NewFold()
	add := func(m projections.Message) error {
		taken, err := at.takes(m, &d.Timeless)
		if err != nil || !taken {
			return err
		}
		_, _, err = fold.Apply(m)
		return err
	}
	if err := client.ReadAccount(ctx, account, at.Position, add); err != nil {
		return d, false, err
	}
	a := fold.Account(account)
	if a == nil {
		return d, false, nil
	}
	tier, err := a.Tier()
	if err != nil {
		return d, true, err
	}
	if events.SoundTier(tier) {
		if err := client.ReadTier(ctx, tier, at.Position, add); err != nil {
			return d, true, err
		}
	}
	doc, missing, err := fold.Document(account)
	if err != nil {
		return d, true, err
	}
	d.State, d.Position, d.Missing = a.State(missing), a.Position(), missing
	if d.State == projections.Complete {
		d.Body = doc
	}
	return d, true, nil
}
