package acts

import (
	"context"

	"golang.org/x/time/rate"

	"accountexport/projections"
)

// ReadLimit limits how fast an act reads. The zero value sets no limit.
type ReadLimit struct {
	messages, bytes *rate.Limiter
}

// NewReadLimit allows so many messages and bytes a second.
func NewReadLimit(messages, bytes int) ReadLimit {
	return ReadLimit{rate.NewLimiter(rate.Limit(messages), max(1, messages/10)), rate.NewLimiter(rate.Limit(bytes), max(1, bytes/10))}
}

// messagesForAccount is how many messages an account counts for beside its own: about
// what finding it costs, on two servers.
const messagesForAccount = 1000

// account waits until another account may be read.
func (l ReadLimit) account(ctx context.Context) error {
	return take(ctx, l.messages, messagesForAccount)
}

// read waits until a message may have been read.
func (l ReadLimit) read(ctx context.Context, m *projections.Message) error {
	if err := take(ctx, l.messages, 1); err != nil {
		return err
	}
	return take(ctx, l.bytes, len(m.Data))
}

// stored waits until so many bytes may have been read from the database.
func (l ReadLimit) stored(ctx context.Context, n int) error { return take(ctx, l.bytes, n) }

func take(ctx context.Context, from *rate.Limiter, n int) error {
	for from != nil && n > 0 {
		part := min(n, from.Burst())
		if err := from.WaitN(ctx, part); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
