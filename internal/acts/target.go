package acts

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/stream"
	"accountexport/projections/engine"
)

// Target is what an act is done to: a stream, and the read model folded from it. It is
// safe for concurrent use once its fields are set.
type Target struct {
	Stream *stream.Client
	Pool   *pgxpool.Pool

	// Direct is how to connect where a session is needed, see [store.Store].
	// Default: as Pool does.
	Direct *pgx.ConnConfig

	// ExtraCheck is what [Target.Check] asks of the stream beside its identity, its
	// bounds and its last messages. Default: nothing; [NewTarget] sets it.
	ExtraCheck func(ctx context.Context, info engine.StreamInfo) error
}

// NewTarget is a target whose stream is checked as `projector run` checks it.
func NewTarget(client *stream.Client, pool *pgxpool.Pool) Target {
	t := Target{Stream: client, Pool: pool}
	t.ExtraCheck = Gaps{t}.check
	return t
}
