package acts

import (
	"context"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// History calls each with every message of an account in the stream, and what it
// changed. found is false where the stream holds none. The database is not asked.
func History(ctx context.Context, client *stream.Client, account events.UUID, each func(projections.HistoryEntry) error) (found bool, err error) {
	h := projections.NewHistory(account)
	err = client.ReadAccount(ctx, account, 0, func(m projections.Message) error {
		found = true
		e, err := h.Apply(m)
		if err != nil {
			return err
		}
		return each(e)
	})
	return found, err
}
