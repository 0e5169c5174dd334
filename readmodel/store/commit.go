package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"accountexport/projections/engine"
	"accountexport/readmodel"
	"accountexport/readmodel/internal/pg"
	"accountexport/readmodel/internal/rows"
)

// Commit implements [engine.Store]. A small batch is one round trip: the
// statements of a pgx batch outside a transaction block are one transaction by
// themselves. A large one, by its accounts or by its bytes, is a transaction of several
// round trips, with COPY for the rows that are new: pgx encodes all of a batch before it
// sends any, into memory that doubles as it grows. The fence comes first, so that a replica that has lost a
// partition never waits for a row lock of its successor. A generation that is not live
// need not reach the disk at once: documents and checkpoint are lost or kept together.
// Callers that wait for positions are notified afterwards.
func (s *Store) Commit(ctx context.Context, b *engine.Batch) error {
	err := s.commitTimeout.Do(ctx, func(ctx context.Context) error { return s.commit(ctx, b) })
	if err == nil && s.members != nil { // no caller waits for positions of other generations
		s.notifier.schedule()
	}
	return err
}

// bytesPerRoundTrip is how much a batch may hold that is sent whole.
const bytesPerRoundTrip = 1 << 20

func (s *Store) commit(ctx context.Context, b *engine.Batch) error {
	if len(b.Changes) <= rows.AccountsPerStatement && rows.Bytes(b) <= bytesPerRoundTrip {
		q := &pgx.Batch{}
		if s.members == nil {
			q.Queue(pg.AsyncCommit)
		}
		rows.QueueBatch(b, func(sql string, args ...any) { q.Queue(sql, args...) })
		return readmodel.AsEngineError(s.pool.SendBatch(ctx, q).Close())
	}
	return readmodel.AsEngineError(pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if s.members == nil {
			if _, err := tx.Exec(ctx, pg.AsyncCommit); err != nil {
				return err
			}
		}
		return rows.CopyBatch(ctx, tx, b)
	}))
}
