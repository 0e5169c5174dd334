package outbox

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"accountexport/internal/coalesce"
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
	runner  *coalesce.Runner
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
	n := &Notifier{db: pool, onError: onError}
	n.runner = coalesce.New(noticeGap, n.send)
	return n
}

// Committed tells the relay that there are events, and does not wait for it. It is
// called after the commit: who is woken before sees nothing.
func (n *Notifier) Committed() { n.runner.Schedule() }

// Close waits until all that was due is sent, or ctx ends.
func (n *Notifier) Close(ctx context.Context) { n.runner.Drain(ctx) }

// send sends one notice.
func (n *Notifier) send() {
	ctx, cancel := context.WithTimeout(context.Background(), noticeTimeout)
	defer cancel()
	if _, err := n.db.Exec(ctx, `SELECT pg_notify($1, '')`, Channel); err != nil {
		n.onError(err)
	}
}
