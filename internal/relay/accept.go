package relay

import (
	"context"
	"errors"

	"accountexport/projections/engine"
)

// ErrAtWork means that a relay works.
var ErrAtWork = errors.New("another relay works: end it first")

// Accepted is what accepting a stream has changed.
type Accepted struct {
	Before, Stream engine.StreamIdentity
	LastPosition   uint64 // that was acknowledged by the stream before
	Pending        int64
}

// AcceptStream has the outbox published to the stream that is there, from now on.
// What waits may be in it: a relay looks for it from the stream's beginning.
func (r *Relay) AcceptStream(ctx context.Context) (a Accepted, err error) {
	t, end, err := r.open(ctx)
	if err != nil {
		return a, err
	}
	defer end()
	if have, err := t.lock(ctx); err != nil || !have {
		if err == nil {
			err = ErrAtWork
		}
		return a, err
	}
	n, _, err := t.take(ctx)
	if err != nil {
		return a, ofDatabase(err)
	}
	info, err := r.stream.Info(ctx)
	if err != nil && !errors.Is(err, engine.ErrPartitions) {
		return a, err
	}
	if _, err := t.conn.Exec(ctx, `SET synchronous_commit = on`); err != nil {
		return a, ofDatabase(err)
	}
	if _, err := t.conn.Exec(ctx, `UPDATE outbox.refused SET search_from = 0`); err != nil {
		return a, ofDatabase(err)
	}
	if err := t.adopt(ctx, info, 0, true); err != nil {
		return a, ofDatabase(err)
	}
	status, err := ReadStatus(ctx, t.conn)
	return Accepted{n.stream, identityOf(info), n.lastPosition, status.Pending}, err
}
