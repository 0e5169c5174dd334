package outbox

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Channel is what the relay listens to, with PostgreSQL's LISTEN.
const Channel = "outbox"

// Between two notices, and for one.
const (
	noticeGap     = 10 * time.Millisecond
	noticeTimeout = 5 * time.Second
)

// Notifier wakes the relay after commits. It is never done in them: NOTIFY takes a
// lock of the whole server until its transaction is on disk, which has all commits
// that notify wait for each other. There is one notice at a time, and what is
// committed meanwhile has one together.
//
// Without it, and where a notice is lost, the relay looks ten times a second.
type Notifier struct {
	db      execer
	onError func(error)

	mu     sync.Mutex
	wanted bool          // since the last one began
	ended  chan struct{} // nil while none is under way
}

// execer is a pool of connections, such as a [*github.com/jackc/pgx/v5/pgxpool.Pool].
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// NewNotifier makes a notifier that sends notices by the pool, which may be one of
// transactions. onError, which may be nil, is told of those that could not be sent.
func NewNotifier(pool execer, onError func(error)) *Notifier {
	if onError == nil {
		onError = func(error) {}
	}
	return &Notifier{db: pool, onError: onError}
}

// Committed tells the relay that there are events, and does not wait for it. It is
// called after the commit: who is woken before sees nothing.
func (n *Notifier) Committed() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wanted = true
	if n.ended == nil {
		n.ended = make(chan struct{})
		go n.send(n.ended)
	}
}

// Close waits until all that was due is sent, or ctx ends.
func (n *Notifier) Close(ctx context.Context) {
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
func (n *Notifier) send(ended chan struct{}) {
	defer close(ended)
	for again := false; ; again = true {
		if again {
			time.Sleep(noticeGap)
		}
		n.mu.Lock()
		if !n.wanted {
			n.ended = nil
			n.mu.Unlock()
			return
		}
		n.wanted = false
		n.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), noticeTimeout)
		if _, err := n.db.Exec(ctx, `SELECT pg_notify($1, '')`, Channel); err != nil {
			n.onError(err)
		}
		cancel()
	}
}
