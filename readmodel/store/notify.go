package store

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/readmodel"
)

// notifier tells others of what was committed: after commits, never in them,
// since NOTIFY takes a lock of the whole server until its transaction is on disk.
// There is one at a time, and what is committed meanwhile has one together. One
// that is lost, as with a replica that is killed before it, costs who listens a
// second at most, since they look by themselves ([accountexport/readmodel/export.Waiter], [Store.AwaitRebalance]).
type notifier struct {
	pool    *pgxpool.Pool
	channel string
	log     *slog.Logger

	mu     sync.Mutex
	wanted bool          // since the last one began
	ended  chan struct{} // nil while none is under way
	failed bool
}

func newNotifier(pool *pgxpool.Pool, of string, log *slog.Logger) *notifier {
	return &notifier{pool: pool, channel: of, log: log}
}

// schedule has a notice sent, and does not wait for it.
func (n *notifier) schedule() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wanted = true
	if n.ended == nil {
		n.ended = make(chan struct{})
		go n.send(n.ended)
	}
}

// drain waits until all that was due is sent, or ctx ends.
func (n *notifier) drain(ctx context.Context) {
	n.mu.Lock()
	ended := n.ended
	n.mu.Unlock()
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// send sends notices until none is due.
func (n *notifier) send(ended chan struct{}) {
	defer close(ended)
	for again := false; ; again = true {
		if again {
			time.Sleep(readmodel.MinPollGap) // who listens looks no more often
		}
		n.mu.Lock()
		if !n.wanted {
			n.ended = nil
			n.mu.Unlock()
			return
		}
		n.wanted = false
		n.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), readmodel.NotifyTimeout)
		err := readmodel.Notify(ctx, n.pool, n.channel)
		cancel()
		if failed := err != nil; failed != n.failed { // of this goroutine alone
			if n.failed = failed; failed {
				n.log.Warn("cannot notify others, who look by themselves a little later", "of", n.channel, "error", err)
			} else {
				n.log.Info("others are notified again", "of", n.channel)
			}
		}
	}
}
