package acts

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/stream"
	"accountexport/projections/engine"
	"accountexport/readmodel/admin"
)

// Guard is [stream.Guard], which takes a stream that begins after the checkpoint
// for one that has lost history, but for one thing: where all that is gone
// between was removed by our own erasures, as when one was carried out anew
// before anybody has folded so far, nothing is lost.
func Guard(ctx context.Context, pool *pgxpool.Pool, info engine.StreamInfo, have engine.StreamIdentity, lowest, highest uint64) error {
	err := stream.Guard(info, have, lowest, highest)
	if !errors.Is(err, stream.ErrHistoryLost) {
		return err
	}
	gone, lookErr := admin.WithoutRemovals(ctx, pool, info, engine.Ranges{{First: lowest + 1, Last: info.First - 1}})
	if lookErr != nil || len(gone) > 0 {
		return err // it is asked again
	}
	info.First = lowest + 1
	return stream.Guard(info, have, lowest, highest)
}
