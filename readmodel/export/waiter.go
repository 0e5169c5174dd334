package export

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"accountexport/events"
	"accountexport/readmodel"
)

// While callers wait, checkpoints are looked up on each notification and at these
// intervals.
const (
	pollWhileListening = time.Second            // between looks while notifications come: one may be lost in a proxy
	pollInterval       = 100 * time.Millisecond // between looks while none come
	lookTimeout        = 3 * time.Second        // of one look
	pingEvery          = 10 * time.Second       // on the listening connection, when nothing was heard
)

// Waiter lets any number of callers wait until the projector has come to a
// position, with one connection that listens and one look for all of them whenever
// checkpoints have moved. It is safe for concurrent use.
type Waiter struct {
	// Direct is how to connect for listening, which needs a session of its own.
	// Default: as the pool does.
	Direct *pgx.ConnConfig
	// Sessions tells whether such a session can be had, once that is known; where it
	// cannot, nobody listens. Default: it can.
	Sessions func(ctx context.Context) bool

	// Set before Run.
	pool     *pgxpool.Pool
	log      *slog.Logger
	liveness *liveness

	wake    chan struct{} // has room for one
	stopped chan struct{} // closed when Run ends

	mu        sync.Mutex // guards what follows; never held over I/O
	waiting   map[*pendingWait]struct{}
	listening bool // the listening connection is there
	standby   bool // the pool's server is a standby, which may see later what was notified
}

// NewWaiter looks through the pool. Nobody is woken until [Waiter.Run] runs.
func NewWaiter(pool *pgxpool.Pool, log *slog.Logger) *Waiter {
	return &Waiter{pool: pool, log: log, liveness: newLiveness(), waiting: map[*pendingWait]struct{}{}, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
}

// UseLiveness says that x reads through the same pool: where no connection comes free
// because those reads have them all, [Waiter.WaitFor] fails with [ErrBusy]. It is to
// be called before Run.
func (w *Waiter) UseLiveness(x *Reader) { w.liveness = x.liveness }

// pendingWait is one caller's wait.
type pendingWait struct {
	account  events.UUID
	position uint64

	polled  chan struct{} // closed after the first look, or its failure
	reached chan struct{} // closed once the position is reached
	err     error         // why the first look failed; set before polled is closed

	checkpoint uint64 // when it was last looked at; guarded by Waiter.mu
	wasPolled  bool   // polled is closed; guarded by Waiter.mu
}

// WaitFor waits until the checkpoint that the account's messages come with has
// reached the position: that of the account's partition, or, for an account
// that was not heard of, every one. It waits no longer than atMost, and looks at
// least once. at is how far the checkpoint was when it was last looked at.
func (w *Waiter) WaitFor(ctx context.Context, account events.UUID, position uint64, atMost time.Duration) (at uint64, reached bool, err error) {
	wait := &pendingWait{account: account, position: position, polled: make(chan struct{}), reached: make(chan struct{})}
	w.mu.Lock()
	w.waiting[wait] = struct{}{}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting, wait)
		at = wait.checkpoint
	}()
	w.wakeUp()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-wait.polled:
	case <-ctx.Done():
		return 0, false, ctx.Err()
	case <-w.stopped:
		return 0, false, errShuttingDown
	}
	if wait.err != nil {
		return 0, false, wait.err
	}
	select {
	case <-wait.reached:
		return 0, true, nil
	default:
	}
	select {
	case <-wait.reached:
		return 0, true, nil
	case <-timer.C:
	case <-ctx.Done():
	case <-w.stopped: // answered at once, so that the caller can ask another replica
	}
	return 0, false, nil
}

// Waiting is how many callers wait now.
func (w *Waiter) Waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}

// wakeUp has Run look soon.
func (w *Waiter) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run listens, and wakes those whose position is reached, until ctx ends. Whoever
// still waits then is told at once that the program is ending.
func (w *Waiter) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	defer close(w.stopped)
	parts.Go(func() {
		if w.Sessions == nil || w.Sessions(ctx) {
			w.listen(ctx)
		}
	})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		case <-timer.C:
		}
		w.poll(ctx)
		w.mu.Lock()
		next := pollInterval
		if w.listening && !w.standby {
			next = pollWhileListening
		}
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(readmodel.MinPollGap):
		}
		timer.Reset(next)
	}
}
