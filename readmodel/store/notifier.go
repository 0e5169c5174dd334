package store

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/internal/coalesce"
	"accountexport/readmodel"
)

// notifier notifies others of what was committed: after commits, never in them,
// since NOTIFY takes a lock of the whole server until its transaction is on disk.
// One notification runs at a time, and everything that is committed meanwhile shares
// the next one. One that is lost, as where a replica is killed before it, costs those
// who listen a second at most, since they look by themselves
// ([accountexport/readmodel/export.Waiter], [Store.AwaitRebalance]). It is safe for
// concurrent use.
type notifier struct {
	runner  *coalesce.Runner
	pool    *pgxpool.Pool
	channel string
	log     *slog.Logger

	failing bool // the last notification failed; of the run alone
}

func newNotifier(pool *pgxpool.Pool, channel string, log *slog.Logger) *notifier {
	n := &notifier{pool: pool, channel: channel, log: log}
	n.runner = coalesce.New(readmodel.MinPollGap, n.send) // those who listen look no more often
	return n
}

// schedule has a notification sent, and does not wait for it.
func (n *notifier) schedule() { n.runner.Schedule() }

// drain waits until everything that was due is sent, or ctx ends.
func (n *notifier) drain(ctx context.Context) { n.runner.Drain(ctx) }

// send sends one notification.
func (n *notifier) send() {
	ctx, cancel := context.WithTimeout(context.Background(), readmodel.NotifyTimeout)
	err := readmodel.Notify(ctx, n.pool, n.channel)
	cancel()
	if failed := err != nil; failed != n.failing { // logs changes only
		if n.failing = failed; failed {
			n.log.Warn("cannot notify others, who look by themselves a little later", "of", n.channel, "error", err)
		} else {
			n.log.Info("others are notified again", "of", n.channel)
		}
	}
}
