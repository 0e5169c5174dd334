package readmodel

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel/internal/pg"
)

// The channels of LISTEN and NOTIFY. A notification carries no payload and may be
// lost: it says that looking is worth it, and those who listen also look by
// themselves from time to time.
const (
	CheckpointsChannel = "export_checkpoints" // a checkpoint of the live generation has moved
	MembersChannel     = "export_members"     // partitions are free, or are to be given up, or a pause begins or ends
)

// MinPollGap is the least time between two rounds of notifications, and between two
// looks on behalf of those who wait, so that what happens close together is
// notified and looked up together.
const MinPollGap = 2 * time.Millisecond

// NotifyTimeout is more than a notification takes. A waiting read looks by itself
// within a second.
const NotifyTimeout = 3 * time.Second

// Notify notifies those who listen on a channel. It does not wait for the disk, so
// that the lock of the whole server that a NOTIFY holds at its commit is free again
// at once.
func Notify(ctx context.Context, pool *pgxpool.Pool, channel string) error {
	q := &pgx.Batch{}
	q.Queue(pg.AsyncCommit)
	q.Queue(`NOTIFY ` + channel)
	if err := pool.SendBatch(ctx, q).Close(); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}

// NotifyBestEffort notifies of what was just committed, even where ctx has ended. A
// failure is ignored: those who listen find out by themselves a little later.
func NotifyBestEffort(ctx context.Context, pool *pgxpool.Pool, channel string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), NotifyTimeout)
	defer cancel()
	_ = Notify(ctx, pool, channel)
}
