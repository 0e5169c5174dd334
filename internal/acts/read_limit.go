package acts

import (
	"context"

	"golang.org/x/time/rate"

	"accountexport/projections"
)

// ReadLimit bounds what an act reads. The zero value bounds nothing.
type ReadLimit struct {
	messages, bytes *rate.Limiter
}

// NewReadLimit is so many messages and bytes a second at most.
func NewReadLimit(messages, bytes int) ReadLimit {
	return ReadLimit{rate.NewLimiter(rate.Limit(messages), max(1, messages/10)), rate.NewLimiter(rate.Limit(bytes), max(1, bytes/10))}
}

// anAccount is how many messages an account counts as beside its own: about
// what finding it costs, on two servers.
const anAccount = 1000

// account waits until another account may be looked at.
func (p ReadLimit) account(ctx context.Context) error { return take(ctx, p.messages, anAccount) }

// read waits until a message may have been read.
func (p ReadLimit) read(ctx context.Context, m *projections.Message) error {
	if err := take(ctx, p.messages, 1); err != nil {
		return err
	}
	return take(ctx, p.bytes, len(m.Data))
}

// stored waits until so many bytes may have been read from the database.
func (p ReadLimit) stored(ctx context.Context, n int) error { return take(ctx, p.bytes, n) }

func take(ctx context.Context, from *rate.Limiter, n int) error {
	for from != nil && n > 0 {
		some := min(n, from.Burst())
		if err := from.WaitN(ctx, some); err != nil {
			return err
		}
		n -= some
	}
	return nil
}
