package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

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
	pool    *pgxpool.Pool
	channel string
	log     *slog.Logger

	failing bool // the last notification failed; of the sending goroutine alone

	mu      sync.Mutex    // guards what follows; never held over I/O
	due     bool          // something was committed since the last notification began
	running chan struct{} // closed when the sending goroutine ends; nil where there is none
}

func newNotifier(pool *pgxpool.Pool, channel string, log *slog.Logger) *notifier {
	return &notifier{pool: pool, channel: channel, log: log}
}

// schedule has a notification sent, and does not wait for it.
func (n *notifier) schedule() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.due = true
	if n.running == nil {
		n.running = make(chan struct{})
		go n.send(n.running)
	}
}

// drain waits until everything that was due is sent, or ctx ends.
func (n *notifier) drain(ctx context.Context) {
	n.mu.Lock()
	ended := n.running
	n.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// send sends notifications until none is due.
func (n *notifier) send(ended chan struct{}) {
	defer close(ended)
	for again := false; ; again = true {
		if again {
			time.Sleep(readmodel.MinPollGap) // those who listen look no more often
		}
		n.mu.Lock()
		if !n.due {
			n.running = nil
			n.mu.Unlock()
			return
		}
		n.due = false
		n.mu.Unlock()
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
}
