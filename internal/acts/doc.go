// Package acts holds what operators do to a stream and the read model that was
// folded from it, as values with typed results: progress is told by callbacks,
// and nothing is printed or asked. cmd/projector is one front end of it.
//
// Every act may be cut off anywhere and done again, and several at once, of one
// kind or of several, do no harm.
package acts

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/stream"
	"accountexport/projections/engine"
)

// Target is what an act is done to: a stream, and the read model folded from it.
type Target struct {
	Stream *stream.Client
	Pool   *pgxpool.Pool

	// Direct is how what needs a session of its own connects, see
	// [store.Store]. Default: as Pool does.
	Direct *pgx.ConnConfig

	// ExtraCheck is what `projector run` holds an answer of the stream against, beside
	// what is its identity, its bounds and its last messages; default: nothing.
	ExtraCheck func(ctx context.Context, info engine.StreamInfo) error
}

// NewTarget is a target whose stream is judged as `projector run` judges it.
func NewTarget(client *stream.Client, pool *pgxpool.Pool) Target {
	t := Target{Stream: client, Pool: pool}
	t.ExtraCheck = Gaps{t}.judge
	return t
}
