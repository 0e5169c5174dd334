package readmodel

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/internal/pg"
)

// What is listened for: that the live generation's checkpoints have moved, by who
// waits for positions; and that partitions are free or to be given up, by the
// members.
const (
	CheckpointsChannel = "export_checkpoints"
	MembersChannel     = "export_members"
)

// roundsApart is how long a round of notices, or of looking for those who wait,
// follows the last one at least, so that what comes together is done together.
const MinPollGap = 2 * time.Millisecond

// notify does not wait for the disk: the lock that it takes is free again at
// once.
func Notify(ctx context.Context, pool *pgxpool.Pool, of string) error {
	q := &pgx.Batch{}
	q.Queue(pg.AsyncCommit)
	q.Queue(`NOTIFY ` + of)
	if err := pool.SendBatch(ctx, q).Close(); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// notifyAfter notifies after what is committed, come what may: who listens looks
// by itself otherwise.
func NotifyCommitted(ctx context.Context, pool *pgxpool.Pool, of string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), NotifyTimeout)
	defer cancel()
	_ = Notify(ctx, pool, of)
}

// noticeTimeout is more than a notice takes; who waits for a position looks by
// itself within a second.
const NotifyTimeout = 3 * time.Second
