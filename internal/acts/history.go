package acts

import (
	"context"

	"accountexport/events"
	"accountexport/internal/stream"
	"accountexport/projections"
)

// HistoryCount says how much there was for [History].
type HistoryCount struct {
	Messages int // of the account in the stream
	Timeless int // of them left out, since they have no time of their own
}

// History calls each with the messages of an account in the stream up to a point in the
// past, and what each changed. The database is not asked.
func History(ctx context.Context, client *stream.Client, account events.UUID, at AsOf, each func(projections.HistoryEntry) error) (n HistoryCount, err error) {
	h := projections.NewHistory(account)
	err = client.ReadAccount(ctx, account, at.Position, func(m projections.Message) error {
		n.Messages++
		if taken, err := at.takes(m, &n.Timeless); err != nil || !taken {
			return err
		}
		e, err := h.Apply(m)
		if err != nil {
			return err
		}
		return each(e)
	})
	return n, err
}
