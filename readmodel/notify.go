package readmodel

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What is listened for: that the live generation's checkpoints have moved, by who
// waits for positions; and that partitions are free or to be given up, by the
// members.
const (
	movedOn = "export_checkpoints"
	changed = "export_members"
)

// roundsApart is how long a round of notices, or of looking for those who wait,
// follows the last one at least, so that what comes together is done together.
const roundsApart = 2 * time.Millisecond

// notify does not wait for the disk: the lock that it takes is free again at
// once.
func notify(ctx context.Context, pool *pgxpool.Pool, of string) error {
	q := &pgx.Batch{}
	q.Queue(atEase)
	q.Queue(`NOTIFY ` + of)
	if err := pool.SendBatch(ctx, q).Close(); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// notifyAfter notifies after what is committed, come what may: who listens looks
// by itself otherwise.
func notifyAfter(ctx context.Context, pool *pgxpool.Pool, of string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noticeTimeout)
	defer cancel()
	_ = notify(ctx, pool, of)
}

// noticeTimeout is more than a notice takes; who waits for a position looks by
// itself within a second.
const noticeTimeout = 3 * time.Second
