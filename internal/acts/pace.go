package acts

import (
	"context"

	"golang.org/x/time/rate"

	"accountexport/projections"
)

// Pace bounds what an act reads. The zero value bounds nothing.
type Pace struct {
	messages, bytes *rate.Limiter
}

// NewPace is so many messages and bytes a second at most.
func NewPace(messages, bytes int) Pace {
	return Pace{rate.NewLimiter(rate.Limit(messages), max(1, messages/10)), rate.NewLimiter(rate.Limit(bytes), max(1, bytes/10))}
}

// anAccount is how many messages an account counts as beside its own: about
// what finding it costs, on two servers.
const anAccount = 1000

// account waits until another account may be looked at.
func (p Pace) account(ctx context.Context) error { return take(ctx, p.messages, anAccount) }

// read waits until a message may have been read.
func (p Pace) read(ctx context.Context, m *projections.Message) error {
	if err := take(ctx, p.messages, 1); err != nil {
		return err
	}
	return take(ctx, p.bytes, len(m.Data))
}

// stored waits until so many bytes may have been read from the database.
func (p Pace) stored(ctx context.Context, n int) error { return take(ctx, p.bytes, n) }

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
